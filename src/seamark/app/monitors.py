"""Message monitors: a protocol from the settings, streams from the chains, one tracker per chain, a judge over all.

A protocol that is to run as `seamark run <name>-monitor` has one line in `MONITORS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry

from seamark.app.alerts import Alerts
from seamark.app.chains import Chains
from seamark.app.judging import Judging, open_judging
from seamark.app.patience import patiently
from seamark.core.errors import SettingsError
from seamark.core.ids import ChainId
from seamark.evm.logs import LogStream, StreamSettings
from seamark.evm.settings import ChainSettings
from seamark.evm.types import LogFilter
from seamark.messages.metrics import ChainObserver, MessageMetrics
from seamark.messages.protocol import ChainRole, MessageProtocol
from seamark.messages.protocols.ccip import CcipProtocol, ccip_chains
from seamark.messages.protocols.hyperlane import HyperlaneProtocol, hyperlane_chains
from seamark.messages.protocols.op_interop import InteropProtocol, interop_chains
from seamark.messages.service import ChainTracker, MessageStream, chain_trackers, load_metrics
from seamark.runtime.clock import Clock
from seamark.runtime.events import Signal
from seamark.settings import Settings
from seamark.storage.database import Database

__all__ = ["MONITORS", "MessageMonitor", "MonitorKind", "message_monitor"]

FINALITY_INTERVAL_S: Final = 2.0
"""Blocks that come faster than this become final together: each time is a comparison of logs and a commit."""


@dataclass(frozen=True, slots=True)
class MonitorKind:
    """One kind of message monitor.

    `section` is its part of the settings, `needs` what each of its chains needs there besides the chain's name.
    """

    section: str
    needs: str
    chains: Callable[[Settings], Sequence[str]]
    protocol: Callable[[Settings], MessageProtocol]

    def check(self, settings: Settings) -> None:
        """Whether there is anything to watch.

        Raises:
            SettingsError: No chain is listed.
        """
        if not self.chains(settings):
            raise SettingsError(f"{self.section}.chains", "is empty", remedy=f"add a chain with its {self.needs}")


MONITORS: Final[Mapping[str, MonitorKind]] = {
    "ccip-monitor": MonitorKind(
        section="ccip",
        needs="router",
        chains=lambda settings: [item.chain for item in settings.ccip.chains],
        protocol=lambda settings: CcipProtocol(ccip_chains(settings.ccip, settings.chains)),
    ),
    "hyperlane-monitor": MonitorKind(
        section="hyperlane",
        needs="mailbox",
        chains=lambda settings: [item.chain for item in settings.hyperlane.chains],
        protocol=lambda settings: HyperlaneProtocol(hyperlane_chains(settings.hyperlane, settings.chains)),
    ),
    "interop-monitor": MonitorKind(
        section="interop",
        needs="name",
        chains=lambda settings: [item.chain for item in settings.interop.chains],
        protocol=lambda settings: InteropProtocol(interop_chains(settings.interop, settings.chains)),
    ),
}
"""By the name of the service."""


@dataclass(frozen=True, slots=True)
class MessageMonitor:
    """What runs for one protocol."""

    trackers: list[ChainTracker]
    judging: Judging
    metrics: MessageMetrics


async def message_monitor(
    protocol: MessageProtocol,
    *,
    settings: Settings,
    chains: Chains,
    database: Database,
    registry: CollectorRegistry,
    signal: Signal,
    clock: Clock,
    alerts: Alerts | None = None,
    wrap: Callable[[MessageStream], MessageStream] = lambda stream: stream,
    finality_interval_s: float = FINALITY_INTERVAL_S,
) -> MessageMonitor:
    """The trackers of all chains of a protocol, its contracts checked, and their judge.

    Args:
        wrap: What each log stream goes through before its tracker gets it.
        finality_interval_s: `StreamSettings.finality_interval_s`.

    Raises:
        SettingsError: The settings do not fit a chain.
    """
    readers = chains.by_id()
    for role in protocol.chains:
        if role.chain_id in chains.silent:
            continue  # its tracker checks once it answers
        check = partial(protocol.check, readers[role.chain_id])
        what = f"check the contracts of {protocol.name} on {role.name}"
        await patiently(check, clock=clock, limit_s=settings.start_timeout, what=what)
    metrics = MessageMetrics(protocol, registry)
    await load_metrics(database, protocol, metrics)
    by_id: dict[ChainId, ChainSettings] = {
        ChainId(item.settings.chain_id): item.settings for item in chains.opened.values()
    }

    def open_stream(
        role: ChainRole, *, name: str, wanted: LogFilter, start_block: int, observer: ChainObserver
    ) -> MessageStream:
        chain = by_id[role.chain_id]
        stream = LogStream(
            name,
            reader=readers[role.chain_id],
            database=database,
            wanted=wanted,
            settings=StreamSettings(
                start_block=start_block,
                finality_tag=chain.finality.tag,
                finality_depth=chain.finality.depth,
                poll_interval_s=chain.poll_interval,
                finality_interval_s=finality_interval_s,
            ),
            clock=clock,
            observer=observer,
            witness=readers[role.chain_id].witness,
        )
        return wrap(stream)

    trackers = chain_trackers(
        protocol,
        readers=readers,
        open_stream=open_stream,
        database=database,
        metrics=metrics,
        signal=signal,
        clock=clock,
    )
    judging = open_judging(
        protocol,
        settings=settings.messages.judge,
        readers=readers,
        messages=metrics,
        alerts=alerts,
        database=database,
        registry=registry,
        signal=signal,
        clock=clock,
    )
    return MessageMonitor(trackers, judging, metrics)
