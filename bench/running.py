"""The message monitor as it runs: how late its rows are, what it costs, whether anything is lost.

    python -m bench running
    SEAMARK_BENCH_SECONDS=60 python -m bench running        longer than 25 s for each of two scenarios

A block's lag is the time from just before its node is asked to mine it until its rows are committed, so it includes the
mining. Other work on the machine makes the lag longer; the cost is that of the monitor process alone.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.report import Row, percentile
from bench.running_rig import Monitor, Side, Usage, nodes

SECONDS = float(os.environ.get("SEAMARK_BENCH_SECONDS", "25"))
CHAINS = int(os.environ.get("SEAMARK_BENCH_CHAINS", "30"))
BLOCK_S = 0.2
SEND_EVERY = 50  # blocks: each chain sends a message every 10 s
POLL = "600ms"
BUSY_BLOCK_S = 0.5  # of the two chains that carry 50 messages/s
RATE = 50
BIG_BLOCK = 1_000
WARM_UP_S = 5.0
AFTERMATH_S = 8.0  # watched after a big block
LAG_TARGET_S, CPU_TARGET, MEMORY_TARGET_MB, RECOVERY_TARGET_S = 1.0, 0.5, 300, 5.0
HOW = (
    "Anvils with a stand-in for Hyperlane's Mailbox that emits logs of the real shape. `seamark run hyperlane-monitor` "
    f"with judge, alerts and metrics is a process of its own, on SQLite on disk, and looks for blocks every {POLL}. "
    "Lag: from just before a node is asked to mine a block until its rows are committed. Processor time and resident "
    "memory are those of the monitor process alone; the nodes share the machine's cores with it, and so does whatever "
    "else runs: its share while measuring stands in the row of the processor."
)


@dataclass(frozen=True, slots=True)
class Run:
    """What one scenario showed."""

    lags: list[float]
    """Seconds, of each block mined in the measured time."""

    cores: float
    waiting: float
    """Share of the time in which the monitor's main thread was ready to run and had no core."""

    resident_mb: float
    missing: int
    messages: int
    seconds: float

    def lag(self, share: float) -> float:
        return percentile(self.lags, share)

    @property
    def cost(self) -> str:
        load, waiting = os.getloadavg()[0], self.waiting
        return f"{self.cores:.0%} of a core (load of the machine {load:.1f}, none to be had {waiting:.0%} of the time)"


@asynccontextmanager
async def watched(chains: int) -> AsyncIterator[tuple[list[Side], Monitor]]:
    """Nodes and a monitor that has read what they have."""
    with tempfile.TemporaryDirectory(prefix="seamark-bench-") as folder:
        async with nodes(chains) as sides:
            monitor = Monitor(Path(folder), sides, poll=POLL)
            await monitor.start()
            try:
                await monitor.until_level()
                yield sides, monitor
            finally:
                await monitor.stop()


async def measure(sides: Sequence[Side], monitor: Monitor, mine: Callable[[float], Awaitable[None]]) -> Run:
    """Let `mine` warm up, then measure; `mine(until)` mines up to that time."""
    await mine(time.monotonic() + WARM_UP_S)
    before = Usage.of(monitor.pid)
    await mine(before.at + SECONDS)
    after = Usage.of(monitor.pid)
    await finish(sides)
    await monitor.until_level()
    messages, delivered = await monitor.stored()
    committed = await monitor.stop()
    lags = [lag for _, lag in _lags(sides, committed, before.at, after.at)]
    spent = after.at - before.at
    return Run(
        lags,
        cores=(after.cpu_s - before.cpu_s) / spent,
        waiting=(after.waited_s - before.waited_s) / spent,
        resident_mb=max(before.resident_mb, after.resident_mb),
        missing=2 * sum(side.nonce for side in sides) - messages - delivered,
        messages=messages,
        seconds=spent,
    )


def _lags(
    sides: Sequence[Side], committed: dict[tuple[int, int], float], since: float, until: float
) -> list[tuple[float, float]]:
    """(when it was asked for, its lag) of every block of that time, in seconds."""
    mined = [(side.node.options.chain_id, *block) for side in sides for block in side.mined.items()]
    return [(at, committed[chain_id, number] - at) for chain_id, number, at in mined if since <= at < until]


async def finish(sides: Sequence[Side]) -> None:
    """Deliver what is on its way, and make it final."""
    for side in sides:
        await side.block(side.deliver())
    for side in sides:
        for _ in range(3):
            await side.block()


async def tick(first: float, every: float, until: float, work: Callable[[int], Awaitable[None]]) -> None:
    """Run `work` every so often; a turn that comes too late is not made up for."""
    at, turn = first, 0
    while at < until:
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        await work(turn)
        turn += 1
        at = max(at + every, time.monotonic() - every)


# ---- many chains ----------------------------------------------------------------------------------------------------


async def many_chains() -> list[Row]:
    async with watched(CHAINS) as (sides, monitor):

        async def mine(until: float) -> None:
            now = time.monotonic()

            async def follow(index: int, side: Side) -> None:
                async def work(turn: int) -> None:
                    records = side.deliver()
                    if (turn + index) % SEND_EVERY == 0:
                        records += side.send(sides[(index + 1) % len(sides)], 1)
                    await side.block(records)

                await tick(now + index * BLOCK_S / len(sides), BLOCK_S, until, work)

            await asyncio.gather(*(follow(index, side) for index, side in enumerate(sides)))

        found = await measure(sides, monitor, mine)
    blocks = len(found.lags) / found.seconds
    what = f"{CHAINS} chains, {blocks:.0f} blocks/s and {found.messages / (found.seconds + WARM_UP_S):.0f} messages/s"
    return [
        _lag(what, found),
        Row("the same: processor", found.cost, target=f"< {CPU_TARGET:.0%}", met=found.cores < CPU_TARGET),
        Row(
            "the same: memory",
            f"{found.resident_mb:.0f} MB",
            target=f"< {MEMORY_TARGET_MB} MB",
            met=found.resident_mb < MEMORY_TARGET_MB,
        ),
        _loss(found.messages, found.missing),
    ]


def _lag(what: str, found: Run) -> Row:
    return Row(
        f"{what}: lag",
        f"p50 {found.lag(0.5):.2f} s, p99 {found.lag(0.99):.2f} s, longest {max(found.lags):.2f} s",
        target=f"p99 < {LAG_TARGET_S:.0f} s",
        met=found.lag(0.99) < LAG_TARGET_S,
    )


def _loss(messages: int, missing: int) -> Row:
    what = f"the same: {messages:,} messages, sent and delivered"
    return Row(what, f"{missing} missing", target="none missing", met=missing == 0)


# ---- many messages --------------------------------------------------------------------------------------------------


async def many_messages() -> list[Row]:
    async with watched(2) as (sides, monitor):
        home, remote = sides

        async def mine(until: float) -> None:
            now = time.monotonic()
            count = int(RATE * BUSY_BLOCK_S / 2)

            async def follow(side: Side, other: Side) -> None:
                async def work(turn: int) -> None:  # 12 and 13 in turns
                    await side.block([*side.deliver(), *side.send(other, count + turn % 2)])

                await tick(now, BUSY_BLOCK_S, until, work)

            await asyncio.gather(follow(home, remote), follow(remote, home))

        found = await measure(sides, monitor, mine)
    rate = found.messages / (found.seconds + WARM_UP_S)
    return [
        _lag(f"2 chains, {rate:.0f} messages/s for {found.seconds:.0f} s", found),
        Row("the same: processor", found.cost),
        _loss(found.messages, found.missing),
    ]


async def big_block() -> list[Row]:
    """A block with many messages sent, then one that delivers them all, while both chains go on."""
    async with watched(2) as (sides, monitor):
        home, remote = sides

        async def calm(seconds: float) -> None:
            async def work(turn: int) -> None:  # noqa: ARG001 - all are alike
                await asyncio.gather(home.block(), remote.block())

            now = time.monotonic()
            await tick(now, BUSY_BLOCK_S, now + seconds, work)

        await calm(WARM_UP_S)
        marks = []
        for what, side in (("sent", home), ("delivered", remote)):
            await side.block(home.send(remote, BIG_BLOCK) if side is home else remote.deliver())
            marks.append((what, side.mined[side.height]))
            await calm(AFTERMATH_S)
        await finish(sides)
        await monitor.until_level()
        messages, delivered = await monitor.stored()
        committed = await monitor.stop()
    rows = []
    for what, since in marks:
        lags = sorted(_lags(sides, committed, since, since + AFTERMATH_S))
        recovered = max((at + lag - since for at, lag in lags if lag >= LAG_TARGET_S), default=0.0)
        rows.append(
            Row(
                f"a block in which {BIG_BLOCK:,} messages are {what}: lag",
                f"{lags[0][1]:.2f} s, longest {max(lag for _, lag in lags):.2f} s, all stored in time again after "
                f"{recovered:.2f} s",
                target=f"recovered in < {RECOVERY_TARGET_S:.0f} s",
                met=recovered < RECOVERY_TARGET_S,
            )
        )
    return [*rows, _loss(messages, 2 * BIG_BLOCK - messages - delivered)]


async def run() -> list[Row]:
    return [*await many_chains(), *await many_messages(), *await big_block()]


if __name__ == "__main__":
    for row in asyncio.run(run()):
        print(row)
