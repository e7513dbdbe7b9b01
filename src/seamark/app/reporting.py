"""A node of a reporting network in this process: its keys opened, its connections listening, its feeds as services."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry

from seamark.app.chains import Chains, make_sender, open_settings_signer
from seamark.app.patience import patiently
from seamark.core.errors import SettingsError
from seamark.evm.metrics import TransactionMetrics
from seamark.evm.ports import ChainReader, Signer
from seamark.evm.transactions import Sender
from seamark.oracle.metrics import OracleMetrics
from seamark.oracle.plan import make_venues
from seamark.oracle.reporting.metrics import NetworkMeter, ReportingMetrics
from seamark.oracle.reporting.network import PeerNetwork
from seamark.oracle.reporting.node import PlannedFeed, ReportingNode, make_node, open_member, open_peers, plan_feeds
from seamark.oracle.settings import ReportingSettings
from seamark.oracle.sources.hubs import Sources
from seamark.runtime.clock import Clock
from seamark.settings import Settings
from seamark.storage.database import Database

__all__ = ["OpenedNode", "open_reporting", "plan_reporting"]

AT: Final = "oracle.reporting"


@dataclass(frozen=True, slots=True)
class OpenedNode:
    """The node, and who sends its transactions, by chain."""

    node: ReportingNode
    senders: Mapping[str, Sender]


async def plan_reporting(settings: Settings, chains: Chains, clock: Clock) -> list[PlannedFeed]:
    """What each feed of the network is; none where this process is no node.

    Raises:
        SettingsError: A contract or a source does not fit.
    """
    readers = _readers(chains)
    venues = make_venues(settings.oracle.venues, readers)
    plan = partial(plan_feeds, settings.oracle, chains=readers, venues=venues)
    return await patiently(plan, clock=clock, limit_s=settings.start_timeout, what="check the feeds of the network")


async def open_reporting(
    settings: Settings,
    planned: list[PlannedFeed],
    *,
    chains: Chains,
    stack: AsyncExitStack,
    database: Database,
    clock: Clock,
    registry: CollectorRegistry,
    transactions: TransactionMetrics,
    oracle_metrics: OracleMetrics,
) -> OpenedNode:
    """Open keys and connections.

    Raises:
        SettingsError: A key, certificate or address cannot be used.
    """
    reporting = settings.oracle.reporting
    assert reporting is not None, "asked for only where there is one"
    signer, transmitter = await _signers(reporting, settings, chains, database, clock)
    if reporting.transmitter.same_key(settings.oracle.signer):
        raise SettingsError(
            f"{AT}.transmitter",
            "is the key of oracle.signer: two senders would take each other's nonces",
            remedy="use another account",
        )
    member, identity = open_member(reporting, signer=signer, transmitter=transmitter)
    peers = open_peers(reporting)
    metrics = ReportingMetrics(registry)
    meter = NetworkMeter(metrics, [peer.name for peer in peers])
    senders: dict[str, Sender] = {}
    for name in {item.settings.chain for item in planned}:
        item = chains.opened[name]
        senders[name] = make_sender(item, transmitter, database=database, clock=clock, metrics=transactions)
        stack.push_async_callback(senders[name].close)
    network = await stack.enter_async_context(PeerNetwork(identity, peers, listen=reporting.listen, observer=meter))
    readers = _readers(chains)
    node = make_node(
        reporting,
        planned,
        member=member,
        network=network,
        peers=peers,
        network_meter=meter,
        chains=readers,
        senders=senders,
        signer=signer,
        sources=Sources(session=chains.session, clock=clock, chains=readers),
        database=database,
        clock=clock,
        metrics=metrics,
        oracle_metrics=oracle_metrics,
    )
    return OpenedNode(node, senders)


async def _signers(
    reporting: ReportingSettings, settings: Settings, chains: Chains, database: Database, clock: Clock
) -> tuple[Signer, Signer]:
    opened = [
        await open_settings_signer(
            item,
            f"{AT}.{name}",
            session=chains.session,
            clock=clock,
            database=database,
            patience_s=settings.start_timeout,
        )
        for name, item in (("signer", reporting.signer), ("transmitter", reporting.transmitter))
    ]
    return opened[0], opened[1]


def _readers(chains: Chains) -> dict[str, ChainReader]:
    return {name: item.chain for name, item in chains.opened.items()}
