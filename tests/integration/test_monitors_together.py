"""Monitors of two protocols in one process, on the same two chains and one database."""

# ruff: noqa: F811 - tests take the imported fixture as an argument

from __future__ import annotations

from pathlib import Path
from typing import Any

from seamark.messages.store import MessageFilter, list_messages
from seamark.runtime.settings import validate_settings
from seamark.settings import Settings
from tests.support.interop_chains import InteropChain, watched
from tests.support.world import World, world  # noqa: F401 - a fixture


def both(world: World, folder: Path) -> Settings:
    """CCIP and interop on both chains, each from the first block on."""
    ends = {"home": (world.home, world.home_node), "remote": (world.remote, world.remote_node)}
    values: dict[str, Any] = {
        "database": f"sqlite:///{folder / 'seamark.db'}",
        "chains": {
            name: {
                "chain_id": end.chain_id,
                "selector": str(end.selector),
                "rpc": [node.url],
                "poll_interval": "50ms",
            }
            for name, (end, node) in ends.items()
        },
        "ccip": {
            "chains": [{"chain": name, "router": end.router, "start_block": 0} for name, (end, _) in ends.items()]
        },
        "interop": {
            "chains": [{"chain": name, "start_block": 0} for name in ends],
            "safe_interval": "50ms",
            "finality_interval": "50ms",
        },
        **{name: {"port": 0} for name in ("api", "metrics", "health")},
    }
    return validate_settings(Settings, values)


async def test_each_sees_its_own_and_neither_the_others(world: World, tmp_path: Path) -> None:
    chains = [
        InteropChain(end.chain_id, anvil)
        for end, anvil in zip((world.home, world.remote), world.devnet.anvils, strict=True)
    ]
    for chain in chains:
        await chain.prepare()
    (carried,) = await world.send(world.outbound)
    await world.deliver(world.outbound)
    await chains[0].node.request("anvil_setNextBlockBaseFeePerGas", hex(10**9))  # at zero anvil refuses its own tip
    log = await chains[0].emit()
    await chains[1].warp(100)
    await chains[1].execute(log)
    await chains[1].execute(log, origin="0x" + "0b" * 20)

    async with watched(both(world, tmp_path), monitors=("ccip-monitor", "interop-monitor")) as app:
        await app.statuses("invalid", "valid")

        async def delivered() -> bool:
            page = await app.app.database.read(lambda c: list_messages(c, MessageFilter()))
            return [(item.id, item.protocol, item.stage) for item in page.messages] == [
                (carried.message_id, "ccip", "executed")
            ]

        await app.until(delivered, "the CCIP message, and nothing else")
        assert app.value("ccip_messages_received_total", state="success") == 1
        assert app.value("interop_message_status", status="invalid") == 1
        assert app.value("ccip_chain_scanned_block") > 0
        names = [service.name for service in app.app.services]
        assert len(names) == len(set(names)), "each has a name of its own"
