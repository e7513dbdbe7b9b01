"""Operations on a sender contract, on a devnet with a running monitor: money, pauses, guarded changes, a new router."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from seamark.app import CCIP_MONITOR
from seamark.app.guarded import _Sequence
from seamark.app.operations import OperationsOffice, Place, open_operations
from seamark.app.recovery import Author
from seamark.core.errors import RejectedError, SettingsError, TemporaryError
from seamark.core.ids import Address
from seamark.core.units import to_base_units
from seamark.devnet.accounts import Role, account
from seamark.devnet.artifacts import ccip_artifact
from seamark.devnet.ccip.contracts import open_draft
from seamark.devnet.node_client import Tx
from seamark.evm import artifacts
from seamark.oracle.administration import store
from seamark.oracle.administration.wanted import WantedSender
from seamark.runtime.clock import SystemClock
from seamark.runtime.settings import validate_settings
from seamark.settings import Settings
from seamark.storage.database import Database, open_database
from seamark.storage.events import read_events
from tests.support.application import BTC, Stage, scene

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

WHO = Author("ada", "ticket 7")
WAIT_S = 60.0
SENDER = artifacts.load("OracleWithCCIP").abi
ERC20 = ccip_artifact("v1_5_1", "factory_burn_mint_erc20").abi


@dataclass
class Bench:
    """An office, its contract, and what a test does around it."""

    stage: Stage
    database: Database
    settings: Settings
    office: OperationsOffice
    place: Place
    told: list[str] = field(default_factory=list)

    @property
    def home(self) -> Any:
        return self.stage.devnet.deployment.home

    @property
    def remote(self) -> Any:
        return self.stage.devnet.deployment.remote

    async def publish(self) -> None:
        """A first round, so that there is something to send as a test."""
        data = SENDER.encode_call("submit", 1, to_base_units(Decimal(60_000), 8), int(time.time()))
        await self.stage.devnet.wallet(Role.PUBLISHER).run([Tx(self.place.address, data)], abi=SENDER)

    async def link_of(self, owner: Address) -> int:
        return int(await self.stage.devnet.nodes[0].read(self.home.link, ERC20.function("balanceOf"), owner))

    def wanted(self, **values: Any) -> WantedSender:
        return WantedSender.model_validate({"chain": "home", "sender": self.place.address, **values})

    async def configure(self, wanted: WantedSender, *, test: bool = True, timeout_s: float = WAIT_S) -> Any:
        present = await self.office.state(self.place)
        changes = self.office.plan(present, wanted)
        await self.office.check_changes(self.place, present, changes)
        return await self.office.apply(
            "configure",
            self.place,
            changes,
            WHO,
            timeout_s=timeout_s,
            test=test,
            left=lambda state: self.office.plan(state, wanted),
        )


def with_operations(stage: Stage, **changes: Any) -> Settings:
    values = stage.settings().model_dump(mode="python", exclude_unset=True)
    operations = {
        "signer": {"private_key": account(Role.OPERATOR).private_key},
        "admin": {"private_key": account(Role.HOME_DEPLOYER).private_key},
        **changes,
    }
    values["oracle"] = {}
    return validate_settings(Settings, {**values, "operations": operations})


@asynccontextmanager
async def time_passes(stage: Stage) -> AsyncIterator[None]:
    """Blocks on both chains while the block runs: nothing is final without them."""

    async def mine() -> None:
        while True:
            for anvil in stage.devnet.anvils:
                await anvil.mine(1)
            await asyncio.sleep(0.1)

    task = asyncio.create_task(mine())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def bench(folder: Path, **operations: Any) -> AsyncIterator[Bench]:
    async with scene(folder) as stage, time_passes(stage):
        settings = with_operations(stage, **operations)
        database = await open_database(stage.database_url)
        told: list[str] = []
        try:
            async with open_operations(settings, database, clock=SystemClock(), tell=told.append) as office:
                place = await office.place("home", stage.devnet.deployment.feed(BTC).aggregator)
                yield Bench(stage, database, settings, office, place, told)
        finally:
            await database.close()


class TestRefill:
    async def test_link_is_sent_once_and_recorded(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as desk:
            before = await desk.link_of(desk.place.address)
            operation, delivery = await desk.office.refill(desk.place, Decimal("12.5"), WHO, timeout_s=WAIT_S)
            assert delivery.receipt is not None
            assert await desk.link_of(desk.place.address) - before == 125 * 10**17
            assert (operation.outcome, operation.operator, operation.why) == ("done", "ada", "ticket 7")
            events = await desk.database.read(lambda c: read_events(c, 0, topics=["operation."]))
            assert [event.topic for event in events] == ["operation.begun", "operation.ended"]

    async def test_ceilings(self, tmp_path: Path) -> None:
        async with bench(tmp_path, refill={"per_refill": 10, "per_day": 15}) as desk:
            with pytest.raises(SettingsError, match="per_refill"):
                await desk.office.refill(desk.place, Decimal(11), WHO, timeout_s=WAIT_S)
            await desk.office.refill(desk.place, Decimal(10), WHO, timeout_s=WAIT_S)
            with pytest.raises(SettingsError, match=r"20 LINK would be sent .*per_day \(15\)"):
                await desk.office.refill(desk.place, Decimal(10), WHO, timeout_s=WAIT_S)
            assert len(await desk.office.history(10)) == 1

    async def test_an_empty_purse(self, tmp_path: Path) -> None:
        async with bench(tmp_path, refill={"per_refill": 9_999, "per_day": 9_999}) as desk:
            with pytest.raises(RejectedError, match=r"has 1000 LINK on home"):
                await desk.office.refill(desk.place, Decimal(1_001), WHO, timeout_s=WAIT_S)

    async def test_what_cannot_be_sent_at_all_has_ended(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as desk:
            sends, desk.office._send = desk.office._send, _refused  # type: ignore[method-assign,assignment]
            with pytest.raises(RejectedError, match="no funds"):
                await desk.office.refill(desk.place, Decimal(5), WHO, timeout_s=WAIT_S)
            desk.office._send = sends  # type: ignore[method-assign]
            assert [item.outcome for item in await desk.office.history(10)] == ["failed"]
            operation, _ = await desk.office.refill(desk.place, Decimal(6), WHO, timeout_s=WAIT_S)
            assert operation.outcome == "done"

    async def test_a_crash_after_the_record_and_after_the_block(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as desk:
            before = await desk.link_of(desk.place.address)
            # The process died between the block and the end of the record.
            ended, desk.office._end = desk.office._end, _dies  # type: ignore[method-assign,assignment]
            with pytest.raises(_Died):
                await desk.office.refill(desk.place, Decimal(5), WHO, timeout_s=WAIT_S)
            desk.office._end = ended  # type: ignore[method-assign]
            with pytest.raises(RejectedError, match="a refill of 5 LINK was begun"):
                await desk.office.refill(desk.place, Decimal(6), WHO, timeout_s=WAIT_S)
            operation, _ = await desk.office.refill(desk.place, Decimal(5), WHO, timeout_s=WAIT_S)
            assert operation.outcome == "done"
            assert await desk.link_of(desk.place.address) - before == 5 * 10**18  # once


class _Died(Exception):
    pass


async def _refused(*_: Any) -> Any:
    raise RejectedError("no funds")


async def _dies(*_: Any) -> Any:
    raise _Died


async def test_pause_and_resume(tmp_path: Path) -> None:
    async with bench(tmp_path) as desk:
        await desk.office.switch(desk.place, "pause", "pauseSending", WHO, timeout_s=WAIT_S)
        assert (await desk.office.state(desk.place)).sending_paused
        operation, _ = await desk.office.switch(desk.place, "resume", "unpauseSending", WHO, timeout_s=WAIT_S)
        assert operation.outcome == "done"
        assert not (await desk.office.state(desk.place)).sending_paused


async def test_a_key_without_the_role_sends_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path, signer={"private_key": account(Role.USER).private_key}) as desk:
        with pytest.raises(RejectedError, match="needs PAUSER_ROLE"):
            await desk.office.switch(desk.place, "pause", "pauseSending", WHO, timeout_s=WAIT_S)
        assert await desk.office.history(10) == []


class TestConfigure:
    async def test_changed_tested_and_landed(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as desk, desk.stage.running(CCIP_MONITOR):
            await desk.publish()
            wanted = desk.wanted(
                send_gas_limit=700_000, destinations={"remote": {"gas_limit": 260_000, "deviation": "0.3%"}}
            )
            done = await desk.configure(wanted)
            assert done.succeeded, done.problem
            state = await desk.office.state(desk.place)
            assert (state.send_gas_limit, state.sending_paused) == (700_000, False)
            assert state.destinations[desk.remote.selector].deviation_bps == 30
            assert desk.office.plan(state, wanted) == []
            (message_id,) = done.messages
            assert (await desk.stage.messages())[message_id].stage == "executed"
            assert [step.what for step in done.operation.steps] == [
                "pause sending",
                "send gas limit",
                "destination remote",
                "resume sending",
                f"test message to {desk.remote.selector}",
            ]

    async def test_a_test_message_that_fails_takes_everything_back(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as desk, desk.stage.running(CCIP_MONITOR):
            await desk.publish()
            before = await desk.office.state(desk.place)
            receiver = ccip_artifact("v1_6_0", "maybe_revert_message_receiver")
            wallet = desk.stage.devnet.wallet(Role.SECOND_PUBLISHER, remote=True)
            await wallet.run([Tx(desk.remote.test_receiver, receiver.abi.encode_call("setRevert", True))])
            wanted = desk.wanted(
                send_gas_limit=700_000, destinations={"remote": {"receiver": desk.remote.test_receiver}}
            )
            done = await desk.configure(wanted)
            assert "failed" in done.problem
            assert done.operation.outcome == "rolled back"
            after = await desk.office.state(desk.place)
            assert (after.destinations, after.send_gas_limit) == (before.destinations, before.send_gas_limit)
            assert not after.sending_paused

    async def test_a_receiver_that_takes_no_messages_takes_everything_back(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as desk, desk.stage.running(CCIP_MONITOR):
            await desk.publish()
            before = await desk.office.state(desk.place)
            # CCIP itself calls it a success when nothing at the receiver runs.
            done = await desk.configure(desk.wanted(destinations={"remote": {"receiver": desk.remote.link}}))
            assert "no code ran" in done.problem
            assert (await desk.office.state(desk.place)).destinations == before.destinations

    async def test_a_new_destination_is_removed_again(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as desk, desk.stage.running(CCIP_MONITOR):
            await desk.publish()
            parts = {"receiver": desk.remote.test_receiver, "gas_limit": 200_000, "fee": "link", "max_fee": "1"}
            # No lane leads there, so the test message cannot even be sent.
            wanted = desk.wanted(
                destinations={"5009297550715157269": {**parts, "deviation": "1%", "min_interval": "1m"}}
            )
            done = await desk.configure(wanted)
            assert not done.succeeded
            assert list((await desk.office.state(desk.place)).destinations) == [desk.remote.selector]

    async def test_interrupted_and_continued(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as desk:
            wanted = desk.wanted(send_gas_limit=700_000, max_step="5%")
            send, calls = desk.office.send, 0

            async def fails(*arguments: Any, **more: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == 3:
                    raise TemporaryError("the node went away")
                return await send(*arguments, **more)

            desk.office.send = fails  # type: ignore[method-assign]
            with pytest.raises(TemporaryError):
                await desk.configure(wanted, test=False)
            state = await desk.office.state(desk.place)
            assert (state.send_gas_limit, state.sending_paused) == (700_000, True)
            with pytest.raises(RejectedError, match=r"operation 1 \(configure, by ada\) was begun"):
                await desk.office.switch(desk.place, "resume", "unpauseSending", WHO, timeout_s=WAIT_S)
            desk.office.send = send  # type: ignore[method-assign]
            done = await desk.configure(wanted, test=False)
            assert done.succeeded
            assert done.operation.id == 1
            state = await desk.office.state(desk.place)
            assert (state.max_step_bps, state.sending_paused) == (500, False)

    async def test_a_transaction_that_waits_is_neither_gone_on_from_nor_taken_back(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as desk:
            send = desk.office.send

            async def waits(*arguments: Any, **more: Any) -> Any:
                delivery = await send(*arguments, **more)
                return replace(delivery, receipt=None)

            desk.office.send = waits  # type: ignore[method-assign]
            with pytest.raises(TemporaryError, match="is in no block"):
                await desk.configure(desk.wanted(send_gas_limit=700_000), test=False)
            left = await desk.office.unended(desk.place)
            assert left is not None
            assert [step.what for step in left.steps] == ["pause sending"]
            desk.office.send = send  # type: ignore[method-assign]
            await desk.office.roll_back(desk.place, left, timeout_s=WAIT_S)
            assert not (await desk.office.state(desk.place)).sending_paused

    async def test_the_same_step_again_is_the_same_transaction(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as desk:
            operation = await desk.office._begin("configure", desk.place, WHO)
            data = SENDER.encode_call("setSendGasLimit", 700_000)
            nonce = (await desk.office.admin()).address
            before = await desk.place.item.chain.nonce(nonce)
            for _ in range(2):  # as after a crash
                found = await desk.office.unended(desk.place)
                assert found is not None
                sequence = _Sequence(desk.office, desk.place, found, WAIT_S)
                await sequence.step("send gas limit", data, None, await desk.office.admin())
            assert await desk.place.item.chain.nonce(nonce) == before + 1
            assert found is not None
            assert operation.id == found.id

    async def test_a_contract_that_is_not_as_asked_for_afterwards_is_put_back(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as desk:
            wanted = desk.wanted(send_gas_limit=700_000)
            present = await desk.office.state(desk.place)
            changes = desk.office.plan(present, wanted)
            done = await desk.office.apply(
                "configure", desk.place, changes, WHO, timeout_s=WAIT_S, test=False, left=lambda _: changes
            )
            assert done.problem == "the contract is not as it was asked for: send gas limit"
            assert (await desk.office.state(desk.place)).send_gas_limit == present.send_gas_limit

    async def test_interrupted_and_taken_back(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as desk:
            before = await desk.office.state(desk.place)
            operation = await desk.office._begin("configure", desk.place, WHO)
            admin = await desk.office.admin()
            data, undo = (SENDER.encode_call("setSendGasLimit", limit) for limit in (700_000, before.send_gas_limit))
            operation = await desk.office.note(operation, store.Step("send gas limit", undo.hex(), admin.address))
            await desk.office.send(desk.place, admin, "operation:1:0", desk.place.address, data, WAIT_S)
            left = await desk.office.unended(desk.place)
            assert left is not None
            ended = await desk.office.roll_back(desk.place, left, timeout_s=WAIT_S)
            assert ended.outcome == "rolled back"
            assert (await desk.office.state(desk.place)).send_gas_limit == before.send_gas_limit

    async def test_what_would_fail_is_told_before_anything_is_sent(self, tmp_path: Path) -> None:
        async with bench(tmp_path, admin={"private_key": account(Role.USER).private_key}) as desk:
            with pytest.raises(RejectedError, match="needs DEFAULT_ADMIN_ROLE"):
                await desk.configure(desk.wanted(send_gas_limit=700_000), test=False)
            assert await desk.office.history(10) == []
        assert (await _nothing_sent(tmp_path)) == []

    async def test_nobody_watches(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as desk:
            with pytest.raises(RejectedError, match="no ccip-monitor has read"):
                await desk.office.check_monitor([desk.remote.selector])


async def _nothing_sent(folder: Path) -> list[Any]:
    database = await open_database(f"sqlite:///{folder / 'seamark.db'}", migrate=False)
    try:
        return await database.read(lambda c: list(c.exec_driver_sql("SELECT * FROM evm_transaction")))
    finally:
        await database.close()


class TestUpgrade:
    async def test_a_new_router_in_two_steps(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as desk, desk.stage.running(CCIP_MONITOR):
            await desk.publish()
            router = await self._another_router(desk)
            present = await desk.office.state(desk.place)
            await desk.office.check_router(desk.place, present, router)
            await desk.office.propose_router(desk.place, router, WHO, timeout_s=WAIT_S)
            present = await desk.office.state(desk.place)
            assert present.pending_router == router
            assert present.pending_router_at - present.block_time > 86_000
            node = desk.stage.devnet.nodes[0]
            await node.request("evm_increaseTime", 86_500)
            await desk.stage.devnet.anvils[0].mine(1)
            present = await desk.office.state(desk.place)
            changes = [desk.office.router_change(present)]
            done = await desk.office.apply("upgrade", desk.place, changes, WHO, timeout_s=WAIT_S, test=True)
            assert done.succeeded, done.problem
            assert (await desk.office.state(desk.place)).router == router
            assert (await desk.stage.messages())[done.messages[0]].stage == "executed"

    async def test_what_is_no_router(self, tmp_path: Path) -> None:
        async with bench(tmp_path) as desk:
            present = await desk.office.state(desk.place)
            with pytest.raises(RejectedError, match="is no CCIP router"):
                await desk.office.check_router(desk.place, present, desk.home.link)

    @staticmethod
    async def _another_router(desk: Bench) -> Address:
        home, remote = desk.home, desk.remote
        draft = await open_draft(desk.stage.devnet.nodes[0], Role.HOME_DEPLOYER)
        artifact = ccip_artifact("latest", "router")
        router = draft.deploy(artifact, home.wrapped_native, home.arm_proxy)
        ramps: tuple[Any, ...] = ([(remote.selector, home.onramp)], [], [(remote.selector, home.offramp)])
        draft.call(artifact, router, "applyRampUpdates", *ramps)
        on_ramp = ccip_artifact("v1_6_0", "onramp")
        draft.call(on_ramp, home.onramp, "applyDestChainConfigUpdates", [(remote.selector, router, False)])
        await draft.send()
        return router
