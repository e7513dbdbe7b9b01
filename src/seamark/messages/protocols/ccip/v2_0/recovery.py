"""CCIP 2.0: execution by hand. Anybody may execute a message at any time who has what its verifiers said.

    the send (source), an earlier attempt (destination) or the ledger -> the message, must hash to its id
    file, indexer, earlier attempts -> proofs -> the first one that the contracts accept -> `execute`

Nothing is committed and no time must pass. A proof is tried with the OffRamp's own `executeSingleMessage`, which only
the OffRamp may call, and in `eth_call` anybody may be the sender. The same call tells how much gas is needed: for
`execute` itself a node's estimate means nothing while the message is untouched, because the OffRamp catches what goes
wrong, records a failure and "succeeds". Source: `OffRamp.sol` 2.0.0 of @chainlink/contracts-ccip.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

from seamark.core.errors import RejectedError
from seamark.core.ids import Address, Hash32
from seamark.evm.abi import DecodeError, Function
from seamark.evm.contract import Contract as Reader
from seamark.evm.hexdata import HexError, parse_data
from seamark.evm.rpc.errors import CallReverted, RequestRefused
from seamark.evm.types import Log, LogFilter
from seamark.messages.protocols.ccip.failures import VERIFICATION_FAILED
from seamark.messages.protocols.ccip.generation import OFF_RAMP, account
from seamark.messages.protocols.ccip.recovery import GAS_ESTIMATION_SENDER, delivers, is_cursed, try_execution
from seamark.messages.protocols.ccip.v2_0 import events
from seamark.messages.protocols.ccip.v2_0.attempts import explain_attempt
from seamark.messages.protocols.ccip.v2_0.codec import MessageError, MessageV1, decode_message, message_id
from seamark.messages.protocols.ccip.v2_0.proofs import EXECUTE, Attempt, Proof, ProofSource, attempts_in
from seamark.messages.recovery.model import Case, ExecutionState, Gas, ManualCall, Standing, Trial
from seamark.messages.recovery.port import ExecutionChain
from seamark.messages.recovery.rules import MESSAGE_OVERHEAD_GAS
from seamark.messages.recovery.sends import LogsGone

__all__ = ["Recovery", "TellsCalldata", "refusal_of"]

_TRANSFER = (
    "(uint256 amount, bytes sourcePoolAddress, bytes sourceTokenAddress, bytes destTokenAddress, bytes tokenReceiver,"
    " bytes extraData)"
)
_EXECUTE_SINGLE: Final = Function.parse(
    "executeSingleMessage((uint64 sourceChainSelector, uint64 destChainSelector, uint64 messageNumber,"
    " uint32 executionGasLimit, uint32 ccipReceiveGasLimit, bytes4 finality, bytes32 ccvAndExecutorHash,"
    " bytes onRampAddress, bytes offRampAddress, bytes sender, bytes receiver, bytes destBlob,"
    f" {_TRANSFER}[] tokenTransfer, bytes data) message, bytes32 messageId, address[] ccvs, bytes[] verifierResults,"
    " uint32 gasLimitOverride)"
)
_PREFIX = "2.0."
_EVM_ADDRESS = 20
_LARGEST_OVERRIDE = 2**32 - 1

STEP_BLOCKS, SEARCH_BLOCKS = 5_000, 2_000_000
"""How an earlier attempt is looked for that the ledger does not name: backward from the head, in such steps."""

STATE_GAS: Final = 80_000
"""Around `executeSingleMessage`: the message's state (two writes), the event, and the buffer that the OffRamp keeps
back (12,000 in known deployments); measured 47,000 to 56,000. The message's own `execution_gas` leaves out some of
it."""

_CALL_SHARE = 64, 63
"""A call passes on at most 63/64 of what is left (EIP-150)."""


@runtime_checkable
class TellsCalldata(Protocol):
    """A chain that tells with what calldata a transaction was sent (`evm.rpc.Chain`)."""

    async def transaction_input(self, transaction: Hash32) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class _Known:
    """A message with its bytes."""

    encoded: bytes
    message: MessageV1

    @property
    def off_ramp(self) -> Address:
        return Address(account(self.message.off_ramp))


@dataclass(slots=True)
class Recovery:
    """`messages.recovery.port.Recoverer` of one lane.

    `proofs` are asked in their order, before earlier attempts are looked at.
    """

    source: ExecutionChain | None
    destination: ExecutionChain
    proofs: Sequence[ProofSource] = ()
    _known: dict[Hash32, _Known] = field(default_factory=dict)
    _attempts: dict[Hash32, list[Attempt]] = field(default_factory=dict)
    _accepted: dict[Hash32, Proof] = field(default_factory=dict)

    async def standing(self, case: Case) -> Standing:
        """See `Recoverer`."""
        known = await self._message(case)
        ramp = Reader(self.destination, known.off_ramp, events.OFF_RAMP)
        head = await self.destination.header("latest")
        state, static, config = await ramp.read_many(
            [
                ("getExecutionState", (bytes.fromhex(case.id[2:]),)),
                ("getStaticConfig", ()),
                ("getSourceChainConfig", (known.message.source,)),
            ]
        )
        obstacle, remedy = await self._obstacle(case, known, config)
        if not obstacle and state in (ExecutionState.UNTOUCHED, ExecutionState.FAILURE):
            obstacle, remedy = await self._find_proof(case, known, ramp, tried=state == ExecutionState.FAILURE)
        return Standing(
            state=ExecutionState(state),
            now=head.timestamp if head else 0,
            off_ramp=known.off_ramp,
            version=_version(case, known.off_ramp),
            needs_commit=False,
            cursed=await is_cursed(self.destination, Address(static.rmnRemote), case),
            obstacle=obstacle,
            obstacle_remedy=remedy,
        )

    async def trial(self, case: Case, standing: Standing, gas: Gas) -> Trial:
        """See `Recoverer`."""
        known, proof = await self._message(case), self._proof(case)
        message = known.message
        _check_gas(gas)
        return await try_execution(
            self.destination,
            standing.off_ramp,
            lambda limit: _single_call(case.id, message, proof, _override(message, limit)),
            max(gas.receiver or 0, message.callback_gas),
            sent=message.callback_gas,
            receiver=Address(account(message.receiver)),
            quiet=not message.data and not message.callback_gas,
            explain=explain_attempt,
        )

    async def build(self, cases: Sequence[Case], standings: Sequence[Standing], gas: Gas) -> list[ManualCall]:
        """See `Recoverer`: one transaction for each message, as the OffRamp takes one at a time."""
        _check_gas(gas)
        if len(cases) == 1:  # in a batch, a limit that is below a message's own does not count for it
            _check_limit((await self._message(cases[0])).message, gas)
        return [await self._call(case, standing, gas) for case, standing in zip(cases, standings, strict=True)]

    async def _call(self, case: Case, standing: Standing, gas: Gas) -> ManualCall:
        known, proof = await self._message(case), self._proof(case)
        override = _override(known.message, gas.receiver or 0)
        measured = await self._measured(case, known, proof, override)
        receiver = max(override, known.message.callback_gas)
        return ManualCall(
            chain_id=self.destination.chain_id,
            to=standing.off_ramp,
            data=EXECUTE.encode(known.encoded, proof.ccvs, proof.results, override),
            messages=(case.id,),
            least_gas=max(receiver + MESSAGE_OVERHEAD_GAS, known.message.execution_gas, measured or 0),
            estimate_as=GAS_ESTIMATION_SENDER,
            measured=measured,
        )

    async def _measured(self, case: Case, known: _Known, proof: Proof, override: int) -> int | None:
        """What the transaction needs, whatever an estimate of `execute` says; None where that cannot be measured."""
        try:
            inner = await self.destination.estimate_gas(
                sender=known.off_ramp,
                to=known.off_ramp,
                data=_single_call(case.id, known.message, proof, override),
            )
        except (CallReverted, RequestRefused):
            return None  # it fails now, or the node lets no contract be a sender: the message's own figures, then
        share, of = _CALL_SHARE
        return inner * share // of + STATE_GAS

    # ---- the message ------------------------------------------------------------------------------------------------

    async def _message(self, case: Case) -> _Known:
        if case.id not in self._known:
            encoded = await self._encoded(case)
            try:
                message = decode_message(encoded)
            except MessageError as error:
                raise RejectedError(f"message {case.id} cannot be read: {error}") from error
            if len(message.off_ramp) != _EVM_ADDRESS or len(message.receiver) != _EVM_ADDRESS:
                raise RejectedError(f"message {case.id} is not for an EVM chain")
            self._known[case.id] = _Known(encoded, message)
        return self._known[case.id]

    async def _encoded(self, case: Case) -> bytes:
        sent = await self._sent(case)
        if sent is not None:
            return sent
        for attempt in await self._earlier(case):
            return attempt.encoded
        kept = _kept(case)
        if kept is not None:
            return kept
        raise LogsGone(
            f"the bytes of message {case.id} are not known: its send on {case.source_name} cannot be read, and no"
            f" attempt to execute it was found on {case.destination_name}",
            remedy=f"add an endpoint that keeps old logs to the rpc list of {case.source_name}",
        )

    async def _sent(self, case: Case) -> bytes | None:
        """From the send; None where it cannot be read."""
        if self.source is None or case.sent is None:
            return None
        block = case.sent.block_number
        wanted = LogFilter((Address(case.lane.channel),), (events.SENT.topic0,))
        try:
            logs = await self.source.logs(wanted, block, block)
            found = [events.SENT.decode(log).encodedMessage for log in logs if log.topics[-1] == case.id]
        except RejectedError:
            return None  # old logs are gone; an attempt may have the message too
        return next((encoded for encoded in found if message_id(encoded) == case.id), None)

    # ---- the proof --------------------------------------------------------------------------------------------------

    def _proof(self, case: Case) -> Proof:
        proof = self._accepted.get(case.id)
        if proof is None:
            raise RejectedError(f"no accepted verifier results of message {case.id} are known")
        return proof

    async def _find_proof(self, case: Case, known: _Known, ramp: Reader, *, tried: bool) -> tuple[str, str]:
        """Remember the first proof that the contracts accept; else what stands in the way, and the remedy."""
        refused = ""
        async for proof in self._candidates(case, tried=tried):
            refused = await self._refusal(case, known, proof)
            if not refused:
                self._accepted[case.id] = proof
                return "", ""
        needed = await ramp.read("getCCVsForMessage", known.encoded)
        who = ", ".join(needed.requiredCCVs) + (f" and {needed.threshold} others" if needed.threshold else "")
        if refused:
            return (
                f"The verifier results that are known are refused: {refused}.",
                f"fetch those of {who} anew, from an indexer or from their storage",
            )
        return (
            "What its verifiers said is not known, and without it nobody can execute it.",
            f"give the results of {who}: from a file, or from an indexer's address",
        )

    async def _candidates(self, case: Case, *, tried: bool) -> AsyncIterator[Proof]:
        for source in self.proofs:
            for proof in await source.find(case.id):
                yield proof
        for attempt in await self._earlier(case) if tried else ():
            yield attempt.proof

    async def _refusal(self, case: Case, known: _Known, proof: Proof) -> str:
        """Why the contracts do not accept a proof; "" where they do, whatever the receiver then says."""
        return await refusal_of(self.destination, known.off_ramp, case.id, known.message, proof)

    async def _obstacle(self, case: Case, known: _Known, config: Any) -> tuple[str, str]:
        if not config.isEnabled:
            text = f"The OffRamp takes no messages from {case.source_name}: it is switched off."
            return text, "its owner can switch it on again"
        if known.message.on_ramp not in config.onRamps:
            text = (
                f"The OffRamp does not accept OnRamp {account(known.message.on_ramp)} on {case.source_name} any more."
            )
            return text, "its owner must add it again, for the messages that are still on their way"
        return await delivers(self.destination, Address(config.router), known.off_ramp, case)

    # ---- earlier attempts -------------------------------------------------------------------------------------------

    async def _earlier(self, case: Case) -> list[Attempt]:
        """Those that left a trace: one that failed, as a second failure is not recorded."""
        chain = self.destination
        if case.id not in self._attempts and isinstance(chain, TellsCalldata):
            log = await self._find_failure(case)
            data = None if log is None else await chain.transaction_input(log.transaction_hash)
            self._attempts[case.id] = attempts_in(data or b"", case.id)
        return self._attempts.get(case.id, [])

    async def _find_failure(self, case: Case) -> Log | None:
        ramps = [item.address for item in case.contracts if item.role == OFF_RAMP and item.version.startswith(_PREFIX)]
        head = await self.destination.header("latest")
        if not ramps or head is None:
            return None
        wanted = LogFilter(tuple(ramps), (events.EXECUTED.topic0,))
        end, lowest = head.number, max(0, head.number - SEARCH_BLOCKS)
        while end >= lowest:
            first = max(lowest, end - STEP_BLOCKS + 1)
            for log in await self.destination.logs(wanted, first, end):
                if log.topics[-1] == case.id and _failed(log):
                    return log
            end = first - 1
        return None


async def refusal_of(chain: ExecutionChain, off_ramp: Address, name: Hash32, message: MessageV1, proof: Proof) -> str:
    """Why the destination's contracts do not accept a proof; "" where they do, whatever the receiver then says.

    Raises:
        TemporaryError: No answer now.
    """
    try:
        await chain.simulate(sender=off_ramp, to=off_ramp, data=_single_call(name, message, proof, 0))
    except CallReverted as error:
        failure = explain_attempt(error.data)
        # No data: a verifier stumbled over bytes that are no proof at all.
        return failure.text if failure.reason == VERIFICATION_FAILED or not error.data else ""
    return ""


def _kept(case: Case) -> bytes | None:
    """From what the ledger has kept of the send; None where that is not this message's bytes."""
    told = case.told.get(case.sequence)
    details = told.sent.details if told else {}
    try:
        encoded = parse_data(details.get("envelope")) + parse_data(details.get("data"))
    except HexError:
        return None
    return encoded if message_id(encoded) == case.id else None


def _failed(log: Log) -> bool:
    try:
        return bool(events.EXECUTED.decode(log).state == events.FAILURE)
    except DecodeError as error:
        raise RejectedError(f"an execution in transaction {log.transaction_hash} cannot be read: {error}") from error


def _single_call(name: Hash32, message: MessageV1, proof: Proof, override: int) -> bytes:
    return _EXECUTE_SINGLE.encode(_struct(message), bytes.fromhex(name[2:]), proof.ccvs, proof.results, override)


def _struct(message: MessageV1) -> tuple[Any, ...]:
    """`MessageV1Codec.MessageV1`."""
    token = message.transfer
    tokens = [] if token is None else [_token(token)]
    return (
        message.source,
        message.destination,
        message.number,
        message.execution_gas,
        message.callback_gas,
        message.finality,
        message.ccv_and_executor_hash,
        message.on_ramp,
        message.off_ramp,
        message.sender,
        message.receiver,
        message.destination_blob,
        tokens,
        message.data,
    )


def _token(token: Any) -> tuple[Any, ...]:
    return (
        token.amount,
        token.source_pool,
        token.source_token,
        token.destination_token,
        token.receiver,
        token.extra_data,
    )


def _override(message: MessageV1, limit: int) -> int:
    """0 leaves the sender's limit as it is."""
    return limit if limit > message.callback_gas else 0


def _check_gas(gas: Gas) -> None:
    """What no message takes."""
    if gas.tokens is not None:
        raise RejectedError("CCIP 2.0 knows no gas limit for a token's pool", remedy="leave --token-gas out")
    if gas.receiver is not None and gas.receiver > _LARGEST_OVERRIDE:
        raise RejectedError(f"--gas-limit {gas.receiver} is beyond any block's", remedy="give a real one")


def _check_limit(message: MessageV1, gas: Gas) -> None:
    """Limits may only be raised: else anybody could make others' messages fail."""
    if gas.receiver is not None and gas.receiver < message.callback_gas:
        raise RejectedError(
            f"--gas-limit {gas.receiver} is below the sender's {message.callback_gas}: the OffRamp refuses less",
            remedy=f"give {message.callback_gas} or more, or leave it out",
        )


def _version(case: Case, off_ramp: Address) -> str:
    return next((item.version for item in case.contracts if item.address == off_ramp), case.version)
