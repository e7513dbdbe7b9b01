"""This process as a node of a reporting network: all its feeds over the same connections, with the same keys.

    plan_feeds   settings and contracts -> what each feed is (checked before anything starts)
    open_member  files and signers -> who this node is
    make_node    both -> services

Nothing is sent before the first service runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seamark.core.errors import RejectedError, SettingsError
from seamark.core.units import PPB_PER_UNIT
from seamark.evm.ports import ChainReader, Signer, TransactionSender
from seamark.evm.signers.secret_files import read_secret_file
from seamark.oracle.checks import check_contract, pair_of
from seamark.oracle.metrics import FeedMeter, OracleMetrics
from seamark.oracle.model import FeedRef
from seamark.oracle.plan import FeedPlan, make_plan
from seamark.oracle.reporting.ceremony import read_keys
from seamark.oracle.reporting.contract import ReportingContract
from seamark.oracle.reporting.machine import Context
from seamark.oracle.reporting.membership import Member
from seamark.oracle.reporting.metrics import NetworkMeter, ReportingMeter, ReportingMetrics
from seamark.oracle.reporting.network import Identity, Peer, PeerNetwork, fingerprint, load_identity
from seamark.oracle.reporting.observer import FeedObserver
from seamark.oracle.reporting.service import ReportingFeed
from seamark.oracle.reporting.settings import ReportingNodeSettings
from seamark.oracle.reporting.transmitter import ReportSender, report_spender
from seamark.oracle.settings import OracleSettings, ReportingFeedSettings, WatchSettings
from seamark.oracle.source_plan import Venues
from seamark.oracle.sources.hubs import Sources
from seamark.runtime.clock import Clock
from seamark.runtime.health import Health
from seamark.runtime.service import Service
from seamark.storage.database import Database

__all__ = ["PlannedFeed", "ReportingNode", "make_node", "open_member", "open_peers", "plan_feeds"]

AT: Final = "oracle.reporting"
_MAX_CERTIFICATE: Final = 64 * 1024  # bytes; one has about 600
_NAMED: Final = 5  # problems that a health check names


@dataclass(frozen=True, slots=True)
class PlannedFeed:
    """One feed, checked. `decimals` of its contract."""

    settings: ReportingFeedSettings
    plan: FeedPlan
    decimals: int

    @property
    def watch(self) -> WatchSettings:
        """For whoever reads feeds: it is shown like all others."""
        ref = self.plan.ref
        return WatchSettings(name=ref.name, chain=ref.chain, address=ref.address, role=ref.role)


async def plan_feeds(
    settings: OracleSettings, *, chains: Mapping[str, ChainReader], venues: Venues
) -> list[PlannedFeed]:
    """What each feed is.

    Raises:
        SettingsError: A contract is no feed, or a source does not fit; names the setting.
        TemporaryError: A chain does not answer.
    """
    feeds = () if settings.reporting is None else settings.reporting.feeds
    planned = []
    for index, feed in enumerate(feeds):
        at = f"{AT}.feeds[{index}]"
        reader = chains[feed.chain]
        state = await check_contract(reader, feed.aggregator, setting=f"{at}.aggregator")
        pair = pair_of(state, feed.pair, setting=f"{at}.pair")
        ref = FeedRef(feed.name or str(pair), feed.chain, reader.chain_id, feed.aggregator)
        planned.append(PlannedFeed(feed, make_plan(feed, ref, pair, venues, at=at), state.decimals))
    return planned


def open_member(settings: ReportingNodeSettings, *, signer: Signer, transmitter: Signer) -> tuple[Member, Identity]:
    """Who this node is, and what it shows to the others.

    Raises:
        SettingsError: A file cannot be used, or both signers are the same account.
    """
    if signer.address == transmitter.address:
        raise SettingsError(
            f"{AT}.transmitter",
            f"is the account that signs reports, {signer.address}",
            remedy="pay with another account: it is a hot one",
        )
    keys = read_keys(read_secret_file(settings.keys, setting=f"{AT}.keys"), setting=f"{AT}.keys")
    identity = load_identity(settings.certificate_key, settings.certificate, setting=f"{AT}.certificate")
    member = Member(signer.address, transmitter.address, identity.fingerprint, keys.observation, keys.encryption)
    return member, identity


def open_peers(settings: ReportingNodeSettings) -> list[Peer]:
    """The other nodes.

    Raises:
        SettingsError: A certificate cannot be read, or two peers have the same.
    """
    peers: dict[str, Peer] = {}
    for index, peer in enumerate(settings.peers):
        setting = f"{AT}.peers[{index}].certificate"
        pem = _read_certificate(peer.certificate, setting)
        try:
            name = fingerprint(pem)
        except RejectedError as error:
            raise SettingsError(
                setting, f"{peer.certificate}: {error}", remedy="name the PEM file that its operator gave"
            ) from error
        if name in peers:
            raise SettingsError(setting, "is another peer's certificate too", remedy="give each peer its own")
        peers[name] = Peer(peer.address, peer.address, pem)
    return list(peers.values())


def _read_certificate(path: str, setting: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(_MAX_CERTIFICATE)
    except OSError as error:
        raise SettingsError(setting, f"cannot read {path}: {error.strerror}", remedy="check the path") from error


@dataclass(frozen=True, slots=True)
class ReportingNode:
    """Ready to run. The network is open before its services run, and closed after them."""

    feeds: tuple[ReportingFeed, ...]
    services: tuple[Service, ...]

    async def health(self) -> Health:
        """Whether each feed has its seat, its peers, its rounds and its observations."""
        problems = [f"{feed.ref.name}: {problem}" for feed in self.feeds if (problem := feed.problem()) is not None]
        if problems:
            return Health.degraded("; ".join(problems[:_NAMED]))
        return Health.ok(", ".join(f"{feed.ref.name}: {feed.connected()} nodes" for feed in self.feeds))


@dataclass(frozen=True, slots=True)
class _Connections:
    """Which peers are connected, by what they are called on chain."""

    meter: NetworkMeter
    names: Mapping[str, str]

    def is_up(self, peer: str) -> bool:
        return self.meter.up.get(self.names.get(peer, ""), False)


def make_node(
    settings: ReportingNodeSettings,
    planned: Sequence[PlannedFeed],
    *,
    member: Member,
    network: PeerNetwork,
    peers: Sequence[Peer],
    network_meter: NetworkMeter,
    chains: Mapping[str, ChainReader],
    senders: Mapping[str, TransactionSender],
    signer: Signer,
    sources: Sources,
    database: Database,
    clock: Clock,
    metrics: ReportingMetrics,
    oracle_metrics: OracleMetrics,
) -> ReportingNode:
    """The services of a node. `senders` send from the transmitter's account, by the chain's name."""
    connections = _Connections(network_meter, {fingerprint(peer.certificate): peer.name for peer in peers})
    feeds = []
    for item in planned:
        plan, ref = item.plan, item.plan.ref
        chain, sender = chains[ref.chain], senders[ref.chain]
        meter = ReportingMeter(metrics, ref, clock=clock)
        feed_meter = FeedMeter(oracle_metrics, ref, plan.trigger, clock=clock)
        observer = FeedObserver(plan=plan, decimals=item.decimals, clock=clock, meter=meter, feed_meter=feed_meter)
        for source in plan.sources:
            health = sources.subscribe(
                source, interval=plan.poll_interval, subscriber=observer.on_report, feed=ref.name
            )
            feed_meter.watch_source(source.name, health)
        sender.limit_spending(report_spender(ref.chain_id, ref.address), plan.spend_per_day)
        feeds.append(
            ReportingFeed(
                ref=ref,
                contract=ReportingContract(
                    chain=chain, address=ref.address, clock=clock, confirmations=settings.config_confirmations
                ),
                chain=chain,
                member=member,
                network=network,
                connections=connections,
                observer=observer,
                signer=signer,
                transmitter=ReportSender(
                    sender=sender,
                    chain_id=ref.chain_id,
                    contract=ref.address,
                    meter=meter,
                    gas_limit=plan.gas_limit,
                ),
                database=database,
                clock=clock,
                meter=meter,
                config_interval=settings.config_interval,
                progress_alarm=settings.progress_alarm,
                seated=_telling(oracle_metrics, ref),
            )
        )
    return ReportingNode(tuple(feeds), (sources, *feeds))


def _telling(metrics: OracleMetrics, ref: FeedRef) -> Callable[[Context], None]:
    """The thresholds that are on chain, shown as every feed shows its own."""

    def tell(context: Context) -> None:
        median = context.network.median
        threshold = math.nan if median.alpha_report is None else median.alpha_report / PPB_PER_UNIT
        metrics.threshold.labels(ref.name, ref.chain).set(threshold)

    return tell
