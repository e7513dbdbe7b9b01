"""A newer price takes the nonce of one that is not mined: never two rounds for one, never a round lost."""

import asyncio
from dataclasses import replace

import pytest

from seamark.core.errors import TemporaryError
from seamark.core.units import Ppb
from seamark.evm.ports import TxState
from seamark.oracle.model import Parked, PublicationState, Reason, TriggerPolicy
from seamark.oracle.publications import attempt_key
from seamark.oracle.rules import replaces
from seamark.storage.events import read_events

from .conftest import running
from .fakes import REF, SIGNER, START, make_world, until
from .publishing import chain_state, failed, publications, publish, published, started, topics, totals

POLICY = TriggerPolicy(heartbeat=3600, deviation=Ppb(5_000_000), replace_after=30)


async def waiting(world, *prices, attempt=1):
    """A submission that nobody mines."""
    world.sender.mining = False
    assert world.tell(*prices) is not None
    await pending(world, attempt)


async def pending(world, attempt):
    """Wait until this attempt is the one that waits to be mined."""
    await until(lambda: (found := world.publisher._pending) is not None and found.attempt == attempt)


async def replaced(world):
    """2000 waits, and 2100 took its nonce half a minute later."""
    await waiting(world, 2000, 2000, 2000)
    await world.clock.advance(30)
    assert world.tell(2100, 2100, 2100) is not None
    await pending(world, 2)


# ---- the rule --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def state_and_answer(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        await publish(world, 2000, 2000, 2000)
        await world.clock.advance(60)
        world.tell(2009, 2009, 2009)
        return chain_state(world), world.publisher.result


@pytest.mark.parametrize(
    ("pending_answer", "observed", "waited", "changes", "policy", "expected"),
    [
        (1990, 0, 30, {}, POLICY, True),
        (1990, 0, 29.9, {}, POLICY, False),  # too soon
        (2005, 0, 99, {}, POLICY, False),  # 0.2 % is no news
        (2100, 0, 99, {}, POLICY, True),  # back at what the chain has: the outdated price is read by nobody
        (1990, 60, 99, {}, POLICY, False),  # observed no later
        (1990, 0, 99, {"paused": True}, POLICY, False),
        (1990, 0, 99, {"parked": Parked(2, 5, 5, SIGNER)}, POLICY, False),
        (1990, 0, 99, {}, replace(POLICY, replace_after=0), False),  # switched off
    ],
)
async def test_when_a_newer_answer_is_worth_it(
    *, state_and_answer, pending_answer, observed, waited, changes, policy, expected
):
    state, answer = state_and_answer
    state = replace(state, **changes)
    told = replaces(state, pending_answer * 10**8, int(START) + observed, answer, waited=waited, policy=policy)
    assert told is expected


# ---- the publisher ---------------------------------------------------------------------------------------------------


async def test_the_newer_price_is_published_in_the_older_ones_place(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        await replaced(world)
        world.sender.mine(attempt_key(REF, 1, 2))
        await published(world, 1)
        assert world.tell(2100, 2100, 2100) is None
    assert [answer for answer, _, _ in world.chain.feed.rounds.values()] == [2100 * 10**8]
    assert len({outcome.nonce for outcome in world.sender.journal.values()}) == 1
    rows = await publications(world)
    assert [(row.attempt, row.state, row.answer) for row in rows] == [
        (1, PublicationState.SUPERSEDED, 2000 * 10**8),
        (2, PublicationState.MINED, 2100 * 10**8),
    ]
    assert await totals(world) == {
        ("oracle_updates_sent_total", "first"): 1,
        ("oracle_updates_replaced_total", ""): 1,
        ("oracle_fees_paid_wei_total", ""): 10**14,
    }
    assert world.sample("oracle_updates_replaced_total") == 1
    assert (await topics(world))[1:5] == ["oracle.planned", "oracle.planned", "oracle.replaced", "oracle.superseded"]
    (event,) = [e for e in await database.read(lambda c: read_events(c, 0)) if e.topic == "oracle.replaced"]
    assert event.payload["replaces"] == attempt_key(REF, 1, 1)
    assert event.payload["price"] == "2100.00000000"


async def test_the_older_one_may_win_and_is_no_failure(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        await replaced(world)
        world.sender.mining = True
        world.sender.mine(attempt_key(REF, 1, 1))
        await published(world, 1)
        await world.clock.advance(1)
        await publish(world, 2100, 2100, 2100)
    assert [row.state for row in await publications(world)] == [
        PublicationState.MINED,
        PublicationState.SUPERSEDED,
        PublicationState.MINED,
    ]
    assert [answer for answer, _, _ in world.chain.feed.rounds.values()] == [2000 * 10**8, 2100 * 10**8]
    assert not [name for name, _ in await totals(world) if name == "oracle_update_errors_total"]


async def test_not_too_often_and_not_for_nothing(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        await waiting(world, 2000, 2000, 2000)
        await world.clock.advance(29)
        assert world.tell(2100, 2100, 2100) is None
        await world.clock.advance(1)
        assert world.tell(2001, 2001, 2001) is None
        assert world.tell(2100, 2100, 2100) is not None
        await pending(world, 2)
        await world.clock.advance(29)
        assert world.tell(2200, 2200, 2200) is None
        await world.clock.advance(1)
        assert world.tell(2200, 2200, 2200) is not None
        assert world.tell(2300, 2300, 2300) is None, "one at a time"
        await pending(world, 3)
    assert len(world.sender.submitted) == 3


async def test_one_replacement_ends_before_the_next_begins(database, monkeypatch):
    world = make_world(database)
    original, gate = world.sender.replace, asyncio.Event()

    async def slowly(key, intent):
        await gate.wait()
        return await original(key, intent)

    monkeypatch.setattr(world.sender, "replace", slowly)
    async with running(world.publisher):
        await started(world)
        await waiting(world, 2000, 2000, 2000)
        await world.clock.advance(30)
        assert world.tell(2100, 2100, 2100) is not None
        await until(world.publisher._newer.empty)
        await world.clock.advance(1)
        assert world.tell(2300, 2300, 2300) is None
        gate.set()
        await pending(world, 2)
        world.sender.mine(attempt_key(REF, 1, 2))
        await published(world, 1)
    assert list(world.sender.journal) == [attempt_key(REF, 1, 1), attempt_key(REF, 1, 2)]
    assert world.chain.feed.rounds[1][0] == 2100 * 10**8


async def test_where_it_cannot_be_replaced_it_is_waited_for(database):
    world = make_world(database)
    world.sender.irreplaceable = True
    async with running(world.publisher):
        await started(world)
        await waiting(world, 2000, 2000, 2000)
        await world.clock.advance(30)
        assert world.tell(2100, 2100, 2100) is not None
        await until(lambda: world.publisher._handed_in > START)
        assert world.tell(2100, 2100, 2100) is None, "not again at once"
        await world.clock.advance(5)
        world.sender.irreplaceable = False
        assert world.tell(2110, 2110, 2110) is not None
        await pending(world, 2)
        world.sender.mine(attempt_key(REF, 1, 2))
        await published(world, 1)
    assert world.chain.feed.rounds[1][0] == 2110 * 10**8


async def test_one_that_was_journalled_and_not_accepted_is_followed(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        await waiting(world, 2000, 2000, 2000)
        world.sender.lost_reply = True
        await world.clock.advance(30)
        world.tell(2100, 2100, 2100)
        await pending(world, 2)
        world.sender.mine(attempt_key(REF, 1, 2))
        await published(world, 1)
    assert world.chain.feed.rounds[1][0] == 2100 * 10**8


async def test_killed_between_the_journal_and_the_row(database, monkeypatch):
    """The next process finds both attempts in the journal and follows them as one."""
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        await waiting(world, 2000, 2000, 2000)
        original = world.sender.replace

        async def die(key, intent):
            await original(key, intent)
            raise asyncio.CancelledError

        monkeypatch.setattr(world.sender, "replace", die)
        await world.clock.advance(30)
        world.tell(2100, 2100, 2100)
        await until(lambda: len(world.sender.journal) == 2)
    again = make_world(database, clock=world.clock, chain=world.chain, journal=world.sender.journal)
    async with running(again.publisher):
        await pending(again, 2)
        again.sender.mine(attempt_key(REF, 1, 2))
        await published(again, 1)
    rows = await publications(again)
    assert [(row.attempt, row.state) for row in rows] == [(1, PublicationState.SUPERSEDED), (2, PublicationState.MINED)]
    assert rows[1].answer == 2100 * 10**8
    assert not [name for name, _ in await totals(again) if name == "oracle_update_errors_total"]


async def test_a_restart_goes_on_replacing(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        await replaced(world)
    again = make_world(database, clock=world.clock, chain=world.chain, journal=world.sender.journal)
    again.sender.mining = False
    async with running(again.publisher):
        await pending(again, 2)
        await again.clock.advance(31)
        assert again.tell(2200, 2200, 2200) is not None
        await pending(again, 3)
        again.sender.mine(attempt_key(REF, 1, 3))
        await published(again, 1)
    states = [row.state for row in await publications(again)]
    assert states == [PublicationState.SUPERSEDED, PublicationState.SUPERSEDED, PublicationState.MINED]


async def test_after_a_revert_the_next_attempt_has_a_number_of_its_own(database):
    world = make_world(database)
    world.sender.simulating = False
    async with running(world.publisher):
        await started(world)
        await replaced(world)
        world.chain.feed.paused = True
        world.sender.mine(attempt_key(REF, 1, 1))
        await failed(world, 1)
        world.chain.feed.paused = False
        world.sender.mining = True
        await world.publisher.refresh()
        await world.clock.advance(1)
        await publish(world, 2150, 2150, 2150)
    assert attempt_key(REF, 1, 3) in world.sender.journal
    assert world.chain.feed.rounds[1][0] == 2150 * 10**8


async def test_a_stranger_who_takes_the_nonce_ends_all_attempts(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        await replaced(world)
        for attempt in (1, 2):
            outcome = world.sender.journal[attempt_key(REF, 1, attempt)]
            world.sender.set(replace(outcome, state=TxState.FOREIGN))
        await failed(world, 1)
    assert [(row.state, row.closed) for row in await publications(world)] == [
        (PublicationState.SUPERSEDED, True),
        (PublicationState.REPLACED, True),
    ]


async def test_waiting_survives_a_chain_that_is_away(database, monkeypatch):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        monkeypatch.setattr(world.sender, "wait", _away)
        await waiting(world, 2000, 2000, 2000)
        await world.clock.advance(30)
        monkeypatch.undo()
        assert world.tell(2100, 2100, 2100) is not None
        await pending(world, 2)
        world.sender.mine(attempt_key(REF, 1, 2))
        await published(world, 1)
    assert (await publications(world))[-1].reason is Reason.FIRST


async def _away(key, *, until=TxState.MINED):
    raise TemporaryError("no node answers")
