"""Past messages folded in one pass leave the very same tables as those that took the general way.

The histories are those of `test_tracker`, with forks, ghosts and lost logs, and calmer ones, of which most is folded in
one pass; both are told as long past, or as half of them news.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from sqlalchemy import select

from seamark.core.ids import ChainId
from seamark.evm.ports import LogEvent
from seamark.messages.model import Fact
from seamark.messages.store import ledger
from seamark.messages.store.notices import NEWS_S
from seamark.messages.store.straight import Straight
from seamark.storage.schema import metadata
from tests.property.test_tracker import FINAL, LENGTH, Disturbed, Plan, make_plans
from tests.unit.messages.history import OUT, A, B, World, block_time, committed, executed, final, sent

SEEDS = 60
CALM_MESSAGES = 12


@dataclass(frozen=True)
class Batch:
    chain: ChainId
    events: tuple[LogEvent, ...]
    head: int


def calm_plans(random: Random) -> dict[ChainId, Plan]:
    """Every message is sent, committed and, most of them, delivered; the other chain's clock may be behind."""
    plans = {A: Plan(A), B: Plan(B)}
    for sequence in range(1, CALM_MESSAGES + 1):
        at = random.randrange(LENGTH - 6)
        plans[A].put(at, sent(sequence, OUT, nonce=random.choice((None, sequence))))
        then = max(0, at + random.randint(-1, 3))
        plans[B].put(then, committed(sequence, sequence + random.choice((0, 0, 1)), OUT))
        if random.random() < 0.8:
            good = random.random() < 0.9
            run = executed(sequence, OUT, good=good, manual=random.choice((None, False, False, True)), callback=good)
            plans[B].put(then + random.randrange(3), run)
    return plans


def calm_batches(random: Random, world: World, plans: dict[ChainId, Plan]) -> Iterator[Batch]:
    """Each chain in a few batches, final at their ends or at the end of all, in any order of the chains."""
    queues: dict[ChainId, list[tuple[LogEvent, ...]]] = {}
    for chain, plan in plans.items():
        blocks = [world.block(chain, number, plan.facts.get(number, ())) for number in range(LENGTH)]
        cuts = sorted({*random.sample(range(1, LENGTH), k=random.randrange(4)), LENGTH})
        at_each = random.random() < 0.7
        queues[chain] = [
            (*blocks[first:last], *([final(blocks[last - 1])] if at_each or last == LENGTH else []))
            for first, last in zip((0, *cuts), cuts, strict=False)
        ]
    while left := [chain for chain, queue in queues.items() if queue]:
        chain = random.choice(left)
        yield Batch(chain, queues[chain].pop(0), random.choice((LENGTH, 1000)))


def wild_batches(random: Random, world: World, plans: dict[ChainId, Plan]) -> Iterator[Batch]:
    queues = {chain: Disturbed(random, world, plan).told() for chain, plan in plans.items()}
    while left := [chain for chain, queue in queues.items() if queue]:
        chain = random.choice(left)
        size = random.choice((1, 3, 8, 20))
        yield Batch(chain, tuple(queues[chain][:size]), random.choice((LENGTH, 1000)))
        del queues[chain][:size]


def run(seed: int, kind: str) -> World:
    random = Random(f"{seed} {kind}")
    plans = calm_plans(random) if kind == "calm" else make_plans(random)
    world = World()
    news_from = block_time(random.choice((LENGTH + 10, LENGTH + 10, FINAL // 2)))
    world.now_ms = (news_from + NEWS_S) * 1000
    for batch in (calm_batches if kind == "calm" else wild_batches)(random, world, plans):
        world.tell(batch.chain, *batch.events, head=batch.head)
    return world


def everything(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables."""
    return {
        table.name: sorted((tuple(row) for row in world.connection.execute(select(table))), key=repr)
        for table in metadata.sorted_tables
        if table.name in ("event", "total") or table.name.startswith("message")
    }


def news(world: World) -> list[tuple[dict[str, int], Counter[Any], Counter[Any]]]:
    """What each unit of work told the metrics."""
    return [(dict(item.changes.steps), item.changes.totals, item.changes.tallies) for item in world.applied]


@pytest.mark.parametrize("kind", ["calm", "wild"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_tables_are_the_same_either_way(monkeypatch: pytest.MonkeyPatch, seed: int, kind: str) -> None:
    straight = run(seed, kind)
    monkeypatch.setattr(ledger, "_is_past", lambda *_: False)
    general = run(seed, kind)
    try:
        expected = everything(general)
        for name, rows in everything(straight).items():
            assert rows == expected[name], name
        assert news(straight) == news(general)
    finally:
        straight.close()
        general.close()


def test_the_histories_go_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the test above proves nothing: sends, commits and deliveries are taken, and each is refused too."""
    seen: Counter[tuple[str, bool]] = Counter()
    sends, moves = Straight.sent, Straight.moved

    def send(self: Straight, *args: Any) -> bool:
        taken = sends(self, *args)
        seen["committed" if args[2] else "sent", taken] += 1
        return taken

    def move(self: Straight, known: Any, fact: Any, commits: Any) -> bool:
        taken = moves(self, known, fact, commits)
        before = "final" if known.facts & Fact.FINALIZED else "pending"
        seen[f"{before} {'delivered' if fact else 'covered'}", taken] += 1
        return taken

    monkeypatch.setattr(Straight, "sent", send)
    monkeypatch.setattr(Straight, "moved", move)
    for seed in range(SEEDS):
        for kind in ("calm", "wild"):
            run(seed, kind).close()
    kinds = ("sent", "committed", "final delivered", "final covered", "pending delivered", "pending covered")
    assert all(seen[kind, taken] for kind in kinds for taken in (True, False)), seen
