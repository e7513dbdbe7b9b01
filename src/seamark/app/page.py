"""The API and the page over the stores of this process's database."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from seamark.api.app import create_app
from seamark.api.names import ChainName, ChainNames
from seamark.api.page import find_web_root
from seamark.api.readers import Observed, StoredAlerts, StoredChains, StoredFeeds, StoredJoin, StoredMessages
from seamark.api.readers.interop import StoredIncidents
from seamark.api.readers.interop_messages import StoredExecuting
from seamark.api.service import ApiService
from seamark.core.ids import ChainId, Selector
from seamark.evm.settings import ChainSettings
from seamark.messages.protocols.ccip.selectors import SelectorTable
from seamark.oracle.model import Answer
from seamark.oracle.service import Oracle
from seamark.runtime.clock import Clock
from seamark.runtime.events import Signal
from seamark.runtime.health import HealthRegistry
from seamark.settings import Settings
from seamark.storage.database import Database

__all__ = ["build_api", "chain_names"]


def build_api(
    settings: Settings,
    *,
    version: str,
    database: Database,
    health: HealthRegistry,
    metrics: Callable[[], bytes],
    signal: Signal,
    clock: Clock,
    oracle: Oracle | None,
) -> ApiService:
    """Ready to bind and run.

    Args:
        oracle: Where publishers run in this process, their prices of the moment are shown beside the published ones.
    """
    names = chain_names(settings)
    app = create_app(
        database=database,
        feeds=StoredFeeds(database, names, observed=lambda: _observed(oracle), clock=clock),
        messages=StoredMessages(database, names),
        health=health,
        metrics=metrics,
        signal=signal,
        names=names,
        version=version,
        web_root=find_web_root(),
        chains=StoredChains(database, names),
        alerts=StoredAlerts(database, clock.now),
        incidents=StoredIncidents(database, clock.now) if settings.interop.chains else None,
        executing=StoredExecuting(database, names) if settings.interop.chains else None,
        join=StoredJoin(database, names, clock=clock),
        host_names=settings.api.allowed_hosts,
    )
    return ApiService(settings.api, app)


def chain_names(settings: Settings) -> ChainNames:
    """The chains of the settings, by all their names."""
    return ChainNames(_name(key, chain) for key, chain in settings.chains.items())


def _name(key: str, chain: ChainSettings) -> ChainName:
    chain_id = ChainId(chain.chain_id)
    published = SelectorTable().of_chain(chain_id)
    selector = chain.selector or (published.selector if published else None)
    return ChainName(key, chain.label or key, chain_id, Selector(selector) if selector else None)


def _observed(oracle: Oracle | None) -> Mapping[str, Observed]:
    if oracle is None:
        return {}
    found = {}
    for name, publisher in oracle.publishers.items():
        answer = publisher.result
        if isinstance(answer, Answer):
            found[name] = Observed(answer.price, answer.observed_at, len(answer.quotes))
    return found
