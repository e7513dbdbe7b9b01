"""The monitor on two chains with the published CCIP 2.0 contracts: stages without a commit, fees by component, attempts
of strangers, finality that is not waited for, curses, and a migration from 1.6."""

# ruff: noqa: F811 - tests take the imported fixture as an argument

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from seamark.core.ids import Address
from seamark.devnet.accounts import Role
from seamark.devnet.artifacts import ccip_artifact
from seamark.devnet.ccip.model import ExecutionState
from seamark.devnet.node_client import CallFailed, Tx, Wallet
from seamark.evm.signers import RawKeySigner
from seamark.messages.store import list_lanes, read_contracts
from seamark.runtime.health import Status
from tests.support.ccip_v2_0 import NO_EXECUTION, Bed, Side, bed, extra_args_v3, open_bed  # noqa: F401 - a fixture
from tests.support.monitor import RunningMonitor, Watched, start_monitor
from tests.support.world import World, world  # noqa: F401 - a fixture

pytestmark = pytest.mark.integration


def watched(*sides: Side) -> list[Watched]:
    return [Watched(side.chain_id, side.selector, side.name, side.router, side.url) for side in sides]


@asynccontextmanager
async def monitor(bed: Bed, folder: Path, *sides: Side) -> AsyncIterator[RunningMonitor]:
    async with start_monitor(folder, watched(*(sides or (bed.home, bed.remote)))) as running:
        yield running


async def test_a_message_passes_its_stages_without_a_commit(bed: Bed, tmp_path: Path) -> None:
    async with monitor(bed, tmp_path) as running:
        (message,) = await bed.send(bed.home, bed.remote, data=b"four")
        name = message.message_id
        await running.stages({name: "sent"})
        await bed.finalize(bed.home)
        await running.stages({name: "finalized"})
        assert await bed.execute(message) is ExecutionState.SUCCESS
        await running.stages({name: "executed"})

        detail = await running.message(name)
        view = detail.message
        assert (view.version, view.sequence, view.size, view.callback, view.manual) == ("2.0.0", 1, 4, True, None)
        assert (view.source, view.destination) == (str(bed.home.selector), str(bed.remote.selector))
        assert view.channel == bed.home.on_ramp
        assert view.receiver == bed.remote.receiver
        assert view.committed_time is None
        assert await running.topics(name) == ["message.sent", "message.finalized", "message.executed"]
        (lane,) = await running.database.read(list_lanes)
        assert (lane.total, lane.last_sent, lane.last_executed) == (1, 1, 1)
        assert running.value("ccip_messages_received_total", state="success") == 1
        assert running.value("ccip_message_latency_seconds_count", stage="total") == 1
        for service in running.services:
            assert (await service.health()).status is Status.OK
