"""The whole monitor over the published contracts while the network misbehaves: the right findings come, and end.

The devnet's network is driven by hand, with faults; nodes are reached through proxies that leave out logs on request.
"""

# ruff: noqa: F811 - tests take the imported fixture as an argument

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seamark.app import CCIP_MONITOR, Application, open_application
from seamark.core.findings import Finding, Severity
from seamark.demo import demo_values
from seamark.devnet.accounts import Role
from seamark.devnet.artifacts import ccip_artifact
from seamark.devnet.ccip.faults import Fault, FaultKind
from seamark.devnet.node_client import Tx
from seamark.messages.judgement import explain, read_curses, read_profile
from seamark.messages.judgement.service import JudgeService
from seamark.messages.model import LaneKey
from seamark.messages.store import find_message
from seamark.runtime.settings import validate_settings
from seamark.settings import Settings
from seamark.storage.events import read_events
from tests.support.faulty_rpc import Faults, FaultyRpc
from tests.support.world import World, world  # noqa: F401 - a fixture

pytestmark = pytest.mark.integration

PATIENCE_S = 60.0
LOOK_S = 0.1
SENT_TOPIC = "0x192442a2"  # CCIPMessageSent


@dataclass
class Judged:
    """A world, a monitor with a strict judge, and proxies before its nodes."""

    world: World
    app: Application
    run: asyncio.Task[None]
    home: FaultyRpc
    remote: FaultyRpc

    @property
    def judge(self) -> JudgeService:
        (judge,) = [service for service in self.app.services if isinstance(service, JudgeService)]
        return judge

    def findings(self, kind: str) -> list[Finding]:
        return [finding for finding in self.judge.findings if finding.kind == kind]

    async def until(self, condition: Callable[[], Awaitable[object]] | Callable[[], object], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    found = condition()
                    if await found if asyncio.iscoroutine(found) else found:
                        return
                    if self.run.done():
                        self.run.result()
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise AssertionError(f"never came: {what}; {[item.title for item in self.judge.findings]}") from None

    async def comes(self, kind: str, **labels: str) -> Finding:
        def found() -> list[Finding]:
            return [item for item in self.findings(kind) if labels.items() <= item.labels.items()]

        await self.until(found, kind)
        return found()[0]

    async def ends(self, kind: str) -> None:
        await self.until(lambda: not self.findings(kind), f"the end of {kind}")

    async def curse(self, function: str, subject: bytes) -> None:
        abi = ccip_artifact("v1_6_0", "rmn_remote").abi
        data = abi.encode_call(f"{function}(bytes16)", subject)
        wallet = self.world.wallet(Role.REMOTE_DEPLOYER, remote=True)
        await wallet.run([Tx(self.world.remote.rmn_remote, data)], abi=abi)


@pytest.fixture
async def judged(world: World, tmp_path: Path) -> AsyncIterator[Judged]:
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(FaultyRpc(world.devnet.home_url))
        remote = await stack.enter_async_context(FaultyRpc(world.devnet.remote_url))
        values = demo_values(world.devnet, database=f"sqlite:///{tmp_path / 'seamark.db'}")
        del values["oracle"]
        values["chains"]["home"] |= {"rpc": [home.url], "poll_interval": "50ms"}
        values["chains"]["remote"] |= {"rpc": [remote.url], "poll_interval": "50ms"}
        rule = {"final": "2s", "committed": "3s", "executed": "4s"}
        values["messages"] = {"judge": {"every": "100ms", "reconcile_every": "300ms", "lanes": [rule]}}
        listeners = {name: {"port": 0} for name in ("api", "metrics", "health")}
        settings = validate_settings(Settings, {**values, **listeners})
        app = await stack.enter_async_context(open_application(settings, [CCIP_MONITOR]))
        run = asyncio.create_task(app.run())
        try:
            yield Judged(world, app, run, home, remote)
        finally:
            run.cancel()
            with suppress(asyncio.CancelledError):
                await run


async def test_each_stage_that_does_not_come(judged: Judged) -> None:
    world = judged.world
    (message,) = await world.send(world.outbound)
    stuck = await judged.comes("message_stuck", stage="sent")
    assert stuck.count == 1

    world.faults.add(Fault(FaultKind.NEVER_COMMIT))
    await world.finalize(world.outbound)
    await world.commit(world.outbound)
    stuck = await judged.comes("message_stuck", stage="finalized")
    assert "not committed" in stuck.title

    world.faults.clear()
    world.faults.add(Fault(FaultKind.NEVER_EXECUTE))
    await world.commit(world.outbound)
    await world.execute(world.outbound)
    stuck = await judged.comes("message_stuck", stage="committed")
    detail = await judged.app.database.read(lambda c: find_message(c, message.message_id))
    assert detail is not None
    view = detail.message
    key = LaneKey(view.protocol, view.source, view.channel, view.destination)
    profile = await judged.app.database.read(lambda c: read_profile(c, key))
    told = explain(view, profile, view.time + 60)
    assert any(line.startswith("late by 56s: it should be executed within 4s") for line in told), told

    world.faults.clear()
    await world.execute(world.outbound)
    await judged.ends("message_stuck")
    topics = {event.topic for event in await judged.app.database.read(lambda c: read_events(c, 0, topics=["alert."]))}
    assert topics, "findings become alerts"


async def test_a_failing_receiver_until_it_is_repaired(judged: Judged) -> None:
    world = judged.world
    await world.set_receiver_reverts(world.outbound, True)
    (message,) = await world.send(world.outbound)
    await world.deliver(world.outbound)
    failed = await judged.comes("message_failed")
    assert "refused by the receiver" in failed.text
    assert message.message_id in failed.remedy
    detail = await judged.app.database.read(lambda c: find_message(c, message.message_id))
    assert detail is not None
    told = explain(detail.message, None, 0)
    assert any("receiver reverted" in line for line in told), told

    await world.set_receiver_reverts(world.outbound, False)
    await world.outbound.execute_by_hand(message, world.wallet(Role.SECOND_PUBLISHER, remote=True))
    await judged.ends("message_failed")
    by_hand = await judged.comes("manual_execution")
    assert by_hand.severity is Severity.INFO


async def test_a_curse_is_one_finding(judged: Judged) -> None:
    world = judged.world
    await world.send(world.outbound, count=5)
    await world.finalize(world.outbound)
    await world.commit(world.outbound)
    await judged.curse("curse", world.home.selector.to_bytes(16))
    cursed = await judged.comes("cursed")
    await judged.comes("message_stuck", cause="cursed")
    await judged.until(lambda: judged.findings("cursed")[0].count == 5, "all five are counted")
    urgent = [item for item in judged.judge.findings if item.severity is not Severity.INFO]
    assert [item.kind for item in urgent] == ["cursed"]
    assert {item.group for item in judged.findings("message_stuck")} == {cursed.group}
    (curse,) = await judged.app.database.read(lambda c: read_curses(c, "ccip"))
    assert curse.subject == str(world.home.selector)

    await judged.curse("uncurse", world.home.selector.to_bytes(16))
    await judged.ends("cursed")
    await world.execute(world.outbound)
    await judged.ends("message_stuck")


def _hiding(topic: str) -> Faults:
    """A node that leaves out logs and whose blooms do not give it away."""

    def rewrite(method: str, _params: Any, result: Any) -> Any:
        if method == "eth_getBlockByNumber" and isinstance(result, dict):
            return result | {"logsBloom": "0x" + "00" * 256}
        return result

    return Faults(hide_logs=lambda entry: entry["topics"][0].startswith(topic), rewrite=rewrite)


async def test_logs_that_a_node_hid_are_found_and_healed(judged: Judged) -> None:
    world = judged.world
    (seen,) = await world.send(world.outbound)
    await world.finalize(world.outbound)

    async def known(message: Any) -> bool:
        detail = await judged.app.database.read(lambda c: find_message(c, message.message_id))
        return detail is not None and detail.message.finalized

    await judged.until(lambda: known(seen), "the first message")
    judged.home.faults = _hiding(SENT_TOPIC)
    (hidden,) = await world.send(world.outbound)
    for _ in range(4):
        await world.finalize(world.outbound)
    gap = await judged.comes("log_gap")
    assert (gap.count, gap.labels["direction"]) == (1, "sent")
    assert gap.severity is Severity.CRITICAL
    assert not await known(hidden)

    judged.home.faults = Faults()
    await judged.until(lambda: known(hidden), "the hidden message")
    await judged.ends("log_gap")
    samples = {
        sample.name: sample.value
        for family in judged.app.registry.collect()
        for sample in family.samples
        if sample.name.startswith("ccip_log_gap_") and "chain" in sample.labels
    }
    assert samples["ccip_log_gap_detected_total"] == 1
    assert samples["ccip_log_gap_healed_total"] == 1
    await world.deliver(world.outbound)
    await judged.ends("message_stuck")
