"""The interop monitor as a user runs it, over two anvils with an inbox of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from seamark.core.errors import SettingsError
from seamark.core.ids import ChainId
from seamark.devnet.anvil import Anvil, AnvilOptions, free_port
from seamark.messages.protocols.op_interop.model import Rule, Status
from seamark.messages.protocols.op_interop.store import history
from tests.support.anvil import anvil
from tests.support.interop_chains import InteropChain, interop_settings, plain_chains, watched, watching

pytestmark = pytest.mark.integration


async def test_a_message_from_log_to_final_verdict(tmp_path: Path) -> None:
    async with plain_chains() as chains:
        log = await chains[901].emit()
        await chains[902].warp(100)
        await chains[902].execute(log)
        async with watching(tmp_path, chains.values()) as app:
            await app.statuses("valid")
            (job,) = await app.jobs()
            assert (job.declared, job.message.identifier) == (True, log.identifier)
            assert app.value("interop_message_status", status="valid") == 1
            for chain in chains.values():
                await chain.node.mine(3)

            async def settled() -> bool:
                return (await app.jobs())[0].settled

            await app.until(settled, "final on both chains")
            assert app.value("interop_message_status") == 0
            assert app.value("interop_verdicts_total", status="valid") == 1


async def test_wrong_in_every_way(tmp_path: Path) -> None:
    async with plain_chains() as chains:
        log = await chains[901].emit()
        await chains[901].node.mine(2)
        target = chains[902]
        await target.warp(1000)
        await target.execute(log)
        await target.execute(log, origin="0x" + "0b" * 20)
        await target.execute(log, timestamp=log.identifier.timestamp - 1)
        await target.execute(log, log_index=5)
        await target.execute(log, chain_id=10**30)
        await target.execute(log, timestamp=2**40)
        async with watching(tmp_path, chains.values()) as app:
            await app.statuses("valid", "timestamp_mismatch", *["invalid"] * 4)
            rules = {item.rule for item in await app.jobs()}
            assert rules == {
                Rule.NONE,
                Rule.WRONG_ORIGIN,
                Rule.WRONG_TIME,
                Rule.NO_LOG,
                Rule.UNKNOWN_CHAIN,
                Rule.FUTURE,
            }

            async def alerted() -> bool:
                return len(await kinds(app)) >= 2

            await app.until(alerted, "alerts")
            assert any(kind.startswith("interop_invalid") for kind in await kinds(app))
            assert "interop_unknown_chain" in await kinds(app)


async def kinds(app: Any) -> set[str]:
    from sqlalchemy import text  # noqa: PLC0415 - of the alerts' own tables

    rows = await app.app.database.read(lambda c: c.execute(text("SELECT kind FROM alert")).scalars().all())
    return set(rows)


async def test_expired_and_in_the_last_second(tmp_path: Path) -> None:
    async with plain_chains() as chains:
        log = await chains[901].emit()
        target = chains[902]
        block: Any = await target.node.request("eth_getBlockByNumber", "latest", False)
        await target.warp(log.identifier.timestamp + 100 - int(block["timestamp"], 16))
        await target.execute(log)
        await target.warp(1)
        await target.execute(log)
        async with watching(tmp_path, chains.values(), message_expiry_window="100s") as app:
            await app.statuses("valid", "expired")
            assert [item.boundary for item in await app.jobs(statuses=[Status.VALID])] == [True]


async def test_a_reorg_of_either_chain(tmp_path: Path) -> None:
    async with plain_chains() as chains:
        source, target = chains[901], chains[902]
        await source.node.mine(3)
        await target.node.mine(3)
        log = await source.emit()
        await target.warp(100)
        await target.execute(log)
        async with watching(tmp_path, chains.values()) as app:
            await app.statuses("valid")
            (job,) = await app.jobs()
            await source.node.request("anvil_reorg", 1, [])
            await source.node.mine(1)
            await app.statuses("invalid")
            await target.node.request("anvil_reorg", 1, [])
            await target.node.mine(1)
            await app.statuses()
            steps = await app.app.database.read(lambda c: [item.step for item in history(c, job.key)])
            assert steps == ["valid", "invalid", "retracted"]


async def test_an_outage_leaves_no_gap(tmp_path: Path) -> None:
    async with plain_chains() as chains:
        first = await chains[901].emit(b"first")
        await chains[902].warp(10_000)
        await chains[902].execute(first)
        async with watching(tmp_path, chains.values()) as app:
            await app.statuses("valid")
        second = await chains[901].emit(b"second")
        await chains[902].execute(second)
        await chains[902].execute(second, log_index=3)
        for chain in chains.values():
            await chain.node.mine(500)
        async with watching(tmp_path, chains.values()) as app:
            await app.statuses("valid", "valid", "invalid")
            assert app.value("interop_executing_messages_total") == 3

            async def only_the_bad_one() -> bool:
                return app.value("interop_message_status") == 1

            await app.until(only_the_bad_one, "the valid ones are final")
            assert app.value("interop_message_status", status="invalid") == 1


async def test_a_chain_without_an_inbox(tmp_path: Path) -> None:
    async with anvil(901) as node:
        with pytest.raises(SettingsError, match=r"interop\.chains\[0\].*no CrossL2Inbox"):
            async with watching(tmp_path, [InteropChain(901, node)]):
                pass


async def test_a_chain_that_is_away_at_the_start_holds_up_no_other(tmp_path: Path) -> None:
    async with plain_chains(901) as chains:
        log = await chains[901].emit()
        await chains[901].execute(log, chain_id=999)
        later = Anvil(AnvilOptions(chain_id=ChainId(902), port=free_port()))
        urls = {901: chains[901].node.url, 902: f"http://127.0.0.1:{later.options.port}"}
        settings = interop_settings(tmp_path, urls).model_copy(update={"start_timeout": 0.2})
        async with watched(settings) as app:
            await app.statuses("invalid")
            checks = (await app.app.health.report())["checks"]
            assert [checks[f"chain l2-{number}"]["status"] for number in urls] == ["ok", "down"]
            async with later:
                target = InteropChain(902, later)
                await target.prepare()
                await target.warp(100)
                await target.execute(log)
                await app.statuses("invalid", "valid")


async def test_the_whole_process_shows_them_over_http_and_asks_a_supernode(tmp_path: Path) -> None:
    answer = {"chains": {"901": {"safe_l2": {"number": 3}, "finalized_l2": {"number": 2}}}}

    async def supernode(request: web.Request) -> web.Response:
        asked = await request.json()
        assert asked["method"] == "supernode_syncStatus"
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": answer})

    server = web.Application()
    server.router.add_post("/", supernode)
    runner = web.AppRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    async with plain_chains() as chains:
        log = await chains[901].emit()
        await chains[902].warp(100)
        await chains[902].execute(log, log_index=5)
        urls = {chain.chain_id: chain.node.url for chain in chains.values()}
        settings = interop_settings(tmp_path, urls, supernodes=[url])
        async with watched(settings, ("interop-monitor", "api")) as app, aiohttp.ClientSession() as client:
            await app.statuses("invalid")
            assert app.app.api is not None
            root = app.app.api.url.rstrip("/")
            async with client.get(f"{root}/api/interop/messages?status=invalid&executing=l2-902") as response:
                (item,) = (await response.json())["items"]
            assert (item["rule"], item["executing"]["chain"]["key"]) == ("no_log", "l2-902")
            async with client.get(f"{root}/api/interop/messages/{item['id']}") as response:
                assert [step["step"] for step in (await response.json())["history"]] == ["invalid"]
            async with client.get(f"{root}/api/interop/counts") as response:
                assert (await response.json())["totals"]["invalid"] == 1

            async def told() -> bool:
                return app.value("interop_supernode_safe_head", chain_id="901", level="cross_safe") == 3

            await app.until(told, "the supernode's heads")
    await runner.cleanup()
