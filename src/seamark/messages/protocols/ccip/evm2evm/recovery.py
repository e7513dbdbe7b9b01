"""CCIP 1.2 and 1.5: what their manual execution has in common. The leaf of a message is its id.

One call takes one report of one root, because ramps and commit store belong to one lane. A root must be blessed by the
risk network besides being committed. Source: `EVM2EVMOffRamp.sol`, `CommitStore.sol`, `Internal.sol` 1.2.0 and 1.5.0 of
@chainlink/contracts-ccip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from seamark.core.ids import Address, Hash32
from seamark.evm.abi import Abi, Event, compile_encoder, parse_params
from seamark.evm.contract import Contract as Reader
from seamark.evm.crypto import keccak256
from seamark.evm.types import Log
from seamark.messages.model import Contract, LaneKey
from seamark.messages.protocols.ccip.evm2evm import events
from seamark.messages.protocols.ccip.recovery import RampMessage, Report, delivers
from seamark.messages.protocols.ccip.recovery_roots import search_commit
from seamark.messages.recovery.model import Case, CommittedRoot, ExecutionState, Gas, Standing, Told
from seamark.messages.recovery.port import ExecutionChain

__all__ = ["MESSAGE", "REPORT", "EvmToEvmRamps", "Struct", "Wire", "leaf_hash"]

MESSAGE: Final = (
    "(uint64 sourceChainSelector, address sender, address receiver, uint64 sequenceNumber, uint256 gasLimit,"
    " bool strict, uint64 nonce, address feeToken, uint256 feeTokenAmount, bytes data,"
    " (address token, uint256 amount)[] tokenAmounts, bytes[] sourceTokenData, bytes32 messageId)"
)
REPORT: Final = f"({MESSAGE}[] messages, bytes[][] offchainTokenData, bytes32[] proofs, uint256 proofFlagBits)"

_GAS_LIMIT_AT = 4  # position in MESSAGE
_LEAF_DOMAIN: Final = bytes(32)
_MESSAGE_DOMAIN: Final = keccak256(b"EVM2EVMMessageHashV2")

_STATES = Abi.parse(
    "function getExecutionState(uint64 sequenceNumber) view returns (uint8)",
    "function getSenderNonce(address sender) view returns (uint64)",
)
_COMMIT_STORE = Abi.parse(
    "function getMerkleRoot(bytes32 root) view returns (uint256)",
    "function isBlessed(bytes32 root) view returns (bool)",
    "function paused() view returns (bool)",
    "function getExpectedNextSequenceNumber() view returns (uint64)",
)

_encode_meta = compile_encoder(parse_params("bytes32, uint64, uint64, address"))
_encode_fixed = compile_encoder(parse_params("address, address, uint64, uint256, bool, uint64, address, uint256"))
_encode_tokens = compile_encoder(parse_params("(address token, uint256 amount)[] tokens"))
_encode_blobs = compile_encoder(parse_params("bytes[] blobs"))
_encode_outer = compile_encoder(parse_params("bytes32, bytes32, bytes32, bytes32, bytes32, bytes32"))


class Struct(NamedTuple):
    """`Internal.EVM2EVMMessage`, in the contract's own words."""

    sourceChainSelector: int  # noqa: N815
    sender: str
    receiver: str
    sequenceNumber: int  # noqa: N815
    gasLimit: int  # noqa: N815
    strict: bool
    nonce: int
    feeToken: str  # noqa: N815
    feeTokenAmount: int  # noqa: N815
    data: bytes
    tokenAmounts: tuple[tuple[str, int], ...]  # noqa: N815
    sourceTokenData: tuple[bytes, ...]  # noqa: N815
    messageId: bytes  # noqa: N815


class Wire(Protocol):
    """What differs: encodings, gas limits of tokens, and how a curse is asked for."""

    @property
    def off_ramp(self) -> Abi:
        """`getStaticConfig` and `getDynamicConfig`."""
        ...

    def token_gas(self, struct: Any) -> tuple[int | None, ...]:
        """Gas for the pool of each token. Raises `ValueError`."""
        ...

    def manual_call(self, report: tuple[Any, ...], messages: Sequence[RampMessage], gas: Gas) -> bytes: ...

    def trial_call(
        self, struct: tuple[Any, ...], token_data: Sequence[bytes], message: RampMessage, gas: Gas
    ) -> bytes: ...

    async def cursed(self, destination: ExecutionChain, static: Any, case: Case) -> str:
        """What is cursed, in words; "" for nothing."""
        ...


@dataclass(slots=True)
class EvmToEvmRamps:
    """`RampGeneration` of 1.2 and 1.5."""

    wire: Wire
    sent: Event = field(default=events.SENT)
    reports_per_call: int = 1

    def read(self, log: Log, lane: LaneKey) -> RampMessage | None:
        """See `RampGeneration`. An OnRamp serves one lane, so every send is of it."""
        return self._message(Struct(*events.SENT.decode(log).message), lane)

    def rebuild(self, told: Told, lane: LaneKey) -> RampMessage | None:
        """See `RampGeneration`."""
        sent, details = told.sent, told.sent.details
        if not {"nonce", "data", "gas_limit"} <= details.keys():
            return None
        struct = Struct(
            sourceChainSelector=int(lane.source),
            sender=sent.sender,
            receiver=sent.receiver,
            sequenceNumber=told.sequence,
            gasLimit=int(details["gas_limit"]),
            strict=False,  # no sender can ask for it since 1.2
            nonce=int(details["nonce"]),
            feeToken=sent.fee_token,
            feeTokenAmount=int(sent.fee_amount),
            data=bytes.fromhex(details["data"][2:]),
            tokenAmounts=tuple((item["source_token"], int(item["amount"])) for item in details.get("tokens", ())),
            sourceTokenData=tuple(bytes.fromhex(item[2:]) for item in details.get("source_token_data", ())),
            messageId=bytes.fromhex(told.id[2:]),
        )
        return self._message(struct, lane)

    def _message(self, struct: Struct, lane: LaneKey) -> RampMessage:
        return RampMessage(
            id=Hash32("0x" + struct.messageId.hex()),
            sequence=struct.sequenceNumber,
            receiver=Address(struct.receiver),
            data=struct.data,
            gas_limit=struct.gasLimit,
            token_gas=self.wire.token_gas(struct),
            struct=tuple(struct),
            leaf=leaf_hash(struct, lane),
        )

    async def serves(self, destination: ExecutionChain, off_ramp: Contract, lane: LaneKey) -> bool:
        """See `RampGeneration`."""
        static = await Reader(destination, off_ramp.address, self.wire.off_ramp).read("getStaticConfig")
        return bool(static.onRamp == lane.channel and static.sourceChainSelector == int(lane.source))

    async def standing(
        self, destination: ExecutionChain, off_ramp: Contract, case: Case, root: CommittedRoot | None
    ) -> Standing:
        """See `RampGeneration`."""
        ramp = Reader(destination, off_ramp.address, self.wire.off_ramp)
        head = await destination.header("latest")
        static, dynamic = await ramp.read_many([("getStaticConfig", ()), ("getDynamicConfig", ())])
        states = Reader(destination, off_ramp.address, _STATES)
        state = await states.read("getExecutionState", case.sequence)
        store = Reader(destination, static.commitStore, _COMMIT_STORE)
        committed_at = None if root is None else await _committed_at(store, root)
        obstacle, remedy = await _store_obstacle(store, root if committed_at else None)
        if not obstacle:
            obstacle, remedy = await delivers(destination, dynamic.router, off_ramp.address, case)
        return Standing(
            state=ExecutionState(state),
            now=head.timestamp if head else 0,
            off_ramp=off_ramp.address,
            version=off_ramp.version,
            committed_at=committed_at,
            open_after_s=dynamic.permissionLessExecutionThresholdSeconds,
            cursed=await self.wire.cursed(destination, static, case),
            obstacle=obstacle,
            obstacle_remedy=remedy,
            nonce=case.nonce or 0,
            next_nonce=1 + int(await states.read("getSenderNonce", case.sender)) if case.nonce else None,
        )

    async def find_root(self, destination: ExecutionChain, off_ramp: Contract, case: Case) -> CommittedRoot | None:
        """See `RampGeneration`."""
        static = await Reader(destination, off_ramp.address, self.wire.off_ramp).read("getStaticConfig")
        store = Address(static.commitStore)
        if case.sequence >= await Reader(destination, store, _COMMIT_STORE).read("getExpectedNextSequenceNumber"):
            return None
        return await search_commit(destination, store, events.COMMITTED.topic0, _roots, case)

    def manual_call(self, reports: Sequence[Report], gas: Gas) -> bytes:
        """See `RampGeneration`."""
        (report,) = reports
        structs = [message.struct for message in report.messages]
        token_data = [message.offchain_data for message in report.messages]
        return self.wire.manual_call(
            (structs, token_data, report.proof.hashes, report.proof.flags), report.messages, gas
        )

    def trial_call(self, message: RampMessage, gas: Gas) -> bytes:
        """See `RampGeneration`."""
        limit = gas.receiver or message.gas_limit
        struct = (*message.struct[:_GAS_LIMIT_AT], limit, *message.struct[_GAS_LIMIT_AT + 1 :])
        return self.wire.trial_call(struct, message.offchain_data, message, gas)


def leaf_hash(struct: Struct, lane: LaneKey) -> bytes:
    """`Internal._hash(EVM2EVMMessage, metadataHash)`."""
    metadata = [_MESSAGE_DOMAIN, int(lane.source), int(lane.destination), lane.channel]
    fixed = [
        struct.sender,
        struct.receiver,
        struct.sequenceNumber,
        struct.gasLimit,
        struct.strict,
        struct.nonce,
        struct.feeToken,
        struct.feeTokenAmount,
    ]
    parts = [
        _LEAF_DOMAIN,
        keccak256(_encode_meta(metadata)),
        keccak256(_encode_fixed(fixed)),
        keccak256(struct.data),
        keccak256(_encode_tokens([struct.tokenAmounts])),
        keccak256(_encode_blobs([struct.sourceTokenData])),
    ]
    return keccak256(_encode_outer(parts))


def _roots(log: Log) -> list[tuple[int, int, bytes]]:
    report = events.COMMITTED.decode(log).report
    return [(report.interval.min, report.interval.max, report.merkleRoot)]


async def _committed_at(store: Reader, root: CommittedRoot) -> int | None:
    return (await store.read("getMerkleRoot", bytes.fromhex(root.root[2:]))) or None


async def _store_obstacle(store: Reader, root: CommittedRoot | None) -> tuple[str, str]:
    """What the CommitStore puts in the way, and the remedy."""
    if await store.read("paused"):
        return "The lane's CommitStore is paused: it vouches for nothing.", "wait until its owner lets it go on"
    if root is not None and not await store.read("isBlessed", bytes.fromhex(root.root[2:])):
        text = f"The risk network has not blessed the root {root.root} of its commit."
        return text, "wait; the blessing mostly follows the commit within minutes"
    return "", ""
