"""The lead among publishers: its backend, the fence, and what a new term begins with."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from prometheus_client import CollectorRegistry

from seamark.core.errors import SettingsError
from seamark.core.ids import Address
from seamark.oracle.leadership import LeadershipMetrics, leadership_health
from seamark.oracle.publisher import FeedPublisher
from seamark.oracle.replica_settings import Lease, ReplicaSettings
from seamark.oracle.sources.adapter_server import AdapterServer
from seamark.oracle.sources.hubs import Sources
from seamark.runtime.clock import Clock
from seamark.runtime.health import Health
from seamark.runtime.http_exchange import HttpSession
from seamark.runtime.kubernetes_lease import KubernetesLease, find_access
from seamark.runtime.leadership import Candidate, Elector, Led, Register, RegisterCandidate, Terms
from seamark.runtime.service import Service
from seamark.storage.database import Database
from seamark.storage.fencing import FencedDatabase, enter_term, newest_token
from seamark.storage.leading import DatabaseRegister, SessionLock

__all__ = ["Replicas", "open_replicas", "stalled_after"]

_SETTING = "oracle.replicas"


@dataclass(slots=True)
class Replicas:
    """This process among its like. `database` is for what only the leader may write."""

    elector: Elector
    database: FencedDatabase
    plain: Database
    clock: Clock
    prepare: list[Callable[[], None]] = field(default_factory=list)
    """Done at the beginning of a term: what is remembered of the journal is out of date."""

    async def enter(self, token: int) -> None:
        await enter_term(self.plain, self.elector.name, token, self.elector.identity)
        for forget in self.prepare:
            forget()

    async def health(self) -> Health:
        return leadership_health(self.elector)

    def led(self, service: Service) -> Service:
        """The service as it runs in a replica: sources and what is served from them everywhere, the rest by the leader.

        Publishers that do not lead stand by.
        """
        if isinstance(service, (Sources, AdapterServer)):
            return service
        meanwhile = service.stand_by if isinstance(service, FeedPublisher) else None
        return Led(service, self.elector, clock=self.clock, meanwhile=meanwhile)


def stalled_after(settings: ReplicaSettings | None) -> float | None:
    """For `open_database`: a replica that stands still must not keep locks for longer than it may lead."""
    return None if settings is None else Terms(settings.duration, settings.renew).stay


def open_replicas(
    settings: ReplicaSettings,
    *,
    signer: Address,
    database: Database,
    url: str,
    session: HttpSession,
    clock: Clock,
    registry: CollectorRegistry,
) -> Replicas:
    """Put the parts together; nothing is asked yet.

    Args:
        settings: Which backend, and times.
        signer: Whose nonces the leader gives out.
        database: Holds the journal, and the fence.
        url: Of the database, with its secrets.
        session: For the API server of Kubernetes.
        clock: Time.
        registry: For metrics.

    Raises:
        SettingsError: The backend does not fit the database, or a pod's files are missing.
    """
    name = settings.name or f"publisher-{signer.lower()}"
    terms = Terms(settings.duration, settings.renew)
    identity = settings.identity or f"{socket.gethostname()}-{os.getpid()}"
    identity = f"{identity}-{secrets.token_hex(3)}"  # unique also where hosts and processes are called the same
    if settings.lease is Lease.POSTGRESQL_LOCK:
        _check_postgresql(url)
        candidate: Candidate = SessionLock(identity, url, name, terms=terms)
    else:
        if settings.lease is Lease.KUBERNETES:
            register: Register = _kubernetes_lease(settings, name, terms, session=session, clock=clock)
        else:
            _check_shared(url)
            register = DatabaseRegister(database, name)
        floor = partial(newest_token, database, name)
        apart = settings.lease is Lease.KUBERNETES
        candidate = RegisterCandidate(identity, register, terms=terms, clock=clock, floor=floor, apart=apart)
    elector = Elector(name, candidate, terms=terms, clock=clock)
    if isinstance(candidate, SessionLock):
        candidate.lost = elector.depose
    metrics = LeadershipMetrics(registry, elector)
    replicas = Replicas(elector, FencedDatabase(database, elector, refused=metrics.refused), database, clock)
    elector.observer, elector.enter = metrics, replicas.enter
    return replicas


def _kubernetes_lease(
    settings: ReplicaSettings, name: str, terms: Terms, *, session: HttpSession, clock: Clock
) -> KubernetesLease:
    wanted = settings.kubernetes
    access = find_access(
        api=wanted.api, namespace=wanted.namespace, token_file=wanted.token_file, ca_file=wanted.ca_file
    )
    return KubernetesLease(name, access, session=session, clock=clock, timeout_s=terms.duration / 4)


def _check_postgresql(url: str) -> None:
    if url.startswith("sqlite:"):
        problem = "postgresql_lock needs PostgreSQL, and the database is SQLite"
        raise SettingsError(f"{_SETTING}.lease", problem, remedy="use lease: database, or another database")


def _check_shared(url: str) -> None:
    if url.startswith("sqlite:") and url.removeprefix("sqlite:///").removeprefix("sqlite://") in ("", ":memory:"):
        problem = "database needs one that the replicas share, and this one is in memory"
        raise SettingsError(f"{_SETTING}.lease", problem, remedy="use PostgreSQL")
