"""Whatever the streams do to the tracker, the ledger ends up as after an undisturbed run.

A random history of two chains with two lanes (sends, commits, commits taken back and made again, failures, successes,
deliveries by hand, notices) is told twice: once plainly, once with forks of any depth down to what is final, which
carry ghosts (other messages under the same sequence numbers, the same messages in other blocks), blocks that come back,
blocks whose logs were lost and are found before they become final, cuts into batches anywhere, processes that die at
any statement of a unit of work and read on in other batches, and one chain any number of blocks behind the other.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec
import pytest
from sqlalchemy import event, select

from seamark.core.ids import ChainId
from seamark.evm.ports import Finalized, LogEvent, Reorg
from seamark.messages.model import STAGES, Counted, Fact, LaneKey, NoticeKind
from seamark.messages.store import find_message, list_notices, open_curses, tables
from seamark.messages.store.blocks import block_no_of, log_index_of
from seamark.storage.totals import read_totals
from tests.unit.messages.history import (
    BACK,
    OUT,
    A,
    B,
    Noticed,
    Told,
    World,
    committed,
    executed,
    final,
    revoked,
    sent,
)

SEEDS = 200
LENGTH = 24  # canonical blocks on each chain
FINAL = 21  # the height that is final in the end
MESSAGES = 6  # at most, on each lane

# Columns that depend on when something was told, not on what is true.
OF_THE_TELLING = {"no", "counted", "finalized_time", "steps"}
OF_THE_SEND = ("sender", "receiver", "size", "fee_token", "fee_amount", "fee_juels", "nonce")

Fact_ = Told | Noticed


@dataclass
class Plan:
    """What happened on one chain, canonically: facts by block number."""

    chain: ChainId
    facts: dict[int, list[Fact_]] = field(default_factory=dict)

    def put(self, number: int, told: Fact_) -> None:
        self.facts.setdefault(number, []).append(told)


class KilledError(Exception):
    """The process is gone."""


# ---- histories ------------------------------------------------------------------------------------------------------


def make_plans(random: Random) -> dict[ChainId, Plan]:
    plans = {A: Plan(A), B: Plan(B)}
    for lane, source, destination in ((OUT, A, B), (BACK, B, A)):
        count = random.randrange(MESSAGES + 1)
        for sequence, number in enumerate(sorted(random.randrange(LENGTH) for _ in range(count)), 1):
            plans[source].put(number, sent(sequence, lane, nonce=random.choice((None, sequence))))
        plan_delivery(random, plans[destination], lane)
        plan_notices(random, plans[destination])
    return plans


def plan_delivery(random: Random, plan: Plan, lane: LaneKey) -> None:
    """Commits, some taken back and made again, and executions; also of messages that were never sent."""
    upto = 0
    made: list[tuple[int, int]] = []
    for number in range(LENGTH):
        if upto < MESSAGES and random.random() < 0.25:
            width = random.randint(1, 3)
            made.append((upto + 1, upto + width))
            plan.put(number, committed(*made[-1], lane))
            upto += width
        if made and random.random() < 0.1:
            plan.put(number, revoked(*random.choice(made), lane))
        if made and random.random() < 0.1:
            plan.put(number, committed(*random.choice(made), lane))
        if upto and random.random() < 0.4:
            plan.put(number, a_run(random, random.randint(1, upto), lane))


def a_run(random: Random, sequence: int, lane: LaneKey) -> Told:
    good = random.random() < 0.6
    by_hand = random.random() < 0.3
    return executed(sequence, lane, good=good, manual=by_hand, callback=random.random() < 0.8 if good else None)


def plan_notices(random: Random, plan: Plan) -> None:
    for number in range(LENGTH):
        if random.random() < 0.1:
            kind = random.choice((NoticeKind.CURSED, NoticeKind.UNCURSED, NoticeKind.PAUSED))
            plan.put(number, Noticed(kind, random.choice(("11", "22"))))


def make_ghosts(random: Random, plan: Plan) -> list[Fact_]:
    """Facts of a fork: some that also happen canonically, some that never do."""
    canonical = [told for facts in plan.facts.values() for told in facts]
    lane, back = (OUT, BACK) if plan.chain == A else (BACK, OUT)
    ghosts: list[Fact_] = random.sample(canonical, k=min(len(canonical), random.randrange(3)))
    if random.random() < 0.5:
        ghosts.append(sent(random.randint(1, 4), lane, variant="x"))
    if random.random() < 0.3:
        first = random.randint(1, 4)
        ghosts.append(random.choice((committed, revoked))(first, first + random.randrange(3), back))
    if random.random() < 0.3:
        ghosts.append(a_run(random, random.randint(1, 4), back))
    if random.random() < 0.2:
        ghosts.append(Noticed(NoticeKind.CURSED, "11"))
    return ghosts


# ---- tellings -------------------------------------------------------------------------------------------------------


def plain_events(world: World, plan: Plan) -> list[LogEvent]:
    blocks = [world.block(plan.chain, number, plan.facts.get(number, ())) for number in range(LENGTH)]
    return [*blocks, final(blocks[FINAL])]


class Disturbed:
    """The same chain as its stream might tell it."""

    def __init__(self, random: Random, world: World, plan: Plan) -> None:
        self.random, self.world, self.plan = random, world, plan
        self.blocks = [world.block(plan.chain, number, plan.facts.get(number, ())) for number in range(LENGTH)]
        self.finalized = -1
        self.lacking: set[int] = set()
        self.events: list[LogEvent] = []

    def told(self) -> list[LogEvent]:
        forks = set(self.random.sample(range(1, LENGTH), k=self.random.randrange(5)))
        for number in range(LENGTH):
            self.canonical(number)
            if number in forks:
                self.detour(number)
            if self.random.random() < 0.15:
                self.whole(self.random.randint(0, number))  # told again: more of its logs became known
            limit = min(number, FINAL)
            if self.random.random() < 0.25 and limit > self.finalized:
                self.finalize(self.random.randint(self.finalized + 1, limit))
        for number in sorted(self.lacking):
            self.whole(number)
        if self.finalized < FINAL:
            self.finalize(FINAL)
        return self.events

    def canonical(self, number: int) -> None:
        """As the preferred node has it, which may have lost some of its logs."""
        block, facts = self.blocks[number], self.plan.facts.get(number, ())
        if facts and self.random.random() < 0.15:
            self.lacking.add(number)
            gone = self.random.sample(range(len(facts)), self.random.randint(1, len(facts)))
            block = self.world.lacking(block, *gone)
        self.events.append(block)

    def whole(self, number: int) -> None:
        self.lacking.discard(number)
        self.events.append(self.blocks[number])

    def finalize(self, number: int) -> None:
        """Other nodes are asked before a block is final: what was lost is found by then."""
        for lost in sorted(self.lacking):
            if lost <= number:
                self.whole(lost)
        self.finalized = number
        self.events.append(final(self.blocks[number]))

    def detour(self, tip: int) -> None:
        """Away to a fork and back, possibly replacing canonical blocks for a while."""
        ancestor = self.random.randint(max(self.finalized, 0), tip)
        name = f"fork {tip} {ancestor}"
        fork = [
            self.world.block(
                self.plan.chain,
                ancestor + 1 + index,
                make_ghosts(self.random, self.plan),
                fork=name,
                late=self.random.randrange(3),
            )
            for index in range(self.random.randint(1, 3))
        ]
        gone = self.blocks[ancestor + 1 : tip + 1]
        ref = self.blocks[ancestor].ref
        if gone:
            self.events.append(Reorg(ref, tuple(block.ref for block in reversed(gone))))
        self.events += fork
        self.events.append(Reorg(ref, tuple(block.ref for block in reversed(fork))))
        for block in gone:
            self.canonical(block.ref.number)


def run_plainly(plans: dict[ChainId, Plan]) -> World:
    world = World()
    for plan in plans.values():
        world.tell(plan.chain, *plain_events(world, plan))
    return world


def run_disturbed(random: Random, plans: dict[ChainId, Plan]) -> World:
    world = World()
    queues = {chain: deque(Disturbed(random, world, plan).told()) for chain, plan in plans.items()}
    behind = random.choice((A, B))
    lag = random.choice((0, 0, 5, 20, 1000))  # blocks
    while any(queues.values()):
        chain = random.choice([chain for chain, queue in queues.items() if queue])
        if chain == behind and lag and len(queues[behind]) + lag > len(queues[A if behind == B else B]) * 2 + LENGTH:
            chain = next((other for other, queue in queues.items() if queue and other != behind), behind)
        size = min(len(queues[chain]), random.choice((1, 3, 8, 20)))
        batch = [queues[chain].popleft() for _ in range(size)]
        if not told(random, world, chain, batch):
            queues[chain].extendleft(reversed(batch))  # the next process cuts its batches elsewhere
    return world


def told(random: Random, world: World, chain: ChainId, batch: list[LogEvent]) -> bool:
    """One unit of work; false where the process died in it."""
    if random.random() < 0.8:
        world.tell(chain, *batch, head=random.choice((LENGTH, 1000)))
        return True
    left = random.randrange(30)

    def die(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KilledError

    event.listen(world.connection, "before_cursor_execute", die)
    try:
        world.tell(chain, *batch)
    except KilledError:
        world.connection.rollback()
        return False
    finally:
        event.remove(world.connection, "before_cursor_execute", die)
    return True


# ---- what is so -----------------------------------------------------------------------------------------------------


def truth(world: World) -> dict[str, Any]:
    """What the ledger says is so: live facts, and messages that have any."""
    connection = world.connection
    lanes = {row.id: (row.source, row.channel, row.destination) for row in connection.execute(select(tables.lane))}

    def rows(table: Any) -> list[dict[str, Any]]:
        found = [dict(row) for row in connection.execute(select(table)).mappings()]
        return [{**row, "lane_id": lanes[row["lane_id"]]} for row in found]

    messages = {row["no"]: row for row in rows(tables.message)}
    blocks = {row.no: (row.chain_id, row.hash) for row in connection.execute(select(tables.block))}
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
    revocations = {
        (row.chain_id, row.block_hash, row.log_index): row.root
        for row in connection.execute(select(tables.revocation))
        if row.live
    }
    known = {
        row["id"]: {name: value for name, value in row.items() if name not in OF_THE_TELLING}
        for row in messages.values()
        if row["facts"] & (Fact.SENT | Fact.EXECUTED | Fact.FAILED)
    }
    return {
        "facts": facts,
        "commits": commits,
        "revocations": revocations,
        "messages": without_retraction(known),
        "evidence": {message_id: live_evidence(world, message_id) for message_id in sorted(known)[:5]},
        "notices": list_notices(connection, limit=1000),
        "curses": open_curses(connection, "ccip"),
    }


def without_retraction(known: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """A message that only its destination knows may remember a send that vanished; that is all it may remember."""
    for row in known.values():
        if not row["facts"] & Fact.SENT:
            row["facts"] &= ~Fact.RETRACTED
            row.update(dict.fromkeys(OF_THE_SEND))
    return known


def live_evidence(world: World, message_id: str) -> list[Any]:
    detail = find_message(world.connection, message_id)
    assert detail is not None
    return [msgspec.structs.astuple(item) for item in detail.sightings if item.live]


def check_books(world: World) -> None:
    """Tallies, totals and the log of steps agree with the rows."""
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
    last = {row.id >> tables.STEP_BITS: row for row in connection.execute(select(tables.transition).order_by("id"))}
    assert {no: row.after for no, row in last.items()} == {row.no: row.stage for row in rows}
    assert all(last[row.no].id & (1 << tables.STEP_BITS) - 1 == row.steps - 1 for row in rows)
    check_totals(world, [row.counted for row in rows])


def check_totals(world: World, counted: list[int]) -> None:
    """Each fact of a message is counted once in its life."""
    totals: Counter[tuple[str, str]] = Counter()
    for item in read_totals(world.connection, "ccip_"):
        own = item.labels.get("state") or item.labels.get("stage") or ""
        totals[item.metric.removeprefix("ccip_"), own] += int(item.value)

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


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_ledger_ends_as_after_an_undisturbed_run(seed: int) -> None:
    random = Random(seed)
    plans = make_plans(random)
    plain, disturbed = run_plainly(plans), run_disturbed(random, plans)
    try:
        expected, found = truth(plain), truth(disturbed)
        for part, value in expected.items():
            assert found[part] == value, part
        check_books(plain)
        check_books(disturbed)
    finally:
        plain.close()
        disturbed.close()


def test_the_histories_are_worth_telling() -> None:
    """Every kind of disturbance happens in some of them."""
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        random = Random(seed)
        plans = make_plans(random)
        world = World()
        for plan in plans.values():
            telling = Disturbed(random, world, plan)
            for item in telling.told():
                if isinstance(item, Reorg):
                    seen[f"reorg {min(len(item.orphaned) // 5, 3)}"] += 1
                elif isinstance(item, Finalized):
                    seen["finalized"] += 1
        seen["left out"] += len(world.protocol.left_out)
        world.close()
    assert seen["left out"] > SEEDS
    assert seen["finalized"] > 5 * SEEDS
    assert all(seen[f"reorg {depth}"] > 10 for depth in range(3)), seen
