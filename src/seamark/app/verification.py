"""What verifiers of CCIP 2.0 say off chain: from settings to the service that asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import aiohttp
from prometheus_client import CollectorRegistry

from seamark.app.chains import Chains
from seamark.messages.metrics import MessageMetrics
from seamark.messages.protocols.ccip import CcipProtocol, ccip_chains
from seamark.messages.protocols.ccip.v2_0.proofs import IndexerProofs
from seamark.messages.protocols.ccip.v2_0.watching import VerificationWatch
from seamark.runtime.clock import Clock
from seamark.runtime.events import Signal
from seamark.runtime.http_get import get_bytes
from seamark.settings import Settings
from seamark.storage.database import Database

__all__ = ["indexers", "verification_watch"]

MAX_PROOF_BYTES: Final = 1_000_000  # of an indexer's answer: some results of a few kilobytes, and the message


def indexers(urls: Sequence[str], session: aiohttp.ClientSession) -> list[IndexerProofs]:
    """Indexers of verifier results at these addresses."""

    async def get(url: str) -> bytes | None:
        return await get_bytes(session, url, limit=MAX_PROOF_BYTES)

    return [IndexerProofs(url, get) for url in urls]


def verification_watch(
    settings: Settings,
    *,
    chains: Chains,
    database: Database,
    metrics: MessageMetrics,
    registry: CollectorRegistry,
    signal: Signal,
    clock: Clock,
) -> VerificationWatch | None:
    """The service; None where no indexer is named."""
    wanted = settings.ccip.verification
    if not wanted.indexers:
        return None
    watched = ccip_chains(settings.ccip, settings.chains)
    readers = chains.by_id()
    return VerificationWatch(
        CcipProtocol(watched).names,
        chains={item.chain_id: readers[item.chain_id] for item in watched},
        indexers=indexers(wanted.indexers, chains.session),
        every_s=wanted.every,
        follow=metrics.add,
        database=database,
        registry=registry,
        signal=signal,
        clock=clock,
    )
