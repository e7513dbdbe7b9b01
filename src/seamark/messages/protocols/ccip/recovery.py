"""CCIP's manual execution, for the generations that commit roots (1.2, 1.5, 1.6); each adds its own encoding.

    sends of the whole root (source) -> leaves -> root, must be the committed one -> proof -> `manuallyExecute`

Invariant: nothing is built whose leaves do not hash to a root that the destination has committed, so a source node that
lies, or a reorg after the commit, ends in an error here and not in a failed transaction.

What an execution would do is tried with the OffRamp's own `executeSingleMessage`. Only the OffRamp itself may call it,
and in `eth_call` anybody may be the sender; it reverts with exactly what a failed execution would record. A node's
estimate for `manuallyExecute` tells nothing of the kind: the OffRamp catches the failure, and the transaction
"succeeds" with far too little gas. For one sender, `GAS_ESTIMATION_SENDER`, it does not catch a lack of gas.
Source: `OffRamp.sol`, `EVM2EVMOffRamp.sol`, `Internal.sol` of @chainlink/contracts-ccip.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

import structlog

from seamark.core.errors import RejectedError
from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.abi import Abi, DecodeError, Event
from seamark.evm.contract import Contract as Reader
from seamark.evm.merkle import Proof, merkle_root, prove
from seamark.evm.types import Log, LogFilter
from seamark.messages.model import Contract, LaneKey
from seamark.messages.protocols.ccip.generation import OFF_RAMP
from seamark.messages.protocols.ccip.recovery_trial import GAS_ESTIMATION_SENDER, try_execution
from seamark.messages.recovery.model import Case, CommittedRoot, Gas, ManualCall, Standing, Told, Trial
from seamark.messages.recovery.port import ExecutionChain, Recoverer
from seamark.messages.recovery.rules import MESSAGE_OVERHEAD_GAS
from seamark.messages.recovery.sends import LogsGone, find_sends

__all__ = [
    "GAS_ESTIMATION_SENDER",
    "CcipRecovery",
    "Maker",
    "RampGeneration",
    "RampMessage",
    "RampRecoverer",
    "Report",
    "delivers",
    "is_cursed",
    "least_gas",
    "override",
    "try_execution",
]

log = structlog.get_logger("seamark.messages.ccip")

MOST_GAS_PER_TRANSACTION = 10_000_000
"""Of a batch: a third of a block of 30 million, so that it is mined soon."""

_RISK = Abi.parse("function isCursed(bytes16 subject) view returns (bool)", "function isCursed() view returns (bool)")
_EVERYTHING, _SUBJECT = "isCursed()", "isCursed(bytes16)"
_ROUTER = Abi.parse("function isOffRamp(uint64 sourceChainSelector, address offRamp) view returns (bool)")


@dataclass(frozen=True, slots=True)
class RampMessage:
    """A message as its source sent it.

    `struct` is what its OffRamp takes, `gas_limit` what the receiver gets, `token_gas` what the pool of each token gets
    (None where a generation has no such limits), `leaf` its hash in the tree of a commit. `token_data` is what the
    pool of each token wants beside the message (an attestation of its issuer); none where nobody gave it.
    """

    id: Hash32
    sequence: int
    receiver: Address
    data: bytes
    gas_limit: int
    token_gas: tuple[int | None, ...]
    struct: tuple[Any, ...]
    leaf: bytes
    token_data: tuple[bytes, ...] = ()

    @property
    def offchain_data(self) -> list[bytes]:
        """`offchainTokenData`: one blob for each token."""
        return list(self.token_data) or [b""] * len(self.token_gas)


@dataclass(frozen=True, slots=True)
class Report:
    """Messages of one root, with the proof that they belong to it."""

    source: int
    messages: tuple[RampMessage, ...]
    proof: Proof
    root: str


class RampGeneration(Protocol):
    """What differs between the generations."""

    @property
    def sent(self) -> Event:
        """The OnRamp's event."""
        ...

    @property
    def reports_per_call(self) -> int: ...

    def read(self, log: Log, lane: LaneKey) -> RampMessage | None:
        """A send as the destination takes it; None for one of another lane. Raises `DecodeError` or `ValueError`."""
        ...

    def rebuild(self, told: Told, lane: LaneKey) -> RampMessage | None:
        """The same from what the ledger has kept; None where that is not enough."""
        ...

    async def serves(self, destination: ExecutionChain, off_ramp: Contract, lane: LaneKey) -> bool:
        """Whether an OffRamp takes the messages of a lane. Raises `RejectedError` where it does not answer."""
        ...

    async def standing(
        self, destination: ExecutionChain, off_ramp: Contract, case: Case, root: CommittedRoot | None
    ) -> Standing:
        """What the contracts say; `root` is the message's commit, as far as anybody has seen one."""
        ...

    async def find_root(self, destination: ExecutionChain, off_ramp: Contract, case: Case) -> CommittedRoot | None:
        """The commit of a message that the ledger has not seen committed; None where there is none."""
        ...

    def manual_call(self, reports: Sequence[Report], gas: Gas) -> bytes:
        """Calldata of `manuallyExecute`; 0 in place of each limit that stays."""
        ...

    def trial_call(self, message: RampMessage, gas: Gas) -> bytes:
        """Calldata of `executeSingleMessage`."""
        ...


Maker: TypeAlias = Callable[[Case, ExecutionChain | None, ExecutionChain], Recoverer]
"""From a case, its source (None where it is not configured) and its destination."""


class CcipRecovery:
    """`RecoveryProtocol` of CCIP. A generation is chosen by the beginning of the message's version."""

    name = "ccip"

    def __init__(self, makers: Mapping[str, Maker]) -> None:
        self._makers = dict(makers)

    def recoverer(self, case: Case, chains: Mapping[ChainId, ExecutionChain]) -> Recoverer:
        """See `RecoveryProtocol`."""
        make = next((make for prefix, make in self._makers.items() if case.version.startswith(prefix)), None)
        if make is None:
            known = ", ".join(prefix.rstrip(".") for prefix in self._makers)
            raise RejectedError(
                f"message {case.id} is of CCIP {case.version or 'of an unknown version'}, which cannot be executed by"
                f" hand from here (only {known})",
                remedy="use the CCIP Explorer",
            )
        destination = None if case.destination_chain is None else chains.get(case.destination_chain)
        if destination is None:
            raise RejectedError(
                f"{case.destination_name}, where message {case.id} is to be executed, is not in the settings",
                remedy="add it under chains and ccip.chains, and let the monitor run",
            )
        source = None if case.source_chain is None else chains.get(case.source_chain)
        return make(case, source, destination)


@dataclass(slots=True)
class RampRecoverer:
    """`Recoverer` of one lane of a generation that commits roots. `token_data` is by message, for its tokens in their
    order; who made the recoverer may add to it.
    """

    generation: RampGeneration
    source: ExecutionChain | None
    destination: ExecutionChain
    token_data: Mapping[Hash32, tuple[bytes, ...]] = field(default_factory=dict)
    _off_ramps: dict[LaneKey, list[Contract]] = field(default_factory=dict)
    _found_roots: dict[Hash32, CommittedRoot | None] = field(default_factory=dict)
    _roots: dict[tuple[LaneKey, str], tuple[RampMessage, ...]] = field(default_factory=dict)

    async def standing(self, case: Case) -> Standing:
        """See `Recoverer`. Where several OffRamps take the lane, that one counts which knows of the message."""
        best: tuple[bool, Standing] | None = None
        for off_ramp in await self._serving(case):
            root = case.root or await self.generation.find_root(self.destination, off_ramp, case)
            standing = await self.generation.standing(self.destination, off_ramp, case, root)
            knows = standing.committed_at is not None or bool(standing.state)
            if best is None or (knows and not best[0]):
                best = knows, standing
                self._found_roots[case.id] = root
        assert best is not None
        return best[1]

    async def trial(self, case: Case, standing: Standing, gas: Gas) -> Trial:
        """See `Recoverer`."""
        message = await self._message(case)
        limit = max(gas.receiver or 0, message.gas_limit)

        def data(receiver_gas: int) -> bytes:
            return self.generation.trial_call(message, Gas(receiver_gas, gas.tokens))

        return await try_execution(
            self.destination,
            standing.off_ramp,
            data,
            limit,
            sent=message.gas_limit,
            receiver=message.receiver,
            quiet=not message.data and not message.gas_limit,
        )

    async def build(self, cases: Sequence[Case], standings: Sequence[Standing], gas: Gas) -> list[ManualCall]:
        """See `Recoverer`: one report for neighbours of one root; as many reports in a call as the OffRamp takes."""
        parts: list[tuple[Address, list[Report]]] = []
        spent = 0
        for group in _by_root(cases, standings):
            report = await self._report([case for case, _ in group])
            if len(cases) == 1:
                _check_gas(report.messages[0], gas)
            to, needs = group[0][1].off_ramp, least_gas(report.messages, gas)
            same = bool(parts) and parts[-1][0] == to and len(parts[-1][1]) < self.generation.reports_per_call
            if same and spent + needs <= MOST_GAS_PER_TRANSACTION:
                parts[-1][1].append(report)
                spent += needs
            else:
                parts.append((to, [report]))
                spent = needs
        return [self._call(to, reports, gas) for to, reports in parts]

    def _call(self, to: Address, reports: Sequence[Report], gas: Gas) -> ManualCall:
        messages = [message for report in reports for message in report.messages]
        return ManualCall(
            chain_id=self.destination.chain_id,
            to=to,
            data=self.generation.manual_call(reports, gas),
            messages=tuple(message.id for message in messages),
            least_gas=least_gas(messages, gas),
            estimate_as=GAS_ESTIMATION_SENDER,
            roots=tuple(report.root for report in reports),
        )

    async def _serving(self, case: Case) -> list[Contract]:
        if case.lane not in self._off_ramps:
            self._off_ramps[case.lane] = [item async for item in self._ask_ramps(case)]
        found = self._off_ramps[case.lane]
        if not found:
            raise RejectedError(
                f"no OffRamp is known on {case.destination_name} that takes messages of OnRamp {case.lane.channel} on"
                f" {case.source_name}",
                remedy="list both chains under ccip.chains and run the monitor once, so that it is found",
            )
        return found

    async def _ask_ramps(self, case: Case) -> AsyncIterator[Contract]:
        prefix = ".".join(case.version.split(".")[:2]) + "."
        for item in case.contracts:
            if item.role != OFF_RAMP or not item.version.startswith(prefix):
                continue
            try:
                serves = await self.generation.serves(self.destination, item, case.lane)
            except RejectedError as error:  # one that answers nothing executes nothing; another may
                log.warning("OffRamp does not answer", address=item.address, error=str(error))
                continue
            if serves:
                yield item

    # ---- the root ---------------------------------------------------------------------------------------------------

    async def _message(self, case: Case) -> RampMessage:
        root = self._root(case)
        message = (await self._leaves(case, root))[case.sequence - root.first]
        if message.id != case.id:
            raise RejectedError(
                f"sequence number {case.sequence} on {case.source_name} now belongs to message {message.id}, not to"
                f" {case.id}",
                remedy="its send was reorganised away; look at the other message",
            )
        token_data = self.token_data.get(case.id, ())
        if token_data and len(token_data) != len(message.token_gas):
            raise RejectedError(
                f"message {case.id} carries {len(message.token_gas)} tokens, and {len(token_data)} attestations are"
                " there",
                remedy="give one for each token, in the message's order; 0x for a token that needs none",
            )
        return replace(message, token_data=token_data)

    def _root(self, case: Case) -> CommittedRoot:
        root = case.root or self._found_roots.get(case.id)
        if root is None:
            raise RejectedError(f"message {case.id} is not committed on {case.destination_name}")
        return root

    async def _leaves(self, case: Case, root: CommittedRoot) -> tuple[RampMessage, ...]:
        key = case.lane, root.root
        if key not in self._roots:
            self._roots[key] = await self._read_root(case, root)
        return self._roots[key]

    async def _read_root(self, case: Case, root: CommittedRoot) -> tuple[RampMessage, ...]:
        try:
            messages = await self._from_source(case, root)
        except LogsGone:
            rebuilt = self._from_ledger(case, root)
            if rebuilt is None:
                raise
            messages = rebuilt
        found = "0x" + merkle_root([message.leaf for message in messages]).hex()
        if found != root.root:
            raise RejectedError(
                f"the sends #{root.first} to #{root.last} on {case.source_name} hash to {found}, but {root.root} was"
                f" committed on {case.destination_name}",
                remedy="the source was reorganised after the commit, or its node is wrong: ask another endpoint",
            )
        return messages

    async def _from_source(self, case: Case, root: CommittedRoot) -> tuple[RampMessage, ...]:
        if self.source is None:
            raise LogsGone(
                f"{case.source_name}, where message {case.id} was sent, cannot be read, and the ledger has not kept"
                f" all of #{root.first} to #{root.last}",
                remedy="add the chain to the settings, or an endpoint that answers to its rpc list",
            )
        if case.sent is None:
            raise LogsGone(
                f"the send of message {case.id} on {case.source_name} is not known",
                remedy="list the source under chains and ccip.chains and let the monitor read it from an earlier block",
            )
        logs = await find_sends(
            self.source,
            LogFilter((Address(case.lane.channel),), (self.generation.sent.topic0,)),
            range(root.first, root.last + 1),
            case.siblings | {case.sequence: case.sent},
            lambda log: _number(self.generation, log, case.lane),
            chain=case.source_name,
        )
        return tuple(_read(self.generation, log, case.lane) for log in logs)

    def _from_ledger(self, case: Case, root: CommittedRoot) -> tuple[RampMessage, ...] | None:
        """As the ledger has kept the sends; None where it has not kept enough. The root tells whether it is right."""
        numbers = range(root.first, root.last + 1)
        rebuilt = [
            self.generation.rebuild(case.told[number], case.lane) if number in case.told else None for number in numbers
        ]
        messages = tuple(message for message in rebuilt if message is not None)
        return messages if len(messages) == len(numbers) else None

    async def _report(self, cases: Sequence[Case]) -> Report:
        root = self._root(cases[0])
        messages = tuple([await self._message(case) for case in cases])
        leaves = [message.leaf for message in await self._leaves(cases[0], root)]
        proof = prove(leaves, [message.sequence - root.first for message in messages])
        return Report(int(cases[0].lane.source), messages, proof, root.root)


def _read(generation: RampGeneration, log: Log, lane: LaneKey) -> RampMessage:
    try:
        message = generation.read(log, lane)
    except (DecodeError, ValueError) as error:
        raise RejectedError(f"a send in transaction {log.transaction_hash} cannot be read: {error}") from error
    assert message is not None  # `find_sends` has only kept those of the lane
    return message


def _number(generation: RampGeneration, log: Log, lane: LaneKey) -> int | None:
    try:
        message = generation.read(log, lane)
    except (DecodeError, ValueError):
        return None  # one of another lane may be unreadable to us; a missing one of ours is told by its number
    return None if message is None else message.sequence


def _by_root(cases: Sequence[Case], standings: Sequence[Standing]) -> list[list[tuple[Case, Standing]]]:
    """Neighbours that one report can hold: same OffRamp, lane and root, in rising order."""
    groups: list[list[tuple[Case, Standing]]] = []
    for case, standing in zip(cases, standings, strict=True):
        if groups:
            before, stood = groups[-1][-1]
            same = before.lane == case.lane and before.root == case.root and case.root is not None
            if same and stood.off_ramp == standing.off_ramp and before.sequence < case.sequence:
                groups[-1].append((case, standing))
                continue
        groups.append([(case, standing)])
    return groups


def override(message: RampMessage, gas: Gas) -> tuple[int, list[int]]:
    """Gas for the receiver and for each token's pool, as the OffRamp takes it: 0 leaves a limit as it is."""
    receiver = gas.receiver if gas.receiver is not None and gas.receiver > message.gas_limit else 0
    tokens = [gas.tokens if gas.tokens is not None and gas.tokens > (least or 0) else 0 for least in message.token_gas]
    return receiver, tokens


async def is_cursed(destination: ExecutionChain, risk: Address, case: Case) -> str:
    """What is cursed, in words; "" for nothing. Of RMN 1.5 and RMNRemote 1.6, which also know curses of single chains
    (the subject is the selector).
    """
    subject = int(case.lane.source).to_bytes(16, "big")
    everything, lane = await Reader(destination, risk, _RISK).read_many([(_EVERYTHING, ()), (_SUBJECT, (subject,))])
    return "Everything" if everything else case.source_name if lane else ""


async def delivers(destination: ExecutionChain, router: Address, off_ramp: Address, case: Case) -> tuple[str, str]:
    """Does the router still take messages and tokens from the OffRamp? If not: why not, and the remedy."""
    if await Reader(destination, router, _ROUTER).read("isOffRamp", int(case.lane.source), off_ramp):
        return "", ""
    text = f"The router on {case.destination_name} no longer takes messages from OffRamp {off_ramp}."
    return text, "its owner must add it again, for the messages that are still on their way"


def least_gas(messages: Iterable[RampMessage], gas: Gas) -> int:
    """What the messages need at least, whatever an estimate says."""
    return sum(
        max(message.gas_limit, gas.receiver or 0)
        + sum(max(limit or 0, gas.tokens or 0) for limit in message.token_gas)
        + MESSAGE_OVERHEAD_GAS
        for message in messages
    )


def _check_gas(message: RampMessage, gas: Gas) -> None:
    """Limits may only be raised: else anybody could make others' messages fail. In a batch, lower ones do not count."""
    if gas.receiver is not None and gas.receiver < message.gas_limit:
        raise RejectedError(
            f"--gas-limit {gas.receiver} is below the sender's {message.gas_limit}: the OffRamp refuses less",
            remedy=f"give {message.gas_limit} or more, or leave it out",
        )
    least = max((limit for limit in message.token_gas if limit is not None), default=0)
    if gas.tokens is not None and gas.tokens < least:
        raise RejectedError(
            f"--token-gas {gas.tokens} is below the sender's {least}: the OffRamp refuses less",
            remedy=f"give {least} or more, or leave it out",
        )
