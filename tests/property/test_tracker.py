"""Whatever the streams do to the tracker, the ledger ends up as after an undisturbed run.

A random history of two chains with two lanes is told twice: once plainly, once with forks that carry ghosts (other
messages under the same sequence numbers, the same messages in other blocks), blocks that come back, blocks told
again, cuts into batches anywhere, units of work that are rolled back and repeated, and any interleaving of the
chains.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from seamark.core.ids import ChainId
from seamark.evm.ports import Block, LogEvent, Reorg
from seamark.messages.model import STAGES, Counted, Fact, LaneKey
from seamark.messages.store import tables
from seamark.messages.store.blocks import block_no_of, log_index_of
from seamark.storage.totals import read_totals
from tests.unit.messages.history import BACK, OUT, A, B, Told, World, committed, executed, final, sent

LENGTH = 10  # canonical blocks on each chain
FINAL = 7  # the height that is final in the end

# Columns that depend on when something was told, not on what is true.
OF_THE_TELLING = {"no", "counted", "finalized_time", "steps"}


@dataclass
class Plan:
    """What happened on one chain, canonically: facts by block number."""

    chain: ChainId
    facts: dict[int, list[Told]] = field(default_factory=dict)

    def put(self, number: int, told: Told) -> None:
        self.facts.setdefault(number, []).append(told)


def make_plans(random: Random) -> dict[ChainId, Plan]:
    plans = {A: Plan(A), B: Plan(B)}
    for lane, source, destination in ((OUT, A, B), (BACK, B, A)):
        for sequence, number in enumerate(sorted(random.randrange(LENGTH) for _ in range(random.randrange(5))), 1):
            plans[source].put(number, sent(sequence, lane))
        plan_delivery(random, plans[destination], lane)
    return plans


def plan_delivery(random: Random, plan: Plan, lane: LaneKey) -> None:
    """Commits and executions, also of messages that were never sent."""
    upto = 0
    for number in range(LENGTH):
        if upto < 5 and random.random() < 0.3:
            width = random.randint(1, 3)
            plan.put(number, committed(upto + 1, upto + width, lane))
            upto += width
        if upto and random.random() < 0.4:
            sequence = random.randint(1, upto)
            plan.put(number, executed(sequence, lane, good=random.random() < 0.7))


def make_ghosts(random: Random, plan: Plan) -> list[Told]:
    """Facts of a fork: some that also happen canonically, some that never do."""
    canonical = [told for facts in plan.facts.values() for told in facts]
    lane, back = (OUT, BACK) if plan.chain == A else (BACK, OUT)
    ghosts: list[Told] = random.sample(canonical, k=min(len(canonical), random.randrange(3)))
    if random.random() < 0.5:
        ghosts.append(sent(random.randint(1, 4), lane, variant="x"))
    if random.random() < 0.3:
        first = random.randint(1, 4)
        ghosts.append(committed(first, first + random.randrange(3), back))
    if random.random() < 0.3:
        ghosts.append(executed(random.randint(1, 4), back, good=random.random() < 0.5))
    return ghosts


def plain_events(world: World, plan: Plan) -> list[LogEvent]:
    blocks = [world.block(plan.chain, number, plan.facts.get(number, ())) for number in range(LENGTH)]
    return [*blocks, final(blocks[FINAL])]


def disturbed_events(random: Random, world: World, plan: Plan) -> list[LogEvent]:
    """The same chain as its stream might tell it."""
    blocks = [world.block(plan.chain, number, plan.facts.get(number, ())) for number in range(LENGTH)]
    forks = sorted(random.sample(range(1, LENGTH), k=random.randrange(4)))
    events: list[LogEvent] = []
    finalized = -1
    for number, block in enumerate(blocks):
        events.append(block)
        if number in forks:
            events += detour(random, world, plan, blocks[: number + 1], finalized)
        if random.random() < 0.2:
            events.append(random.choice(blocks[: number + 1]))  # told again: more of its logs became known
        limit = min(number, FINAL)
        if random.random() < 0.4 and limit > finalized:
            finalized = random.randint(finalized + 1, limit)
            events.append(final(blocks[finalized]))
    return [*events, final(blocks[FINAL])]


def detour(random: Random, world: World, plan: Plan, told: list[Block], finalized: int) -> list[LogEvent]:
    """Away to a fork and back, possibly replacing canonical blocks for a while."""
    tip = len(told) - 1
    ancestor = random.randint(max(finalized, 0), tip)
    name = f"fork {tip} {ancestor}"
    length = random.randint(1, 3)
    fork = [
        world.block(plan.chain, ancestor + 1 + index, make_ghosts(random, plan), fork=name, late=random.randrange(3))
        for index in range(length)
    ]
    gone = told[ancestor + 1 :]
    leave: list[LogEvent] = [Reorg(told[ancestor].ref, tuple(b.ref for b in reversed(gone)))] if gone else []
    come_back = Reorg(told[ancestor].ref, tuple(block.ref for block in reversed(fork)))
    return [*leave, *fork, come_back, *gone]


def cut(random: Random, events: list[LogEvent]) -> list[list[LogEvent]]:
    pieces: list[list[LogEvent]] = [[]]
    for event in events:
        if pieces[-1] and random.random() < 0.4:
            pieces.append([])
        pieces[-1].append(event)
    return pieces


def run_plainly(plans: dict[ChainId, Plan]) -> World:
    world = World()
    for plan in plans.values():
        world.tell(plan.chain, *plain_events(world, plan))
    return world


def run_disturbed(random: Random, plans: dict[ChainId, Plan]) -> World:
    world = World()
    queues = {chain: cut(random, disturbed_events(random, world, plan)) for chain, plan in plans.items()}
    while any(queues.values()):
        chain = random.choice([chain for chain, queue in queues.items() if queue])
        piece = queues[chain].pop(0)
        world.tell(chain, *piece, crash=random.random() < 0.2, head=random.choice((LENGTH, 1000)))
    return world


def truth(world: World) -> dict[str, Any]:
    """What the ledger says is so: live facts, and messages that have any."""
    lanes = {
        row.id: (row.source, row.channel, row.destination) for row in world.connection.execute(select(tables.lane))
    }

    def rows(table: Any) -> list[dict[str, Any]]:
        found = [dict(row) for row in world.connection.execute(select(table)).mappings()]
        return [{**row, "lane_id": lanes[row["lane_id"]]} for row in found]

    messages = {row["no"]: row for row in rows(tables.message)}
    blocks = {row.no: (row.chain_id, row.hash) for row in world.connection.execute(select(tables.block))}
    facts = {
        (*blocks[block_no_of(row["place"])], log_index_of(row["place"])): (
            messages[row["message_no"]]["id"],
            row["body"],
        )
        for row in rows(tables.sighting)
        if row["live"]
    }
    commits = {
        (row["chain_id"], row["block_hash"], row["log_index"]): (row["lane_id"], row["first"], row["last"])
        for row in rows(tables.commit)
        if row["live"]
    }
    known = {
        row["id"]: {name: value for name, value in row.items() if name not in OF_THE_TELLING}
        for row in messages.values()
        if row["facts"] & (Fact.SENT | Fact.EXECUTED | Fact.FAILED)
    }
    return {"facts": facts, "commits": commits, "messages": known}


def without_retraction(state: dict[str, Any]) -> dict[str, Any]:
    """A message that only its destination knows may remember a send that vanished; that is all it may remember."""
    for row in state["messages"].values():
        if row["facts"] & Fact.RETRACTED:
            row["facts"] &= ~Fact.RETRACTED
            for name in ("sender", "receiver", "size", "fee_token", "fee_amount", "fee_juels"):
                row[name] = None
        elif not row["facts"] & Fact.SENT:
            for name in ("sender", "receiver", "size", "fee_token", "fee_amount", "fee_juels"):
                row[name] = None
    return state


def check_books(world: World) -> None:
    """Tallies and totals equal a recount of the rows."""
    connection = world.connection
    rows = connection.execute(select(tables.message)).all()
    stages = Counter((row.lane_id, "stage", row.stage) for row in rows)
    reasons = Counter((row.lane_id, "reason", row.reason) for row in rows if row.stage == "failed")
    stored = {
        (row.lane_id, row.kind, row.name): row.messages
        for row in connection.execute(select(tables.tally))
        if row.messages
    }
    assert stored == dict(stages + reasons)
    assert all(row.stage == STAGES[row.facts] for row in rows)
    totals: Counter[tuple[str, str]] = Counter()
    for item in read_totals(connection, "ccip_"):
        own = item.labels.get("state") or item.labels.get("stage") or ""
        totals[item.metric.removeprefix("ccip_"), own] += int(item.value)
    counted = [row.counted for row in rows]

    def having(bit: int) -> int:
        return sum(bool(mask & bit) for mask in counted)

    assert totals["messages_sent_total", ""] == having(Counted.SENT)
    assert totals["messages_received_total", "success"] == having(Counted.SUCCESS)
    assert totals["messages_recovered_total", ""] == having(Counted.RECOVERED)
    assert totals["messages_received_total", "failure"] == having(Counted.FAILURE)
    assert totals["fees_total", ""] == 5 * having(Counted.SENT)
    assert totals["message_latency_seconds_bucket", "total"] == having(Counted.TOTAL_TIME)
    assert totals["message_latency_seconds_bucket", "commit"] == having(Counted.COMMIT_TIME)
    assert totals["message_latency_seconds_bucket", "finality"] == having(Counted.FINALITY_TIME)


@pytest.mark.timeout(120)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(random=st.randoms(use_true_random=False))
def test_the_ledger_ends_as_after_an_undisturbed_run(random: Random) -> None:
    plans = make_plans(random)
    plain, disturbed = run_plainly(plans), run_disturbed(random, plans)
    try:
        assert without_retraction(truth(disturbed)) == without_retraction(truth(plain))
        check_books(plain)
        check_books(disturbed)
    finally:
        plain.close()
        disturbed.close()
