"""The recovery desk over a ledger in memory and a protocol of its own: cases, batches, gas, refusals, audit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from seamark.core.errors import RejectedError
from seamark.core.ids import Address, ChainId
from seamark.evm.abi import Error
from seamark.evm.rpc.errors import CallReverted, RequestRefused
from seamark.messages.recovery import Answer, Case, ExecutionState, Gas, ManualCall, Standing, Trial
from seamark.messages.recovery.rules import FLOOR_GAS
from seamark.messages.recovery.service import SENT, RecoveryDesk
from seamark.messages.recovery.view import examination_view, prepared_view
from seamark.storage.database import Database, open_database
from seamark.storage.events import read_events
from tests.unit.messages.recovery.cases import OFF_RAMP, case, message_id, standing, trial

ANYBODY = Address("0x" + "0a" * 20)
AS_IT_IS = Gas()


@dataclass
class Chain:
    """A destination: an estimate or an error, and what a run of all of it says."""

    estimate: int | Exception = 300_000
    run: Exception | None = None
    gas: list[int | None] = field(default_factory=list)

    async def estimate_gas(self, **_: Any) -> int:
        if isinstance(self.estimate, Exception):
            raise self.estimate
        return self.estimate

    async def simulate(self, *, gas: int | None = None, **_: Any) -> bytes:
        self.gas.append(gas)
        if self.run is not None:
            raise self.run
        return b""


@dataclass
class Protocol:
    """Also the recoverer. Standings and trials by sequence number; where none is said, all is ready and succeeds."""

    name: str = "ccip"
    standings: dict[int, Standing | Exception] = field(default_factory=dict)
    trials: dict[int, Trial | Exception] = field(default_factory=dict)
    built: list[list[int]] = field(default_factory=list)

    def recoverer(self, case: Case, chains: Any) -> Any:
        return self

    async def standing(self, case: Case) -> Any:
        return _or_raise(self.standings.get(case.sequence, standing(ExecutionState.FAILURE)))

    async def trial(self, case: Case, standing: Standing, gas: Gas) -> Any:
        return _or_raise(self.trials.get(case.sequence, trial()))

    async def build(self, cases: Sequence[Case], standings: Sequence[Standing], gas: Gas) -> list[ManualCall]:
        self.built.append([item.sequence for item in cases])
        ids = tuple(item.id for item in cases)
        data = b"".join(bytes([item.sequence]) for item in cases)
        return [
            ManualCall(
                chain_id=ChainId(2), to=OFF_RAMP, data=data, messages=ids, least_gas=400_000, estimate_as=ANYBODY
            )
        ]


def _or_raise(value: Any) -> Any:
    if isinstance(value, Exception):
        raise value
    return value


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    opened = await open_database("sqlite://")
    yield opened
    await opened.close()


def desk(database: Database, protocol: Protocol | None = None, chain: Chain | None = None) -> RecoveryDesk:
    chains: Any = {ChainId(2): chain or Chain()}
    return RecoveryDesk(database=database, protocols=[protocol or Protocol()], chains=chains)


def ordered(number: int, **changes: Any) -> Standing:
    return standing(nonce=number, next_nonce=1, **changes)


# ---- examining -------------------------------------------------------------------------------------------------------


async def test_what_may_go_is_tried_and_what_may_not_is_not(database: Database) -> None:
    refused = RejectedError("must not be tried")
    protocol = Protocol(standings={1: standing(ExecutionState.SUCCESS)}, trials={1: refused})
    done = await desk(database, protocol).examine(case(1), AS_IT_IS)
    assert done.verdict.answer is Answer.DONE
    assert done.trial is None
    assert not done.worthwhile
    ready = await desk(database).examine(case(2), AS_IT_IS)
    assert ready.worthwhile
    assert "would succeed" in ready.advice


async def test_a_trial_that_fails_or_cannot_be_made(database: Database) -> None:
    fails = trial(succeeds=False, reason="receiver_reverted", text="no")
    unknown = trial(succeeds=None, text="the node is busy")
    protocol = Protocol(trials={1: fails, 2: unknown})
    assert not (await desk(database, protocol).examine(case(1), AS_IT_IS)).worthwhile
    assert (await desk(database, protocol).examine(case(2), AS_IT_IS)).worthwhile


async def test_other_protocols_are_refused_with_a_reason(database: Database) -> None:
    other = case(1, lane=case(1).lane._replace(protocol="hyperlane"))
    with pytest.raises(RejectedError, match="messages of hyperlane"):
        await desk(database).examine(other, AS_IT_IS)


async def test_in_a_batch_one_that_cannot_be_dealt_with_does_not_stop_the_others(database: Database) -> None:
    protocol = Protocol(
        standings={1: RejectedError("its chain is gone", remedy="add it")},
        trials={2: RejectedError("old logs are gone")},
    )
    found = await desk(database, protocol).examine_all([case(number) for number in (1, 2, 3)], AS_IT_IS)
    assert [item.verdict.answer for item in found] == [Answer.REFUSED, Answer.REFUSED, Answer.READY]
    assert found[0].verdict.text == "its chain is gone"
    assert found[0].verdict.remedy == "add it"
    assert found[1].verdict.text == "old logs are gone"


async def test_a_queue_stands_behind_one_whose_trial_fails(database: Database) -> None:
    fails = trial(succeeds=False, reason="receiver_reverted", text="no")
    protocol = Protocol(standings={number: ordered(number) for number in (1, 2, 3)}, trials={2: fails})
    cases = [case(number, nonce=number) for number in (1, 2, 3)]
    found = await desk(database, protocol).examine_all(cases, AS_IT_IS)
    assert [item.worthwhile for item in found] == [True, False, False]
    assert found[2].verdict.answer is Answer.NONCE_BLOCKED
    assert message_id(2) in found[2].verdict.remedy
    anyway = await desk(database, protocol).examine_all(cases, AS_IT_IS, anyway=True)
    assert [item.verdict.allowed for item in anyway] == [True, True, True]


async def test_a_later_one_holds_up_no_earlier_one(database: Database) -> None:
    protocol = Protocol(standings={number: ordered(number) for number in (1, 2)})
    found = await desk(database, protocol).examine_all([case(2, nonce=2), case(1, nonce=1)], AS_IT_IS)
    assert [item.worthwhile for item in found] == [False, True]


async def test_a_failed_one_holds_up_nobody(database: Database) -> None:
    fails = trial(succeeds=False, reason="receiver_reverted", text="no")
    protocol = Protocol(
        standings={1: standing(ExecutionState.FAILURE, nonce=1, next_nonce=2), 2: standing(nonce=2, next_nonce=2)},
        trials={1: fails},
    )
    found = await desk(database, protocol).examine_all([case(1, nonce=1), case(2, nonce=2)], AS_IT_IS)
    assert [item.worthwhile for item in found] == [False, True]


# ---- preparing -------------------------------------------------------------------------------------------------------


async def prepare(database: Database, chain: Chain, *numbers: int) -> Any:
    office = desk(database, chain=chain)
    return await office.prepare([await office.examine(case(number), AS_IT_IS) for number in numbers or (1,)], AS_IT_IS)


async def test_the_limit_is_run_once_more_before_it_is_given(database: Database) -> None:
    chain = Chain(estimate=500_000)
    (made,) = await prepare(database, chain)
    assert made.gas == 575_000
    assert chain.gas == [575_000]
    assert made.checked == ""


async def test_an_estimate_that_is_too_low_does_not_count(database: Database) -> None:
    (made,) = await prepare(database, Chain(estimate=101_472))
    assert made.gas == 400_000 > FLOOR_GAS


async def test_a_node_that_does_not_estimate_or_run_is_told(database: Database) -> None:
    (made,) = await prepare(database, Chain(estimate=RequestRefused("no such method")))
    assert (made.gas, made.estimate) == (400_000, None)
    assert "does not estimate: no such method" in made.checked
    (made,) = await prepare(database, Chain(run=RequestRefused("gas cap")))
    assert "does not run it: gas cap" in made.checked
    assert prepared_view(made)["checked"] is False


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Error.parse("error InsufficientGasToCompleteTx(bytes4 err)").encode(b"\x37\xc3\xbe\x29"), "InsufficientGas"),
        (Error.parse("error ExecutionError(bytes32 id, bytes err)").encode(bytes(32), b""), "ExecutionError"),
        (Error.parse("error ExecutionError(bytes err)").encode(b"\x01"), "ExecutionError(0x01)"),
        (Error.parse("error ManualExecutionNotYetEnabled(uint64 source)").encode(5), "NotYetEnabled"),
        (b"", "execution reverted"),
    ],
)
@pytest.mark.parametrize("stage", ["estimate", "run"])
async def test_what_would_fail_as_a_whole_is_not_given_out(
    database: Database, data: bytes, words: str, stage: str
) -> None:
    error = CallReverted("execution reverted", data=data)
    chain = Chain(estimate=error) if stage == "estimate" else Chain(run=error)
    with pytest.raises(RejectedError, match="would fail as a whole") as caught:
        await prepare(database, chain)
    assert words in str(caught.value)
    assert caught.value.remedy == "nothing was sent"


async def test_lanes_are_built_one_by_one(database: Database) -> None:
    protocol = Protocol()
    office = desk(database, protocol)
    other = case(1).lane._replace(channel="0x" + "02" * 20)
    cases = [case(1), case(2), case(1, lane=other, id=message_id(9))]
    await office.prepare(await office.examine_all(cases, AS_IT_IS), AS_IT_IS)
    assert protocol.built == [[1, 2], [1]]


async def test_the_same_recovery_has_the_same_key_and_another_one_another(database: Database) -> None:
    (one,), (again,), (other,) = [await prepare(database, Chain(), number) for number in (1, 1, 2)]
    assert one.key == again.key != other.key
    assert one.key.startswith("recovery:2:")


# ---- on record -------------------------------------------------------------------------------------------------------


async def test_each_message_gets_an_event_with_who_and_why(database: Database) -> None:
    office = desk(database)
    made = await office.prepare(await office.examine_all([case(1), case(2)], AS_IT_IS), AS_IT_IS)
    await office.audit(SENT, made, operator="ada", why="ticket 12", tx="0xfeed")
    events = await database.read(lambda c: read_events(c, 0))
    assert [event.key for event in events] == [message_id(1), message_id(2)]
    payload = events[0].payload
    assert (payload["operator"], payload["why"], payload["tx"], payload["batch"]) == ("ada", "ticket 12", "0xfeed", 2)


async def test_the_states_after_it(database: Database) -> None:
    protocol = Protocol(standings={2: standing(ExecutionState.SUCCESS)})
    states = await desk(database, protocol).states([case(1), case(2)])
    assert states == {message_id(1): ExecutionState.FAILURE, message_id(2): ExecutionState.SUCCESS}


async def test_programs_get_plain_values(database: Database) -> None:
    view = examination_view(await desk(database).examine(case(1, nonce=4), AS_IT_IS))
    assert view["answer"] == "ready"
    assert view["source"] == "11"  # a selector is text
    assert view["state"] == "failure"
    assert view["trial"]["succeeds"] is True
    (made,) = await prepare(database, Chain())
    assert prepared_view(made)["data"] == "0x01"
