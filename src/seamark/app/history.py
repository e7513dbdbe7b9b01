"""Backfill for the command line: one chain of one protocol, opened for as long as it takes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from prometheus_client import CollectorRegistry

from seamark.app.chains import Chains
from seamark.app.monitors import MONITORS
from seamark.app.patience import patiently
from seamark.core.errors import SettingsError
from seamark.core.ids import ChainId
from seamark.evm.crypto import assert_fast_backends
from seamark.evm.logs import LogStream, StreamSettings
from seamark.evm.metrics import RpcMetrics
from seamark.evm.ports import ChainReader
from seamark.evm.types import LogFilter
from seamark.messages.history import Backfill
from seamark.messages.protocol import MessageProtocol
from seamark.runtime.clock import Clock, SystemClock
from seamark.runtime.http import make_session
from seamark.settings import Settings
from seamark.storage.database import Database

__all__ = ["choose_chain", "open_backfill"]


def choose_chain(settings: Settings, chain: str | None, protocol: str | None) -> tuple[str, MessageProtocol]:
    """The chain and the protocol that are meant.

    Raises:
        SettingsError: There is none, or more than one.
    """
    ways = [
        (name, kind) for kind in MONITORS.values() for name in kind.chains(settings) if protocol in (None, kind.section)
    ]
    names = list(dict.fromkeys(name for name, _ in ways))
    wanted = _named(settings, chain) if chain is not None else names[0] if len(names) == 1 else None
    if wanted is None or wanted not in names:
        problem = "is missing" if chain is None else f"no monitor watches a chain {chain[:60]!r}"
        raise SettingsError("CHAIN", problem, remedy=f"one of {', '.join(names) or 'none: no chain is configured'}")
    kinds = [kind for name, kind in ways if name == wanted]
    if len(kinds) > 1:
        raise SettingsError(
            "--protocol", f"several watch {wanted}", remedy=f"one of {', '.join(kind.section for kind in kinds)}"
        )
    return wanted, kinds[0].protocol(settings)


def _named(settings: Settings, text: str) -> str | None:
    """The key of a chain by its key, label or id."""
    folded = text.strip().casefold()
    for key, chain in settings.chains.items():
        if folded in (key.casefold(), (chain.label or key).casefold(), str(chain.chain_id)):
            return key
    return None


@asynccontextmanager
async def open_backfill(
    settings: Settings, database: Database, chain: str, protocol: MessageProtocol, *, clock: Clock | None = None
) -> AsyncIterator[Backfill]:
    """Ready to plan and run; the chain is closed at the end.

    Raises:
        SettingsError: No node answers, or the settings do not fit the chain.
    """
    assert_fast_backends()
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(make_session())
        chains = Chains(settings.chains, session, clock, RpcMetrics(CollectorRegistry()), settings.start_timeout)
        stack.push_async_callback(chains.close)
        await chains.open([chain])
        item = chains.opened[chain]
        check = partial(protocol.check, item.chain)
        await patiently(check, clock=clock, limit_s=settings.start_timeout, what=f"check the contracts on {chain}")

        def open_stream(reader: ChainReader, name: str, wanted: LogFilter, start_block: int) -> LogStream:
            # The reader's chain ends at the last block wanted: all of it is final.
            final = StreamSettings(start_block=start_block, finality_tag=None, finality_depth=0, head_range=1)
            witness = item.chain.witness
            return LogStream(
                name, reader=reader, database=database, wanted=wanted, settings=final, clock=clock, witness=witness
            )

        role = next(role for role in protocol.chains if role.chain_id == ChainId(item.settings.chain_id))
        yield Backfill(protocol, role, reader=item.chain, open_stream=open_stream, database=database, clock=clock)
