"""The whole application in this process, over a devnet that it reaches through proxies which fail on request.

    async with scene(tmp_path, endpoints=2) as stage:
        async with stage.running(ORACLE, CCIP_MONITOR) as app:
            stage.home[0].faults = Faults(hang=True)
            await stage.until(…)

The devnet, CCIP's oracle network and the tests themselves talk to the nodes directly: what they see is the truth.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seamark.app import Application, open_application
from seamark.core.ids import ChainId
from seamark.demo import demo_values
from seamark.devnet.accounts import Role, account
from seamark.devnet.devnet import Devnet
from seamark.devnet.settings import FeedSettings
from seamark.messages.store import MessageView, read_chains
from seamark.runtime.settings import validate_settings
from seamark.settings import Settings
from seamark.storage.database import Database, open_database
from tests.support.faulty_rpc import FaultyRpc
from tests.support.ledgers import Ledger, read_ledger
from tests.support.world import test_settings

__all__ = ["BTC", "Stage", "scene"]

PATIENCE_S = 60.0  # generous: machines stall, and nothing is proved by a tight limit
LOOK_S = 0.05
BTC = "BTC/USD"

Heads = dict[ChainId, tuple[int, int]]


@dataclass
class Stage:
    """A devnet with proxies before its nodes, and the settings of an application that uses them."""

    devnet: Devnet
    home: list[FaultyRpc]
    remote: list[FaultyRpc]
    folder: Path
    changes: dict[str, Any] = field(default_factory=dict)
    """Of every chain's settings."""

    feed: dict[str, Any] = field(default_factory=dict)
    """Of every feed's settings."""

    app: Application | None = None
    _run: asyncio.Task[None] | None = None

    @property
    def proxies(self) -> list[FaultyRpc]:
        return [*self.home, *self.remote]

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.folder / 'seamark.db'}"

    def settings(self, *, database: str | None = None, proxied: bool = True) -> Settings:
        values = demo_values(self.devnet, database=database or self.database_url)
        values["oracle"]["signer"] = {"private_key": account(Role.PUBLISHER).private_key}
        for feed in values["oracle"]["feeds"]:
            feed.update(self.feed)
        for name, proxies in (("home", self.home), ("remote", self.remote)):
            chain = values["chains"][name]
            chain |= {"poll_interval": "100ms", **self.changes}
            if proxied:
                chain["rpc"] = [proxy.url for proxy in proxies]
        listeners = {name: {"port": 0} for name in ("api", "metrics", "health")}
        return validate_settings(Settings, {**values, **listeners})

    # ---- the application under test ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self, *services: str) -> AsyncIterator[Application]:
        """Until the block ends; then it is stopped as by a signal. An application that fails fails the test."""
        async with open_application(self.settings(), services) as app:
            self.app, self._run = app, asyncio.create_task(app.run())
            try:
                yield app
            finally:
                run, self.app, self._run = self._run, None, None
                failed = run.done()
                run.cancel()
                with suppress(asyncio.CancelledError):
                    await run
                assert not failed, "the application ended by itself"

    async def until(self, condition: Callable[[], Awaitable[object]], what: str) -> None:
        """Wait for a condition, as long as it may take on a busy machine; an application that failed says why."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await condition():
                    if self._run is not None and self._run.done():
                        self._run.result()
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise AssertionError(f"never came: {what}; {await self._state()}") from None

    async def _state(self) -> str:
        if self.app is None:
            return "nothing runs"
        checks = (await self.health())["checks"]
        unwell = {name: check["detail"] for name, check in checks.items() if check["status"] != "ok"}
        return f"messages {dict((await self.ledger()).stages())}, {len(unwell)} checks are not ok: {unwell}"

    async def health(self) -> dict[str, Any]:
        assert self.app is not None
        return await self.app.health.report()

    async def ledger(self) -> Ledger:
        """What the application's database says now."""
        assert self.app is not None
        return await read_ledger(self.app.database)

    async def messages(self) -> dict[str, MessageView]:
        return (await self.ledger()).messages

    async def heads(self) -> Heads:
        """Newest and final block of each chain, as the nodes have them, and by the depth that the settings give."""
        depth = self.changes.get("finality", {}).get("depth")
        heads = {}
        for node in self.devnet.nodes:
            newest = await node.head()
            heads[node.chain_id] = (newest, await node.head("finalized") if depth is None else newest - depth)
        return heads

    async def catches_up(self) -> None:
        """Until the application has read all that is on the chains now."""
        heads = await self.heads()

        async def has_read() -> bool:
            assert self.app is not None
            return await _has_read(self.app.database, heads)

        await self.until(has_read, "to read all that is there")

    # ---- an undisturbed one -----------------------------------------------------------------------------------------

    async def undisturbed(self) -> Ledger:
        """The ledger of a monitor that reads both chains from their first block on, straight from the nodes.

        Nothing may happen on the chains meanwhile.
        """
        heads = await self.heads()
        url = f"sqlite:///{self.folder / 'undisturbed.db'}"
        async with open_application(self.settings(database=url, proxied=False), ["ccip-monitor"]) as app:
            run = asyncio.create_task(app.run())
            try:
                async with asyncio.timeout(PATIENCE_S):
                    while not await _has_read(app.database, heads):  # noqa: ASYNC110 - the chains have no events
                        await asyncio.sleep(LOOK_S)
                return await read_ledger(app.database)
            finally:
                run.cancel()
                with suppress(asyncio.CancelledError):
                    await run

    async def stored_ledger(self) -> Ledger:
        """What the database of the stopped application says."""
        database = await open_database(self.database_url, migrate=False)
        try:
            return await read_ledger(database)
        finally:
            await database.close()


@asynccontextmanager
async def scene(
    folder: Path,
    *,
    endpoints: int = 1,
    run_network: bool = True,
    block_time: float = 0.0,
    chain: dict[str, Any] | None = None,
    feed: dict[str, Any] | None = None,
    **devnet: Any,
) -> AsyncIterator[Stage]:
    """One feed, so that a busy machine keeps up.

    Args:
        folder: For the devnet's logs and the databases.
        endpoints: Proxies before each node.
        run_network: Whether CCIP's oracle network commits and executes by itself.
        block_time: Seconds between blocks; 0 makes one for each transaction.
        chain: Changes of the chains' settings.
        feed: Changes of the feed's settings.
        devnet: Changes of the devnet's settings.
    """
    settings = test_settings(folder / "devnet", block_time=block_time, feeds=[FeedSettings(symbol=BTC)], **devnet)
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(Devnet(settings, run_network=run_network, persist=False))
        home, remote = [
            [await stack.enter_async_context(FaultyRpc(url)) for _ in range(endpoints)]
            for url in (world.home_url, world.remote_url)
        ]
        stage = Stage(world, home, remote, folder, chain or {}, feed or {})
        yield stage


async def _has_read(database: Database, heads: Heads) -> bool:
    views = {ChainId(view.chain_id): view for view in await database.read(read_chains)}
    return all(
        chain_id in views and views[chain_id].scanned >= latest and views[chain_id].finalized >= final
        for chain_id, (latest, final) in heads.items()
    )
