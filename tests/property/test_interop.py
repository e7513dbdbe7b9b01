"""Whatever happens on the way, the monitor ends where one ends that only reads the chains as they are at the end.

Random histories of three chains: messages that are true or wrong in some way, reorgs of any depth down to what is
final, nodes that fail, lose logs or are behind, restarts, levels of safety in any order.
"""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from seamark.core.errors import TemporaryError
from seamark.messages.protocols.op_interop.store import read_tallies
from tests.support.interop import BLOCK_TIME_S, Bed, Draft, Placed, executing, initiating, without_logs

CHAINS = (901, 902, 903)
STEPS = 60
HARD_SEEDS = (97, 101, 176)  # a reorg of a block that only a checker has read; logs left out of both looks, twice
SEEDS = sorted({*range(int(os.environ.get("SEAMARK_SEEDS", "25"))), *HARD_SEEDS})


class History:
    """One random history."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.bed = Bed(*CHAINS)
        self.logs: list[Placed] = []

    async def step(self) -> None:
        kinds: dict[Any, int] = {
            self.mine: 10,
            self.reorg: 3,
            self.finalize: 1,
            self.safe: 2,
            self.trouble: 2,
            self.follow: 8,
            self.half_a_look: 3,
            self.restart: 1,
        }
        (kind,) = self.random.choices(list(kinds), list(kinds.values()))
        await kind()

    async def mine(self) -> None:
        chain = self.bed[self.random.choice(CHAINS)]
        drafts = [self.draft() for _ in range(self.random.randrange(4))]
        newest = max(item.head.ref.timestamp for item in self.bed.chains.values())
        time = max(newest, chain.head.ref.timestamp + BLOCK_TIME_S) if self.random.random() < 0.8 else None
        self.logs += chain.mine_all(*drafts, time=time)[: len(drafts)]

    def draft(self) -> Draft:
        if not self.logs or self.random.random() < 0.4:
            return initiating(self.random.randbytes(3))
        log = self.random.choice(self.logs[-12:])
        wrong: dict[str, Any] = self.random.choice(
            [{}, {}, {}, {"log_index": 9}, {"timestamp": log.time - 1}, {"chain_id": 77}]
        )
        return executing(log, **wrong)

    async def reorg(self) -> None:
        chain = self.bed[self.random.choice(CHAINS)]
        deepest = len(chain.blocks) - 1 - max(chain.final, 0)
        if deepest < 1:
            return
        chain.rollback(self.random.randint(1, deepest))
        chain.safe = min(chain.safe, len(chain.blocks) - 1)
        for _ in range(self.random.randint(1, 3)):
            chain.mine(*[self.draft() for _ in range(self.random.randrange(3))])

    async def finalize(self) -> None:
        chain = self.bed[self.random.choice(CHAINS)]
        chain.final = self.random.randint(max(chain.final, 0), len(chain.blocks) - 1)

    async def safe(self) -> None:
        chain_id = self.random.choice(CHAINS)
        await self.bed.tell(chain_id)
        await self.bed.safe(chain_id, self.random.randrange(len(self.bed[chain_id].blocks)))

    async def trouble(self) -> None:
        chain = self.bed[self.random.choice(CHAINS)]
        what = self.random.randrange(3)
        if what == 0:
            chain.faults += [TemporaryError("down")] * self.random.randint(1, 3)
        else:
            chain.lies.append(without_logs if what == 1 else lambda _: None)

    async def follow(self) -> None:
        await self.bed.tell(self.random.choice(CHAINS))

    async def half_a_look(self) -> None:
        await self.random.choice(self.bed.checkers).round()

    async def restart(self) -> None:
        self.bed.start()

    async def end(self) -> None:
        """All trouble is over, and everything is read."""
        for chain in self.bed.chains.values():
            chain.faults.clear()
            chain.lies.clear()
        for _ in range(3):
            await self.bed.follow()


def told(bed: Bed) -> dict[str, tuple[str, str, bool]]:
    """Of every live job: verdict, rule, and whether it is settled."""
    return {item.key: (item.status.value, item.rule.value, item.stale) for item in bed.jobs(limit=10_000)}


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_end_does_not_depend_on_the_way(seed: int) -> None:
    history = History(seed)
    for _ in range(STEPS):
        await history.step()
    await history.end()
    undisturbed = Bed(*CHAINS)
    undisturbed.chains = history.bed.chains
    undisturbed.start()
    for _ in range(3):
        await undisturbed.follow()
    assert told(history.bed) == told(undisturbed)
    assert tallies(history.bed) == tallies(undisturbed)
    shown = {
        (int(sample.labels["executing_chain_id"]), sample.labels["initiating_chain_id"], sample.labels["status"]): int(
            sample.value
        )
        for family in history.bed.registry.collect()
        for sample in family.samples
        if sample.name == "interop_message_status" and sample.value
    }
    assert shown == {key: value for key, value in tallies(history.bed).items() if key[2] != "changed"}, (
        "what metrics followed is what is stored"
    )


def tallies(bed: Bed) -> dict[tuple[int, str, str], int]:
    return {
        (row.exec_chain, row.init_chain, row.kind): row.jobs
        for row in read_tallies(bed.database.connection)
        if row.jobs and row.kind != "changed"
    }
