"""An hour of many feeds: does the publisher's memory stay, and does it leave tasks or files behind?

    python -m bench.oracle_soak [--seconds 3600] [--feeds 200] [--ticks 1800] [--write]

Not one of those that `python -m bench` runs, for its length; `--write` renews its section of docs/performance.md. A
line each minute goes to standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median

from bench.oracle_feeds import Look
from bench.oracle_rig import rig
from bench.priority import load_average
from bench.report import Row, page, section, sections_of, table
from seamark.runtime.logs import configure_logs

TITLE = "Many feeds for an hour"
HOW = (
    "The feeds and venues of the section before, at a rate that leaves the machine to others. Memory is the "
    "publisher's resident set, each second; the first fifth of the time is left out (caches and pools fill), what is "
    "compared are the means of the next and of the last fifth, and the extremes of single seconds with the mean. "
    "Tasks of the event loop, file descriptors and threads: the fewest and the most of the minutes' middles, in the "
    "same fifths."
)
HOUR_S = 3600.0
FEEDS = 200
TICKS_PER_S = 1_800.0
PARTS = 5
FLAT = 0.05
LEAK = 1.05  # more at the end than at the beginning: 5 % of some thousand tasks is noise of what is under way
PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"


async def measure(folder: Path, *, seconds: float, feeds: int, ticks_per_s: float) -> list[Look]:
    async with rig(folder, feeds=feeds) as running:
        await running.until_level()
        running.pace(ticks_per_s)
        looks: list[Look] = []
        began = None
        while began is None or looks[-1].at - began < seconds:
            looks.append(await running.next())
            began = looks[0].at
            if len(looks) % 60 == 0:
                print(_line(looks), flush=True)
    return looks


def _line(looks: Sequence[Look]) -> str:
    last, minute = looks[-1], looks[-60:]
    rate = sum(one.updates for one in minute) / sum(one.seconds for one in minute)
    return (
        f"{(last.at - looks[0].at) / 60:.0f} min: {rate:,.0f} updates/s, {last.published} rounds, "
        f"{last.resident / 1e6:.1f} MB, {last.tasks} tasks, {last.files} files, {last.threads} threads, "
        f"age <= {max(one.oldest for one in minute):.2f} s"
    )


def rows_of(looks: Sequence[Look], feeds: int) -> list[Row]:
    """What came of it."""
    first, second, last = _part(looks, 0), _part(looks, 1), _part(looks, PARTS - 1)
    settled = looks[len(first) :]
    seconds = settled[-1].at - settled[0].at
    growth = mean(one.resident for one in last) / mean(one.resident for one in second) - 1
    middle = mean(one.resident for one in settled)
    low, high = (extreme(one.resident for one in settled) / middle - 1 for extreme in (min, max))
    rate = sum(one.updates for one in settled) / seconds
    cpu = (settled[-1].cpu - settled[0].cpu) / seconds
    rounds = settled[-1].published - settled[0].published
    what = f"{feeds} feeds x 10 sources, {rate:,.0f} updates/s, {rounds:,} rounds published, {seconds / 60:.0f} min"
    return [
        Row(
            f"{what}: memory",
            f"{middle / 1e6:.0f} MB; {growth:+.1%} from the second to the last fifth, {low:+.1%} to {high:+.1%} within "
            f"({cpu:.0%} of a core; {load_average()})",
            target="flat within 5 %",
            met=max(abs(growth), -low, high) <= FLAT,
        ),
        *(
            _count(name, [getattr(one, name) for one in second], [getattr(one, name) for one in last])
            for name in ("tasks", "files", "threads")
        ),
        Row(
            "the same: age of the data at the worst moment of each second",
            f"median {median(one.oldest for one in settled):.2f} s, longest {max(one.oldest for one in settled):.0f} s",
        ),
    ]


def _part(looks: Sequence[Look], number: int) -> Sequence[Look]:
    size = len(looks) // PARTS
    return looks[number * size : (number + 1) * size]


def _count(name: str, before: Sequence[int], after: Sequence[int]) -> Row:
    return Row(
        f"the same: {name}",
        f"{min(before)} to {max(before)}, then {min(after)} to {max(after)}",
        target="no leak",
        met=mean(after) <= mean(before) * LEAK,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.oracle_soak")
    parser.add_argument("--seconds", type=float, default=HOUR_S)
    parser.add_argument("--feeds", type=int, default=FEEDS)
    parser.add_argument("--ticks", type=float, default=TICKS_PER_S, help="a second, of all websockets together")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    wanted = parser.parse_args()
    configure_logs(level="error")
    with tempfile.TemporaryDirectory() as folder:
        looks = asyncio.run(measure(Path(folder), seconds=wanted.seconds, feeds=wanted.feeds, ticks_per_s=wanted.ticks))
    rows = rows_of(looks, wanted.feeds)
    print(f"\n{TITLE}\n\n{table(rows)}", flush=True)
    if wanted.write:
        PAGE.write_text(page({**sections_of(PAGE.read_text()), TITLE: section(HOW, rows)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
