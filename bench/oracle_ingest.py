"""1,000 feeds of ten sources on one core: how many ticks a second become decisions, and how old the data gets."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.oracle_feeds import Look
from bench.oracle_rig import Rig, rig
from bench.priority import load_average
from bench.report import Row

HOW = (
    "`seamark run oracle` as it is, in a process that is pinned to one core: 1,000 feeds, each with nine websocket "
    "tickers in the shapes of six exchanges, and its entry in a list of all tickers that is asked each second over "
    "HTTP (keep-alive). The venues (raw sockets, a process of their own) and anvil run on the other core. An update "
    "is a quote that was read, aggregated with the feed's nine others and decided upon. Age: of all feeds at five "
    "moments a second, the newest venue time in the feed's last answer. Lag: the longest of all updates, from the "
    "venue's time to the decision. The rate is what the venues send; in the last row they send more and more until "
    "the publisher cannot follow."
)
FEEDS = 1_000
LISTED_PER_S = FEEDS
TARGET = 10_000
AGE_TARGET_S = 1.0
SECONDS = 20.0
SETTLE_S = 5.0
MORE = (12_500, 15_000, 20_000, 25_000)  # a second


class Found:
    """What a row says of some seconds."""

    def __init__(self, looks: Sequence[Look]) -> None:
        first, *rest = looks
        self.seconds = looks[-1].at - first.at
        self.updates = sum(one.updates for one in rest) / self.seconds
        self.decisions = sum(one.decisions for one in rest) / self.seconds
        self.oldest = max(one.oldest for one in rest)
        self.lag = max(one.longest_lag for one in rest)
        self.core = (looks[-1].cpu - first.cpu) / self.seconds
        self.waited = (looks[-1].waited - first.waited) / self.seconds

    def __str__(self) -> str:
        return (
            f"{self.updates:,.0f} updates/s, age <= {self.oldest:.2f} s, lag <= {self.lag:.2f} s; {self.core:.0%} of "
            f"the core, {self.waited:.0%} waiting for it"
        )


async def at_rate(running: Rig, per_s: float) -> Found:
    running.pace(per_s - LISTED_PER_S)
    await running.looks(SETTLE_S)
    return Found(await running.looks(SECONDS))


async def run(rates: Sequence[int] = MORE) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        async with rig(Path(folder), feeds=FEEDS) as running:
            await running.until_level()
            found = await at_rate(running, TARGET * 1.02)  # a little more: the list is asked with jitter
            rows = [_row(found)]
            best, missed = found, ""
            for rate in rates:
                found = await at_rate(running, rate)
                if found.updates < 0.97 * rate or found.oldest > AGE_TARGET_S:
                    missed = f"; at {rate:,}: {found}"
                    break
                best = found
    rows.append(Row("the most it follows", f"{best} ({load_average()}){missed}"))
    return rows


def _row(found: Found) -> Row:
    return Row(
        "1,000 feeds x 10 sources on one core",
        f"{found} ({load_average()})",
        target=f">= {TARGET:,} updates/s, no feed older than {AGE_TARGET_S:.0f} s",
        met=found.updates >= TARGET and found.oldest <= AGE_TARGET_S,
    )


if __name__ == "__main__":
    for row in asyncio.run(run()):
        print(row)
