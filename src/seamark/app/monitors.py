"""Message monitors: the protocol from the settings, streams from the chains, one tracker per chain."""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry

from seamark.app.chains import Chains
from seamark.app.patience import patiently
from seamark.core.ids import ChainId
from seamark.evm.logs import LogStream, StreamSettings
from seamark.evm.settings import ChainSettings
from seamark.evm.types import LogFilter
from seamark.messages.metrics import ChainObserver, MessageMetrics
from seamark.messages.protocol import ChainRole
from seamark.messages.protocols.ccip import CcipProtocol, ccip_chains
from seamark.messages.service import ChainTracker, MessageStream, chain_trackers, load_metrics
from seamark.runtime.clock import Clock
from seamark.runtime.events import Signal
from seamark.settings import Settings
from seamark.storage.database import Database

__all__ = ["ccip_monitor"]


async def ccip_monitor(
    settings: Settings,
    *,
    chains: Chains,
    database: Database,
    registry: CollectorRegistry,
    signal: Signal,
    clock: Clock,
) -> list[ChainTracker]:
    """The trackers of all configured CCIP chains, their routers checked.

    Raises:
        SettingsError: A router is none, or a chain has no selector.
    """
    protocol = CcipProtocol(ccip_chains(settings.ccip, settings.chains))
    readers = chains.by_id()
    for role in protocol.chains:
        check = partial(protocol.check, readers[role.chain_id])
        await patiently(check, clock=clock, limit_s=settings.start_timeout, what=f"check the router on {role.name}")
    metrics = MessageMetrics(protocol, registry)
    await load_metrics(database, protocol, metrics)
    by_id: dict[ChainId, ChainSettings] = {
        ChainId(item.settings.chain_id): item.settings for item in chains.opened.values()
    }

    def open_stream(
        role: ChainRole, *, name: str, wanted: LogFilter, start_block: int, observer: ChainObserver
    ) -> MessageStream:
        chain = by_id[role.chain_id]
        return LogStream(
            name,
            reader=readers[role.chain_id],
            database=database,
            wanted=wanted,
            settings=StreamSettings(
                start_block=start_block,
                finality_tag=chain.finality.tag,
                finality_depth=chain.finality.depth,
                poll_interval_s=chain.poll_interval,
            ),
            clock=clock,
            observer=observer,
            witness=readers[role.chain_id].witness,
        )

    return chain_trackers(
        protocol,
        readers=readers,
        open_stream=open_stream,
        database=database,
        metrics=metrics,
        signal=signal,
        clock=clock,
    )
