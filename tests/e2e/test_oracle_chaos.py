"""Three publishers, half of whose requests to the node fail, on a chain that forgets up to three blocks, while the
leader is killed with SIGKILL, or stopped for as long as it takes, at every step of a publication.

No round is there twice, none is left out, no nonce is; and the next round comes within a heartbeat. The benchmark
`oracle_chaos` does the same for longer and writes down the numbers.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.chaos import ENDPOINTS, LEASE, NOT_FINAL, Storm, script
from tests.support.fused_publisher import STEPS, Action
from tests.support.publishers import Harbour

pytestmark = pytest.mark.timeout(900)

SEED = 4
HEARTBEAT_S = 30.0


async def test_killed_at_every_step_on_broken_nodes_and_a_forgetful_chain(tmp_path: Path) -> None:
    heartbeat = f"{HEARTBEAT_S:g}s"
    async with Harbour.open(
        tmp_path, lease=LEASE, heartbeat=heartbeat, chain=NOT_FINAL, fused=True, endpoints=ENDPOINTS
    ) as harbour:
        storm = Storm(harbour, SEED, tell=print)
        try:
            await harbour.start_all()
            await harbour.next_round(4)
            storm.break_nodes()
            plan = script(random.Random(SEED), [Action.KILL])
            for step, action, reorg in [
                *plan,
                ("before the fence", Action.STOP, False),
                ("in the unit", Action.STOP, True),
            ]:
                await storm.hit(step, action, reorg=reorg)
            tally = await storm.judge()
            print(tally)  # noqa: T201 - shown with a failing test
            assert {step for step, _ in tally.burned} == set(STEPS)
            assert (tally.duplicates, tally.missing, tally.gaps, tally.exits) == (0, 0, 0, 0)
            assert tally.rounds > tally.kills + tally.stops
            assert tally.worst < HEARTBEAT_S
        except BaseException:
            print(storm.tally, harbour.texts())  # noqa: T201
            raise
