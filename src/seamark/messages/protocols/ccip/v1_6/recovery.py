"""CCIP 1.6: manual execution. One call takes reports of several roots, of whatever sources.

The leaf is not the message id: it hashes what the destination gets (`Any2EVMMessageHashV1`), and the gas limit is the
first word of the send's extra arguments behind their tag. Source: `OffRamp.sol`, `Internal.sol`, `NonceManager.sol`,
`RMNRemote.sol` 1.6 of @chainlink/contracts-ccip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from seamark.core.errors import RejectedError
from seamark.core.ids import Address, Hash32
from seamark.evm.abi import Abi, Event, Function, compile_decoder, compile_encoder, parse_params
from seamark.evm.contract import Contract as Reader
from seamark.evm.crypto import keccak256
from seamark.evm.types import Log
from seamark.messages.model import Contract, LaneKey
from seamark.messages.protocols.ccip.recovery import RampMessage, Report, delivers, is_cursed, override
from seamark.messages.protocols.ccip.recovery_roots import search_commit
from seamark.messages.protocols.ccip.v1_6 import events
from seamark.messages.protocols.ccip.v1_6.keys import account
from seamark.messages.recovery.model import Case, CommittedRoot, ExecutionState, Gas, Standing, Told
from seamark.messages.recovery.port import ExecutionChain

__all__ = ["RAMPS", "leaf_hash"]

_TOKEN = "(bytes sourcePool, address destToken, uint32 destGas, bytes extraData, uint256 amount)[] tokens"  # noqa: S105 - an ABI type
_MESSAGE = (
    "((bytes32 messageId, uint64 source, uint64 dest, uint64 sequenceNumber, uint64 nonce) header, bytes sender,"
    f" bytes data, address receiver, uint256 gasLimit, {_TOKEN})"
)
_MANUALLY_EXECUTE = Function.parse(
    f"manuallyExecute((uint64 source, {_MESSAGE}[] messages, bytes[][] offchainTokenData, bytes32[] proofs,"
    " uint256 proofFlagBits)[] reports, (uint256 receiverGas, uint32[] tokenGas)[][] gasLimitOverrides)"
)
_EXECUTE_SINGLE = Function.parse(
    f"executeSingleMessage({_MESSAGE} message, bytes[] offchainTokenData, uint32[] tokenGasOverrides)"
)
_OFF_RAMP = Abi.parse(
    "function getExecutionState(uint64 source, uint64 sequenceNumber) view returns (uint8)",
    "function getMerkleRoot(uint64 source, bytes32 root) view returns (uint256)",
    "function getDynamicConfig() view returns ((address feeQuoter, uint32 permissionLessExecutionThresholdSeconds,"
    " address messageInterceptor))",
    "function getStaticConfig() view returns ((uint64 chainSelector, uint16 gasForCallExactCheck, address rmnRemote,"
    " address tokenAdminRegistry, address nonceManager))",
    "function getSourceChainConfig(uint64 source) view returns ((address router, bool isEnabled, uint64 minSeqNr,"
    " bool isRMNVerificationDisabled, bytes onRamp))",
)
_NONCES = Abi.parse("function getInboundNonce(uint64 source, bytes sender) view returns (uint64)")

_LEAF_DOMAIN: Final = bytes(32)
_MESSAGE_DOMAIN: Final = keccak256(b"Any2EVMMessageHashV1")
_TAG_BYTES, _WORD_BYTES = 4, 32
_SWITCHED_OFF = "its owner can switch it on again"
_REPORTS_PER_CALL = 10  # a bound of ours: the OffRamp has none

_decode_address = compile_decoder(parse_params("address"))
_decode_uint = compile_decoder(parse_params("uint256"))
_encode_address = compile_encoder(parse_params("address"))
_encode_meta = compile_encoder(parse_params("bytes32, uint64, uint64, bytes32"))
_encode_header = compile_encoder(parse_params("bytes32, address, uint64, uint256, uint64"))
_encode_outer = compile_encoder(parse_params("bytes32, bytes32, bytes32, bytes32, bytes32, bytes32"))
_encode_tokens = compile_encoder(parse_params(_TOKEN))


class _Ramps:
    """`RampGeneration` of 1.6."""

    @property
    def sent(self) -> Event:
        return events.SENT

    @property
    def reports_per_call(self) -> int:
        return _REPORTS_PER_CALL

    def read(self, log: Log, lane: LaneKey) -> RampMessage | None:
        """See `RampGeneration`; raises `ValueError` for a message that no EVM chain can take."""
        if len(log.topics) > 1 and int(log.topics[1], 16) != int(lane.destination):
            return None
        return _message(_any_to_evm(events.SENT.decode(log).message), lane)

    def rebuild(self, told: Told, lane: LaneKey) -> RampMessage | None:
        """See `RampGeneration`."""
        sent, details = told.sent, told.sent.details
        if not {"nonce", "data", "extra_args"} <= details.keys():
            return None
        extra = bytes.fromhex(details["extra_args"][2:])
        header = (
            bytes.fromhex(told.id[2:]), int(lane.source), int(lane.destination), told.sequence, int(details["nonce"])
        )  # fmt: skip
        data = bytes.fromhex(details["data"][2:])
        limit = _decode_uint(extra[_TAG_BYTES : _TAG_BYTES + _WORD_BYTES])[0]
        tokens = tuple(_told_token(token) for token in details.get("tokens", ()))
        return _message((header, _encode_address([sent.sender]), data, Address(sent.receiver), limit, tokens), lane)

    async def serves(self, destination: ExecutionChain, off_ramp: Contract, lane: LaneKey) -> bool:
        ramp = Reader(destination, off_ramp.address, _OFF_RAMP)
        config = await ramp.read("getSourceChainConfig", int(lane.source))
        return bool(config.onRamp) and account(config.onRamp) == lane.channel

    async def standing(
        self, destination: ExecutionChain, off_ramp: Contract, case: Case, root: CommittedRoot | None
    ) -> Standing:
        """See `RampGeneration`."""
        source = int(case.lane.source)
        ramp = Reader(destination, off_ramp.address, _OFF_RAMP)
        head = await destination.header("latest")
        state, dynamic, static, config = await ramp.read_many(
            [
                ("getExecutionState", (source, case.sequence)),
                ("getDynamicConfig", ()),
                ("getStaticConfig", ()),
                ("getSourceChainConfig", (source,)),
            ]
        )
        obstacle, remedy = f"The OffRamp takes no messages from {case.source_name}: it is switched off.", _SWITCHED_OFF
        if config.isEnabled:
            obstacle, remedy = await delivers(destination, Address(config.router), off_ramp.address, case)
        return Standing(
            state=ExecutionState(state),
            now=head.timestamp if head else 0,
            off_ramp=off_ramp.address,
            version=off_ramp.version,
            committed_at=await _committed_at(ramp, source, root),
            open_after_s=dynamic.permissionLessExecutionThresholdSeconds,
            cursed=await is_cursed(destination, Address(static.rmnRemote), case),
            obstacle=obstacle,
            obstacle_remedy=remedy,
            nonce=case.nonce or 0,
            next_nonce=await _next_nonce(destination, static.nonceManager, case),
        )

    async def find_root(self, destination: ExecutionChain, off_ramp: Contract, case: Case) -> CommittedRoot | None:
        """See `RampGeneration`."""
        source = int(case.lane.source)
        ramp = Reader(destination, off_ramp.address, _OFF_RAMP)
        if case.sequence >= (await ramp.read("getSourceChainConfig", source)).minSeqNr:
            return None

        def roots(log: Log) -> list[tuple[int, int, bytes]]:
            record = events.COMMITTED.decode(log)
            return [
                (root.minSeqNr, root.maxSeqNr, root.merkleRoot)
                for root in (*record.blessedMerkleRoots, *record.unblessedMerkleRoots)
                if root.sourceChainSelector == source
            ]

        return await search_commit(destination, off_ramp.address, events.COMMITTED.topic0, roots, case)

    def manual_call(self, reports: Sequence[Report], gas: Gas) -> bytes:
        """See `RampGeneration`."""
        return _MANUALLY_EXECUTE.encode(
            [
                (
                    report.source,
                    [message.struct for message in report.messages],
                    [message.offchain_data for message in report.messages],
                    report.proof.hashes,
                    report.proof.flags,
                )
                for report in reports
            ],
            [[override(message, gas) for message in report.messages] for report in reports],
        )

    def trial_call(self, message: RampMessage, gas: Gas) -> bytes:
        """See `RampGeneration`."""
        header, sender, data, receiver, _, tokens = message.struct
        limit = gas.receiver or message.gas_limit
        given = (header, sender, data, receiver, limit, tokens)
        return _EXECUTE_SINGLE.encode(given, message.offchain_data, override(message, gas)[1])


RAMPS = _Ramps()


async def _committed_at(ramp: Reader, source: int, root: CommittedRoot | None) -> int | None:
    if root is None:
        return None
    return (await ramp.read("getMerkleRoot", source, bytes.fromhex(root.root[2:]))) or None


async def _next_nonce(destination: ExecutionChain, nonces: Address, case: Case) -> int | None:
    if not case.nonce:
        return None
    manager = Reader(destination, nonces, _NONCES)
    return 1 + int(await manager.read("getInboundNonce", int(case.lane.source), _encode_address([case.sender])))


def _message(struct: tuple[Any, ...], lane: LaneKey) -> RampMessage:
    header, _, data, receiver, gas_limit, tokens = struct
    return RampMessage(
        id=Hash32("0x" + header[0].hex()),
        sequence=header[3],
        receiver=receiver,
        data=data,
        gas_limit=gas_limit,
        token_gas=tuple(token[2] for token in tokens),
        struct=struct,
        leaf=leaf_hash(struct, lane.channel),
    )


def leaf_hash(struct: tuple[Any, ...], on_ramp: str) -> bytes:
    """`Internal._hash(Any2EVMRampMessage, metaDataHash)`: the leaf of a message of an OnRamp on an EVM chain."""
    header, sender, data, receiver, gas_limit, tokens = struct
    message_id, source, destination, sequence, nonce = header
    ramp = keccak256(_encode_address([on_ramp]))
    parts = [
        _LEAF_DOMAIN,
        keccak256(_encode_meta([_MESSAGE_DOMAIN, source, destination, ramp])),
        keccak256(_encode_header([message_id, receiver, sequence, gas_limit, nonce])),
        keccak256(sender),
        keccak256(data),
        keccak256(_encode_tokens([tokens])),
    ]
    return keccak256(_encode_outer(parts))


def _any_to_evm(sent: Any) -> tuple[Any, ...]:
    """`EVM2AnyRampMessage` of the send to `Any2EVMRampMessage` of the OffRamp, as its oracle network does it."""
    try:
        receiver = _decode_address(sent.receiver)[0]
        gas_limit = _decode_uint(sent.extraArgs[_TAG_BYTES : _TAG_BYTES + _WORD_BYTES])[0]
        tokens = tuple(_token(token) for token in sent.tokenAmounts)
    except RejectedError as error:
        raise ValueError(f"it is not for an EVM chain ({error})") from error
    return tuple(sent.header), _encode_address([sent.sender]), sent.data, receiver, gas_limit, tokens


def _told_token(token: Mapping[str, str]) -> tuple[Any, ...]:
    """As `_token`, from what the ledger keeps of a send."""
    pool = _encode_address([token["source_pool"]])
    gas = _decode_uint(bytes.fromhex(token["exec_data"][2:]))[0]
    extra = bytes.fromhex(token["extra_data"][2:])
    return pool, Address(token["destination_token"]), gas, extra, int(token["amount"])


def _token(token: Any) -> tuple[Any, ...]:
    pool = _encode_address([token.sourcePoolAddress])
    destination = _decode_address(token.destTokenAddress)[0]
    return pool, destination, _decode_uint(token.destExecData)[0], token.extraData, token.amount
