"""The recoverer of generations that commit roots: choosing an OffRamp, proving, splitting, trying; no chain needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from seamark.core.errors import RejectedError
from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.abi import Error, Event
from seamark.evm.crypto import keccak256
from seamark.evm.merkle import merkle_root
from seamark.evm.rpc.errors import CallReverted
from seamark.evm.types import BlockHeader, Log, LogFilter
from seamark.messages.model import Contract, LaneKey, Sent
from seamark.messages.protocols.ccip.recovery import (
    MOST_GAS_PER_TRANSACTION,
    CcipRecovery,
    RampMessage,
    RampRecoverer,
    Report,
    least_gas,
    override,
)
from seamark.messages.protocols.ccip.recovery_roots import STEP_BLOCKS, search_commit
from seamark.messages.protocols.ccip.recovery_trial import LARGEST_HELPFUL_GAS, try_execution
from seamark.messages.recovery import Case, CommittedRoot, ExecutionState, Gas, Place, Standing
from seamark.messages.recovery.model import Told
from seamark.messages.recovery.sends import LogsGone
from tests.unit.messages.recovery.cases import LANE, OFF_RAMP, case, message_id, standing

SENT = Event.parse("event Sent(uint64 sequence)")
RECEIVER = Address("0x" + "4e" * 20)
OUT_OF_GAS = Error.parse("error ReceiverError(bytes err)").encode(b"")
REVERTED = Error.parse("error ReceiverError(bytes err)").encode(Error.parse("error Nope()").encode())
OLD_RAMP = Address("0x" + "0e" * 20)


def contract(address: Address = OFF_RAMP, role: str = "offramp", version: str = "1.6.0") -> Contract:
    return Contract(chain_id=ChainId(2), address=address, role=role, version=version)


def message(sequence: int, gas_limit: int = 200_000, tokens: tuple[int | None, ...] = ()) -> RampMessage:
    return RampMessage(
        message_id(sequence), sequence, RECEIVER, b"x", gas_limit, tokens, (sequence,), keccak256(bytes([sequence]))
    )


@dataclass
class Chain:
    """A destination or a source: canned answers."""

    sends: list[Log] = field(default_factory=list)
    has_code: bool = True
    answer: Callable[[bytes], bytes] = lambda _: (1).to_bytes(32, "big")
    chain_id: ChainId = field(default=ChainId(2))
    tried: list[tuple[Address, bytes]] = field(default_factory=list)

    async def simulate(self, *, sender: Address, to: Any, data: bytes, value: int = 0, gas: int | None = None) -> bytes:
        self.tried.append((sender, data))
        return self.answer(data)

    async def code(self, address: Address) -> bytes:
        return b"\x60" if self.has_code else b""

    async def logs(self, wanted: LogFilter, first: int, last: int, *, end: Any = None) -> list[Log]:
        return [log for log in self.sends if first <= log.block_number <= last]

    async def header(self, block: Any) -> BlockHeader:
        return BlockHeader(max((log.block_number for log in self.sends), default=0), Hash32("0x"), Hash32("0x"), 0)


@dataclass
class Ramps:
    """A generation whose messages are numbers."""

    sent: Event = SENT
    reports_per_call: int = 2
    gas_limits: dict[int, int] = field(default_factory=dict)
    standings: dict[Address, Standing] = field(default_factory=dict)
    refusing: tuple[Address, ...] = ()
    root: CommittedRoot | None = None

    def read(self, log: Log, lane: LaneKey) -> RampMessage | None:
        sequence = int(log.data, 16)
        return message(sequence, self.gas_limits.get(sequence, 200_000))

    def rebuild(self, told: Told, lane: LaneKey) -> RampMessage | None:
        return message(told.sequence) if told.sent.details else None

    async def serves(self, destination: Any, off_ramp: Contract, lane: LaneKey) -> bool:
        if off_ramp.address in self.refusing:
            raise RejectedError("gone")
        return True

    async def standing(self, destination: Any, off_ramp: Contract, case: Case, root: Any) -> Standing:
        return self.standings.get(off_ramp.address, standing(ExecutionState.FAILURE, off_ramp=off_ramp.address))

    async def find_root(self, destination: Any, off_ramp: Contract, case: Case) -> CommittedRoot | None:
        return self.root

    def manual_call(self, reports: Sequence[Report], gas: Gas) -> bytes:
        return repr([[item.sequence for item in report.messages] for report in reports]).encode()

    def trial_call(self, message: RampMessage, gas: Gas) -> bytes:
        return (gas.receiver or 0).to_bytes(32, "big")


def send(sequence: int) -> Log:
    return Log(Address(LANE.channel), (SENT.topic0,), hex(sequence), 100 + sequence, Hash32("0x"), Hash32("0x"), 0)


def root_over(first: int, last: int) -> CommittedRoot:
    found = merkle_root([message(number).leaf for number in range(first, last + 1)])
    return CommittedRoot(first, last, "0x" + found.hex(), 0, message_id(99))


def one(sequence: int, root: CommittedRoot, /, **changes: Any) -> Case:
    places = {number: Place(100 + number, Hash32("0x")) for number in range(root.first, root.last + 1)}
    return case(
        sequence,
        **{"root": root, "siblings": places, "sent": places.get(sequence), "contracts": (contract(),)} | changes,
    )


def recoverer(ramps: Ramps | None = None, *, sends: int = 20) -> RampRecoverer:
    source: Any = Chain(sends=[send(number) for number in range(1, sends + 1)])
    destination: Any = Chain()
    return RampRecoverer(ramps or Ramps(), source, destination)


async def build(desk: RampRecoverer, cases: Sequence[Case], gas: Gas | None = None) -> list[str]:
    calls = await desk.build(cases, [standing(ExecutionState.FAILURE)] * len(cases), gas or Gas())
    return [call.data.decode() for call in calls]


# ---- choosing --------------------------------------------------------------------------------------------------------


async def test_the_off_ramp_that_knows_of_the_message_counts() -> None:
    knowing = standing(ExecutionState.UNTOUCHED, off_ramp=OFF_RAMP)
    ignorant = standing(ExecutionState.UNTOUCHED, off_ramp=OLD_RAMP, committed_at=None)
    for order in ((OLD_RAMP, OFF_RAMP), (OFF_RAMP, OLD_RAMP)):
        desk = recoverer(Ramps(standings={OFF_RAMP: knowing, OLD_RAMP: ignorant}))
        found = await desk.standing(one(1, root_over(1, 1), contracts=tuple(contract(item) for item in order)))
        assert found.off_ramp == OFF_RAMP


async def test_ramps_of_other_roles_and_generations_are_not_asked_and_dead_ones_are_passed_over() -> None:
    others = (contract(OLD_RAMP, "onramp"), contract(Address("0x03"), version="1.5.0"), contract(Address("0x04")))
    desk = recoverer(Ramps(refusing=(Address("0x04"),)))
    assert (await desk.standing(one(1, root_over(1, 1), contracts=(*others, contract())))).off_ramp == OFF_RAMP
    with pytest.raises(RejectedError, match="no OffRamp is known"):
        await recoverer(Ramps(refusing=(Address("0x04"),))).standing(one(1, root_over(1, 1), contracts=others))


def test_a_generation_is_chosen_by_the_version() -> None:
    made: list[Any] = []

    def maker(name: str) -> Any:
        return lambda case, source, destination: made.append((name, source, destination))

    protocol = CcipRecovery({"1.5.": maker("1.5"), "1.6.": maker("1.6")})
    chain: Any = Chain()
    protocol.recoverer(case(version="1.6.3"), {ChainId(2): chain})
    assert made == [("1.6", None, chain)]  # without a source all is said but what needs it
    with pytest.raises(RejectedError, match=r"only 1\.5, 1\.6"):
        protocol.recoverer(case(version="1.4.0"), {ChainId(2): chain})
    with pytest.raises(RejectedError, match="remote"):
        protocol.recoverer(case(), {ChainId(1): chain})
    with pytest.raises(RejectedError, match="remote"):
        protocol.recoverer(case(destination_chain=None), {ChainId(2): chain})


# ---- proving ---------------------------------------------------------------------------------------------------------


async def test_neighbours_share_a_report_and_reports_share_a_call() -> None:
    first, second, third = root_over(1, 4), root_over(5, 5), root_over(6, 8)
    cases = [one(1, first), one(3, first), one(5, second), one(6, third), one(8, third)]
    assert await build(recoverer(), cases) == ["[[1, 3], [5]]", "[[6, 8]]"]
    assert await build(recoverer(Ramps(reports_per_call=1)), cases) == ["[[1, 3]]", "[[5]]", "[[6, 8]]"]


async def test_a_call_is_not_larger_than_a_block_likes() -> None:
    half = MOST_GAS_PER_TRANSACTION // 2
    ramps = Ramps(reports_per_call=10, gas_limits={1: half, 2: half, 3: 1000})
    roots = [root_over(number, number) for number in (1, 2, 3)]
    calls = await build(recoverer(ramps), [one(number, root) for number, root in zip((1, 2, 3), roots, strict=True)])
    assert calls == ["[[1]]", "[[2], [3]]"]


async def test_what_is_built_carries_its_least_gas_roots_and_messages() -> None:
    root = root_over(1, 3)
    (call,) = await recoverer().build(
        [one(2, root), one(3, root)], [standing(ExecutionState.FAILURE)] * 2, Gas(receiver=500_000)
    )
    assert call.least_gas == 2 * 700_000
    assert call.messages == (message_id(2), message_id(3))
    assert call.roots == (root.root,)
    assert call.to == OFF_RAMP


async def test_a_root_that_the_sends_do_not_make_is_refused() -> None:
    wrong = CommittedRoot(1, 3, "0x" + "12" * 32, 0, message_id(99))
    with pytest.raises(RejectedError, match="was committed on remote") as caught:
        await build(recoverer(), [one(2, wrong)])
    assert "reorganised" in caught.value.remedy


async def test_a_number_that_has_another_message_now_is_refused() -> None:
    with pytest.raises(RejectedError, match="now belongs to message"):
        await build(recoverer(), [one(2, root_over(1, 3), id=message_id(77))])


async def test_without_a_source_or_a_send_nothing_is_built() -> None:
    root = root_over(1, 1)
    with pytest.raises(RejectedError, match="is not known"):
        await build(recoverer(), [one(1, root, sent=None)])
    desk = recoverer()
    desk.source = None
    with pytest.raises(RejectedError, match=r"home, where message .* was sent, cannot be read"):
        await build(desk, [one(1, root)])
    with pytest.raises(RejectedError, match="is not committed"):
        await build(recoverer(), [one(1, root, root=None)])


def kept(*sequences: int, details: dict[str, Any] | None = None) -> dict[int, Told]:
    known = {"data": "0x"} if details is None else details
    return {number: Told(message_id(number), number, Sent(details=known)) for number in sequences}


async def test_what_the_source_has_lost_is_rebuilt_from_the_ledger() -> None:
    root = root_over(1, 3)
    lost = recoverer(sends=0)
    assert await build(lost, [one(2, root, told=kept(1, 2, 3))]) == ["[[2]]"]
    away = recoverer()
    away.source = None
    assert await build(away, [one(2, root, told=kept(1, 2, 3))]) == ["[[2]]"]


@pytest.mark.parametrize("told", [{}, kept(2), kept(1, 2, 3, details={})])
async def test_what_the_ledger_has_not_kept_whole_is_told_as_gone(told: dict[int, Told]) -> None:
    with pytest.raises(LogsGone, match="have no log of the sends"):
        await build(recoverer(sends=0), [one(2, root_over(1, 3), told=told)])


async def test_what_the_ledger_kept_must_make_the_root_too() -> None:
    wrong = CommittedRoot(1, 3, "0x" + "12" * 32, 0, message_id(99))
    with pytest.raises(RejectedError, match="was committed on remote"):
        await build(recoverer(sends=0), [one(2, wrong, told=kept(1, 2, 3))])


async def test_a_root_is_read_once() -> None:
    desk = recoverer()
    root = root_over(1, 8)
    await build(desk, [one(number, root) for number in range(1, 9)])
    source: Any = desk.source
    source.sends.clear()
    await build(desk, [one(4, root)])


async def test_a_commit_found_on_chain_is_as_good_as_the_ledgers() -> None:
    root = root_over(1, 3)
    desk = recoverer(Ramps(root=root))
    unknown = one(2, root, root=None)
    await desk.standing(unknown)
    assert await build(desk, [unknown]) == ["[[2]]"]


async def test_attestations_must_be_as_many_as_tokens() -> None:
    root = root_over(1, 2)
    desk = recoverer()
    desk.token_data = {message_id(1): (b"attested",)}
    with pytest.raises(RejectedError, match="carries 0 tokens, and 1 attestations"):
        await build(desk, [one(1, root)])
    await build(desk, [one(2, root)])  # those of another message are not meant


async def test_gas_may_only_be_raised() -> None:
    root = root_over(1, 2)
    with pytest.raises(RejectedError, match="below the sender's 200000"):
        await build(recoverer(), [one(1, root)], Gas(receiver=199_999))
    await build(recoverer(), [one(1, root)], Gas(receiver=200_000))
    await build(recoverer(), [one(1, root), one(2, root)], Gas(receiver=1))  # in a batch, lower ones do not count


@pytest.mark.parametrize(
    ("tokens", "gas", "expected"),
    [
        ((), Gas(), (0, [])),
        ((), Gas(receiver=200_000), (0, [])),
        ((), Gas(receiver=200_001), (200_001, [])),
        ((90_000, 90_000), Gas(tokens=100_000), (0, [100_000, 100_000])),
        ((90_000,), Gas(tokens=80_000), (0, [0])),
        ((None,), Gas(tokens=80_000), (0, [80_000])),
    ],
)
def test_overrides_are_zero_where_nothing_is_raised(tokens: Any, gas: Gas, expected: Any) -> None:
    assert override(message(1, tokens=tokens), gas) == expected


def test_the_least_gas_counts_tokens() -> None:
    assert least_gas([message(1, 100, (90_000, None))], Gas()) == 100 + 90_000 + 200_000
    assert least_gas([message(1, 100, (90_000, None))], Gas(1_000, 95_000)) == 1_000 + 190_000 + 200_000


# ---- trying ----------------------------------------------------------------------------------------------------------


def reverting(below: int, data: bytes = OUT_OF_GAS) -> Callable[[bytes], bytes]:
    """A trial that fails below some gas; `supportsInterface` says yes."""

    def answer(calldata: bytes) -> bytes:
        if len(calldata) == 32 and int.from_bytes(calldata, "big") < below:
            raise CallReverted("reverted", data=data)
        return (1).to_bytes(32, "big")

    return answer


async def tried(chain: Chain, gas_limit: int = 200_000, *, quiet: bool = False) -> Any:
    destination: Any = chain
    return await try_execution(
        destination,
        OFF_RAMP,
        lambda gas: gas.to_bytes(32, "big"),
        gas_limit,
        sent=200_000,
        receiver=RECEIVER,
        quiet=quiet,
    )


async def test_a_trial_is_a_call_of_the_off_ramp_by_itself() -> None:
    chain = Chain()
    assert (await tried(chain)).succeeds is True
    assert chain.tried[0][0] == OFF_RAMP


@pytest.mark.parametrize(("needs", "helpful"), [(300_000, 400_000), (12_000_000, 12_800_000), (10**8, None)])
async def test_gas_that_would_help_is_looked_for(needs: int, helpful: int | None) -> None:
    chain = Chain(answer=reverting(needs))
    found = await tried(chain)
    assert found.succeeds is False
    assert found.reason == "receiver_out_of_gas"
    assert found.helpful_gas_limit == helpful
    assert max(int.from_bytes(data, "big") for _, data in chain.tried) <= LARGEST_HELPFUL_GAS


async def test_a_receiver_that_says_no_is_not_offered_more_gas() -> None:
    chain = Chain(answer=reverting(10**9, REVERTED))
    found = await tried(chain)
    assert found.reason == "receiver_reverted"
    assert found.helpful_gas_limit is None
    assert len(chain.tried) == 1


def denying(data: bytes) -> bytes:
    return bytes(32)


def silent(data: bytes) -> bytes:
    if len(data) == 36:
        raise CallReverted("reverted")
    return b""


@pytest.mark.parametrize(
    ("chain", "callback"),
    [(Chain(), True), (Chain(has_code=False), False), (Chain(answer=denying), False), (Chain(answer=silent), False)],
)
async def test_whether_the_receiver_would_be_called(chain: Chain, callback: bool) -> None:
    assert (await tried(chain)).callback is callback
    assert (await tried(chain, quiet=True)).callback is None


# ---- commits that the ledger lacks -----------------------------------------------------------------------------------


def commit(first: int, last: int, block: int) -> Log:
    return Log(OFF_RAMP, (SENT.topic0,), f"{first}-{last}", block, Hash32("0x"), message_id(block), 0)


def roots(log: Log) -> list[tuple[int, int, bytes]]:
    first, last = map(int, log.data.split("-"))
    return [(first, last, first.to_bytes(32, "big"))]


async def search(commits: list[Log], sequence: int) -> CommittedRoot | None:
    chain: Any = Chain(sends=commits)
    return await search_commit(chain, OFF_RAMP, SENT.topic0, roots, case(sequence))


async def test_a_commit_is_found_backward_from_the_head() -> None:
    commits = [commit(1, 3, 10), commit(4, 4, STEP_BLOCKS * 3), commit(5, 9, STEP_BLOCKS * 5)]
    found = await search(commits, 4)
    assert found is not None
    assert (found.first, found.last, found.transaction) == (4, 4, message_id(STEP_BLOCKS * 3))
    assert (await search(commits, 1)) is not None
    assert await search(commits, 10) is None
    assert await search([], 1) is None
