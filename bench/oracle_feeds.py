"""The publisher process of the oracle benchmarks: `seamark run oracle` as it is, and what it looks like from inside.

    python -m bench.oracle_feeds SETTINGS CORE      a line of JSON (`Look`) each second, until SIGTERM

The counting wraps two methods (a quote handed over, a decision made); everything else is the product's own code.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from seamark.app.application import Application, open_application
from seamark.app.names import ORACLE
from seamark.cli.files import read_settings
from seamark.oracle.model import Answer, Quote
from seamark.oracle.publisher import FeedPublisher
from seamark.oracle.sources.outlet import Outlet
from seamark.runtime.logs import configure_logs
from seamark.runtime.process import settle_heap

SAMPLES_PER_LOOK = 5
PROC = Path("/proc/self")


class Look(msgspec.Struct):
    """What was since the last look, and what is."""

    at: float
    seconds: float
    updates: int = 0
    decisions: int = 0
    longest_lag: float = 0.0
    """Of all updates: from the venue's own time until it was handed to its feed; seconds."""

    oldest: float = 0.0
    """Of all feeds: the age of the newest venue time in its last answer, at the worst of five moments; seconds."""

    answers: int = 0
    """Feeds that have an answer."""

    rounds: int = 0
    """Feeds that are on chain."""

    published: int = 0
    cpu: float = 0.0
    """Processor seconds of the whole process."""

    waited: float = 0.0
    """Seconds in which its main thread was ready to run and had no core."""

    resident: int = 0
    tasks: int = 0
    files: int = 0
    threads: int = 0


class _Counts:
    def __init__(self) -> None:
        self.updates = self.decisions = 0
        self.longest_lag = 0.0


def count_in(counts: _Counts) -> None:
    """Count from now on."""
    hand_over, decide = Outlet.quote, FeedPublisher.tick

    def taken(self: Outlet, quote: Quote, *, latency: float = 0.0) -> None:
        counts.updates += 1
        if not quote.untimed and (lag := quote.received_at - quote.observed_at) > counts.longest_lag:
            counts.longest_lag = lag
        hand_over(self, quote, latency=latency)

    def tick(self: FeedPublisher) -> Any:
        counts.decisions += 1
        return decide(self)

    Outlet.quote = taken  # type: ignore[method-assign]
    FeedPublisher.tick = tick  # type: ignore[method-assign]


def age(publisher: FeedPublisher, now: float) -> float:
    """Of the newest venue time in the last answer."""
    if not isinstance(publisher.result, Answer):
        return 0.0
    return now - max((quote.observed_at for quote in publisher.result.quotes if not quote.untimed), default=0.0)


async def look(app: Application, counts: _Counts, before: Look) -> Look:
    assert app.oracle is not None
    publishers = list(app.oracle.publishers.values())
    oldest = 0.0
    for _ in range(SAMPLES_PER_LOOK):
        await asyncio.sleep(1 / SAMPLES_PER_LOOK)
        now = time.time()
        oldest = max(oldest, *(age(publisher, now) for publisher in publishers))
    now = time.monotonic()
    found = Look(now, now - before.at, counts.updates, counts.decisions, counts.longest_lag, oldest)
    counts.__init__()  # type: ignore[misc]
    found.answers = sum(isinstance(publisher.result, Answer) for publisher in publishers)
    rounds = [publisher.state.round for publisher in publishers if publisher.state is not None]
    found.rounds, found.published = sum(number > 0 for number in rounds), sum(rounds)
    found.tasks = len(asyncio.all_tasks())
    _weigh(found)
    return found


def _weigh(found: Look) -> None:
    """What the kernel says of this process."""
    found.cpu = time.process_time()
    found.waited = int((PROC / "schedstat").read_text().split()[1]) / 1e9
    found.resident = int((PROC / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    found.files = sum(1 for _ in (PROC / "fd").iterdir())
    found.threads = sum(1 for _ in (PROC / "task").iterdir())


async def report(app: Application, counts: _Counts) -> None:
    latest = Look(time.monotonic(), 0.0)
    while True:
        latest = await look(app, counts, latest)
        sys.stdout.buffer.write(msgspec.json.encode(latest) + b"\n")
        sys.stdout.buffer.flush()


async def main(settings: str, core: int) -> None:
    if core >= 0:
        os.sched_setaffinity(0, {core})
    configure_logs(level="error")
    counts = _Counts()
    count_in(counts)
    found = await read_settings([ORACLE], Path(settings))
    async with open_application(found.settings, [ORACLE], names=found.names) as app:
        settle_heap()
        running = asyncio.create_task(app.run())
        reporting = asyncio.create_task(report(app, counts))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, running.cancel)
        await asyncio.wait((running, reporting), return_when=asyncio.FIRST_COMPLETED)
        for task in (running, reporting):
            task.cancel()
        await asyncio.gather(running, reporting, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
