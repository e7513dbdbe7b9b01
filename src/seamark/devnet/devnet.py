"""The whole world as one async context: two chains, CCIP between them, feeds, venues.

Model: entering starts the nodes, then either resumes (the saved chains are the ones that the manifest describes) or
deploys afresh, then opens the venues and sets the oracle network to work; leaving ends all of it and keeps the state.
Everything listens on loopback.

Invariant: the manifest is written after everything that it names exists, and a chain counts as the manifest's only when
it has the block that was the newest at that moment.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import msgspec

from seamark.core.errors import SettingsError, StopError, TemporaryError
from seamark.core.ids import ChainId
from seamark.devnet.accounts import DON_SIGNERS, Role, account
from seamark.devnet.anvil import Anvil, AnvilOptions, find_anvil
from seamark.devnet.ccip.contracts import deploy_chains, require_artifacts
from seamark.devnet.ccip.don import OracleNetwork
from seamark.devnet.ccip.faults import Faults
from seamark.devnet.ccip.lane import Finality, Lane
from seamark.devnet.data_folder import DataFolder
from seamark.devnet.deployment import FORMAT, ChainDeployment, Deployment
from seamark.devnet.feeds import deploy_feeds
from seamark.devnet.node_client import NodeClient, Wallet
from seamark.devnet.settings import ChainSettings, DevnetSettings
from seamark.devnet.venues import VenueServer
from seamark.evm.signers import RawKeySigner
from seamark.runtime.clock import Clock, SystemClock
from seamark.runtime.service import Supervisor

__all__ = ["Devnet", "Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """Something was done; `seconds` is how long it took."""

    text: str
    seconds: float


class Devnet:
    """Everything that a demonstration or a test needs of the world outside.

    Args:
        progress: Told of each step when it is done.
        run_network: False leaves commit and execution to the caller (`lanes`, or `network` as a service of his own).
        persist: False keeps nothing on disk but logs: for tests.
    """

    def __init__(
        self,
        settings: DevnetSettings,
        *,
        clock: Clock | None = None,
        progress: Callable[[Step], None] | None = None,
        run_network: bool = True,
        persist: bool = True,
    ) -> None:
        self.settings = settings
        self.faults = Faults()
        self.resumed = False
        self._clock = clock or SystemClock()
        self._progress = progress or _ignore
        self._run_network = run_network
        self._persist = persist
        self._folder = DataFolder(settings.data)
        self._stack = contextlib.AsyncExitStack()

    # Set by entering, in this order.
    anvils: tuple[Anvil, Anvil]
    nodes: tuple[NodeClient, NodeClient]
    deployment: Deployment
    lanes: tuple[Lane, Lane]
    network: OracleNetwork
    venues: VenueServer

    @property
    def home_url(self) -> str:
        return self.anvils[0].url

    @property
    def remote_url(self) -> str:
        return self.anvils[1].url

    def wallet(self, role: Role, *, remote: bool = False) -> Wallet:
        """A sender for one of the public accounts; keep one for each account and chain."""
        return Wallet(self.nodes[int(remote)], RawKeySigner.from_hex(account(role).private_key))

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def summary(self) -> dict[str, Any]:
        """Endpoints, addresses and the public keys, for showing; plain values."""
        chains = {
            chain.name: {**msgspec.to_builtins(chain), "rpc": anvil.url}
            for chain, anvil in zip((self.deployment.home, self.deployment.remote), self.anvils, strict=True)
        }
        return {
            "chains": chains,
            "feeds": msgspec.to_builtins(self.deployment.feeds),
            "venues": self.venues.url,
            "accounts": {
                role.value: {"address": account(role).address, "public_private_key": account(role).private_key}
                for role in Role
            },
            "data": str(self._folder.path),
        }

    # ---- starting ---------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        with self._step("tools found"):
            find_anvil()
            require_artifacts()
        await self._folder.lock()
        self._stack.callback(self._folder.unlock)
        saved = self._saved()
        if saved is None or not await self._resume(saved):
            await self._start_afresh()
        await self._open_venues()
        self._open_network()

    def _saved(self) -> Deployment | None:
        """The manifest, if it may describe the saved chains."""
        if not self._persist:
            return None
        saved = Deployment.read(self._folder.manifest)
        if saved is None:
            return None
        if saved.fingerprint != self.settings.fingerprint():
            self._progress(Step("settings differ from the saved chains': starting afresh", 0.0))
            return None
        if not all(self._folder.state(name).exists() for name in ("home", "remote")):
            self._progress(Step("no saved chains: starting afresh", 0.0))
            return None
        return saved

    async def _resume(self, saved: Deployment) -> bool:
        began = self._clock.monotonic()
        try:
            await self._launch(int(self.settings.block_time))
            chains = (saved.home, saved.remote)
            matches = [await _is_on(node, chain) for node, chain in zip(self.nodes, chains, strict=True)]
        except SettingsError:
            raise
        except (StopError, TemporaryError) as error:
            self._progress(Step(f"saved chains cannot be loaded ({error}): starting afresh", 0.0))
            await self._halt()
            return False
        if not all(matches):
            self._progress(Step("saved chains are not the ones in deployment.json: starting afresh", 0.0))
            await self._halt()
            return False
        heads = [await node.head() for node in self.nodes]
        text = f"chains {saved.home.chain_id} and {saved.remote.chain_id} resumed at blocks {heads[0]} and {heads[1]}"
        self._progress(Step(text, self._clock.monotonic() - began))
        self.deployment = saved
        self.resumed = True
        return True

    async def _start_afresh(self) -> None:
        self._folder.clear()
        ids = self.settings.home.chain_id, self.settings.remote.chain_id
        with self._step(f"chains {ids[0]} and {ids[1]} started"):
            await self._launch(block_time=0)
        with self._step("CCIP 1.6 deployed on both, lanes open both ways"):
            home, remote = await deploy_chains(self.settings.plans(), self.nodes)
        with self._step(f"{len(self.settings.feeds)} feeds deployed on both"):
            plans = [feed.plan() for feed in self.settings.feeds]
            feeds = await deploy_feeds(plans, home, remote, self.nodes)
        self.deployment = Deployment(
            format=FORMAT,
            fingerprint=self.settings.fingerprint(),
            home=await _anchored(home, self.nodes[0]),
            remote=await _anchored(remote, self.nodes[1]),
            feeds=feeds,
        )
        if self._persist:
            self.deployment.write(self._folder.manifest)
        if self.settings.block_time:
            for anvil in self.anvils:
                await anvil.set_block_time(int(self.settings.block_time))

    async def _launch(self, block_time: int) -> None:
        options = [
            self._options("home", self.settings.home, block_time),
            self._options("remote", self.settings.remote, block_time),
        ]
        self._chains = contextlib.AsyncExitStack()
        self._stack.push_async_callback(self._halt)
        self.anvils = (Anvil(options[0]), Anvil(options[1]))
        for anvil in self.anvils:
            self._chains.push_async_callback(anvil.stop)
        await _all_or_none(anvil.start() for anvil in self.anvils)
        chains = (self.settings.home, self.settings.remote)
        clients = [
            NodeClient(anvil.url, ChainId(chain.chain_id), free_gas=chain.free_gas)
            for anvil, chain in zip(self.anvils, chains, strict=True)
        ]
        self.nodes = (
            await self._chains.enter_async_context(clients[0]),
            await self._chains.enter_async_context(clients[1]),
        )

    async def _halt(self) -> None:
        """End both nodes, at the same time; each writes its state. Safe to call twice."""
        anvils = getattr(self, "anvils", ())
        await asyncio.gather(*(anvil.stop() for anvil in anvils))
        chains: contextlib.AsyncExitStack | None = getattr(self, "_chains", None)
        if chains is not None:
            await chains.aclose()

    def _options(self, name: str, chain: ChainSettings, block_time: int) -> AnvilOptions:
        return AnvilOptions(
            chain_id=ChainId(chain.chain_id),
            port=chain.port,
            block_time_s=block_time,
            zero_fee=chain.free_gas,
            state_file=self._folder.state(name) if self._persist else None,
            state_interval_s=max(1, int(self.settings.state_interval)),
            log_file=self._folder.log(name),
            port_setting=f"devnet.{name}.port",
            inherited=(self._folder.descriptor,),
        )

    async def _open_venues(self) -> None:
        self.venues = VenueServer(
            self.settings.market.market(),
            clock=self._clock,
            port=self.settings.venues_port,
            schedules=[fault.schedule() for fault in self.settings.venue_faults],
            port_setting="devnet.venues_port",
        )
        with self._step("venues open"):
            await self._stack.enter_async_context(self.venues)

    def _open_network(self) -> None:
        home, remote = self.deployment.home, self.deployment.remote
        for fault in self.settings.message_faults:
            self.faults.add(fault.fault(home.selector, remote.selector))
        self.lanes = (self._lane(home, remote, reverse=False), self._lane(remote, home, reverse=True))
        self.network = OracleNetwork(
            self.lanes,
            clock=self._clock,
            poll=self.settings.network_poll,
            prices_every=self.settings.prices_every or None,
        )
        if self._run_network:
            supervisor = Supervisor([self.network], clock=self._clock)
            task = asyncio.create_task(supervisor.run(), name=self.network.name)
            self._stack.push_async_callback(_cancel, task)

    def _lane(self, source: ChainDeployment, dest: ChainDeployment, *, reverse: bool) -> Lane:
        return Lane(
            source,
            dest,
            source_node=self.nodes[int(reverse)],
            committer=self.wallet(Role.COMMITTER, remote=not reverse),
            executor=self.wallet(Role.EXECUTOR, remote=not reverse),
            signers=[RawKeySigner.from_hex(key) for key in DON_SIGNERS],
            faults=self.faults,
            clock=self._clock,
            finality=Finality(self.settings.finality_depth),
        )

    @contextlib.contextmanager
    def _step(self, text: str) -> Any:
        began = self._clock.monotonic()
        yield
        self._progress(Step(text, self._clock.monotonic() - began))


async def _is_on(node: NodeClient, chain: ChainDeployment) -> bool:
    """Whether this is the chain that was deployed on."""
    return await node.block_hash(chain.anchor_block) == chain.anchor_hash


async def _anchored(chain: ChainDeployment, node: NodeClient) -> ChainDeployment:
    head = await node.head()
    anchor = await node.block_hash(head)
    assert anchor is not None
    return msgspec.structs.replace(chain, anchor_block=head, anchor_hash=anchor)


async def _all_or_none(starts: Any) -> None:
    """Wait for all, then raise the first error: so that nothing is half started behind our back."""
    results: Sequence[BaseException | None] = await asyncio.gather(*starts, return_exceptions=True)
    for result in results:
        if result is not None:
            raise result


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _ignore(step: Step) -> None:
    """Nobody wants to know."""
