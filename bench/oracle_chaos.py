"""Three publishers in chaos: the leader is killed, or stopped, at each step of a publication, again and again.

Everything is real but the venues: processes of `seamark run oracle`, PostgreSQL, anvil, the published contract. Between
each process and the node stand proxies that break half of the requests; the chain forgets up to three blocks at every
second hit. What happens is drawn from a seed; the steps are those of tests/support/fused_publisher.py.

SEAMARK_BENCH_CHAOS names how often the whole script runs; the default is 2.
"""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path
from statistics import median

from tests.support.chaos import ENDPOINTS, LEASE, NOT_FINAL, REORG_DEPTH, Storm, Tally, script
from tests.support.fused_publisher import STEPS, Action
from tests.support.publishers import Harbour

from bench.priority import go_first, load_average
from bench.report import Row

HEARTBEAT_S = 30.0
SEED = 2_024
SCRIPTS = int(os.environ.get("SEAMARK_BENCH_CHAOS", "2"))

HOW = (
    f"Three replicas of a publisher (lease {LEASE['duration']}, a row of PostgreSQL) as processes; the leader is killed"
    f" with SIGKILL and stopped with SIGSTOP at each of {len(STEPS)} steps, from the check of the fence to the stored"
    " receipt. Half of all requests to the node come to nothing (reset, cut off, HTML, errors, foreign answers),"
    f" through {ENDPOINTS} endpoints for each process; the chain (anvil) forgets up to {REORG_DEPTH} blocks at every"
    " second hit. Recovery: from the hit until a round later than all before is on the chain, reorgs included; the"
    f" heartbeat is {HEARTBEAT_S:g} s."
)


async def run() -> list[Row]:
    go_first(os.getpid())  # and the replicas, which are of the same session
    heartbeat = f"{HEARTBEAT_S:g}s"
    with tempfile.TemporaryDirectory(prefix="seamark-chaos-") as name:
        async with Harbour.open(
            Path(name), lease=LEASE, heartbeat=heartbeat, chain=NOT_FINAL, fused=True, endpoints=ENDPOINTS
        ) as harbour:
            return _rows(await _storm(harbour))


async def _storm(harbour: Harbour) -> Tally:
    storm = Storm(harbour, SEED, tell=lambda line: print(f"  {line}", flush=True))
    chance = random.Random(SEED)
    await harbour.start_all()
    await harbour.next_round(4)
    storm.break_nodes()
    for number in range(SCRIPTS):
        actions = [Action.KILL] if number else [Action.KILL, Action.STOP]
        for step, action, reorg in script(chance, actions):
            await storm.hit(step, action, reorg=reorg)
    return await storm.judge()


def _rows(tally: Tally) -> list[Row]:
    hits = f"{tally.kills} kills, {tally.stops} stops, {tally.reorgs} reorgs"
    done = f"{hits}, {tally.broken:,} of {tally.requests:,} requests broken; {load_average()}"
    return [
        Row("what was done to them", done),
        Row("rounds on the chain", f"{tally.rounds}"),
        Row("rounds submitted twice", f"{tally.duplicates}", target="0", met=tally.duplicates == 0),
        Row("rounds left out", f"{tally.missing}", target="0", met=tally.missing == 0),
        Row("processes that ended by themselves", f"{tally.exits}", target="0", met=tally.exits == 0),
        Row("nonces left out", f"{tally.gaps}", target="0", met=tally.gaps == 0),
        Row(
            "recovery, worst",
            f"{tally.worst:.1f} s (median {median(tally.recoveries):.1f} s)",
            target=f"<= {HEARTBEAT_S:g} s",
            met=tally.worst <= HEARTBEAT_S,
        ),
    ]
