"""Asks interop filters what they think of each message that was judged here, and tells where they differ.

A filter keeps messages out before they are executed; so what it would let pass and what is valid must be the same.
Each verdict is replayed once to each filter, as the access list of the transaction that executed it. "I stopped", "I
have not got that far" and "I do not know that chain's past" are no verdicts: the question is asked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import structlog
from sqlalchemy import Connection

from seamark.core.errors import TemporaryError
from seamark.messages.protocols.op_interop.encodings import access_list_keys
from seamark.messages.protocols.op_interop.metrics import InteropMetrics
from seamark.messages.protocols.op_interop.model import Status
from seamark.messages.protocols.op_interop.network import Network
from seamark.messages.protocols.op_interop.store import Job
from seamark.messages.protocols.op_interop.store.replays import (
    TAKEN_AT_ONCE,
    Question,
    next_questions,
    save_answer,
    take_up,
)
from seamark.messages.protocols.op_interop.store.rows import init_label
from seamark.runtime.clock import Clock
from seamark.storage.database import Database
from seamark.storage.totals import TotalKey, add_totals, total_key

__all__ = ["FilterEndpoint", "FilterWatch", "Opinion", "opinion_of"]

ASKED_AT_ONCE: Final = 50
NO_VERDICT: Final = frozenset({-320400, -320602, -321000, -321100, -321401, -321501})
"""Not initialised, failsafe, stopped, out of scope, in the future, corrupt data (specs, `interop/supervisor.md`)."""
_GENERIC: Final = -32602
_INTEROP_CODES: Final = -320_000  # codes of six digits, from here down, are the filter's own

log = structlog.get_logger("seamark.messages.interop")


class Opinion(NamedTuple):
    """`valid` None: no verdict yet. `text`: the filter's words."""

    valid: bool | None
    text: str = ""


class FilterEndpoint(Protocol):
    """The public interface of an interop filter."""

    @property
    def label(self) -> str:
        """Host and port."""
        ...

    async def check(self, entries: Sequence[str], chain_id: int, timestamp: int) -> Opinion:
        """Would it let pass a transaction in a block of that time with these access-list entries?

        Raises:
            TemporaryError: No answer.
        """
        ...


def opinion_of(code: int, text: str) -> Opinion | None:
    """What an error object says of the message; None where it says nothing of it (a fault of the server)."""
    if code in NO_VERDICT or (code == _GENERIC and any(word in text.lower() for word in ("failsafe", "safety level"))):
        return Opinion(None, text)
    return Opinion(False, text) if code <= _INTEROP_CODES or code == _GENERIC else None


class FilterWatch:
    """Replays verdicts. A `Service`."""

    name = "interop-filters"

    def __init__(
        self,
        endpoints: Sequence[FilterEndpoint],
        *,
        network: Network,
        chains: Sequence[int],
        database: Database,
        metrics: InteropMetrics,
        clock: Clock,
        interval_s: float,
    ) -> None:
        self._endpoints = endpoints
        self._network = network
        self._chains = sorted(chains)
        self._database = database
        self._metrics = metrics
        self._clock = clock
        self._interval_s = interval_s
        self.errors: dict[str, str] = {}

    async def run(self) -> None:
        while True:
            await self.look()
            await self._clock.sleep(self._interval_s)

    async def look(self) -> None:
        """Ask each filter what is open."""
        for endpoint in self._endpoints:
            await self._take_up(endpoint.label)
            await self._ask(endpoint)

    async def _take_up(self, label: str) -> None:
        def work(connection: Connection) -> int:
            return take_up(connection, label, self._chains, now_ms=self._now_ms())

        while await self._database.write(work) == TAKEN_AT_ONCE:
            continue

    async def _ask(self, endpoint: FilterEndpoint) -> None:
        label = endpoint.label
        questions = await self._database.write(lambda c: next_questions(c, label, limit=ASKED_AT_ONCE))
        for question in questions:
            try:
                opinion = await endpoint.check(*_asked(question.job))
            except TemporaryError as error:
                self.errors[label] = str(error)
                return
            await self._save(label, question, opinion)
        if questions:
            self.errors.pop(label, None)

    async def _save(self, label: str, question: Question, opinion: Opinion) -> None:
        ours = question.status is Status.VALID
        said = "" if opinion.valid is None else "agrees" if opinion.valid is ours else _word(opinion.valid)
        counted = self._counted(question, said) if said not in ("", "agrees") else None
        now_ms = self._now_ms()

        def work(connection: Connection) -> None:
            save_answer(connection, label, question.job.key, said, opinion.text, now_ms=now_ms)
            if counted is not None:
                add_totals(connection, {counted: 1})

        await self._database.write(work)
        if counted is not None:
            self._metrics.add_total(counted)
            log.warning(
                "filter differs", endpoint=label, message=question.job.key, ours=question.status.value, theirs=said
            )

    def _counted(self, question: Question, said: str) -> TotalKey:
        message = question.job.message
        labels = {
            "executing_chain_id": str(message.chain_id),
            "initiating_chain_id": init_label(message.identifier.chain_id, self._network.members),
            "monitor_status": question.status.value,
            "filter_status": said,
        }
        return total_key("interop_filter_divergence_total", labels)

    def _now_ms(self) -> int:
        return int(self._clock.now() * 1000)


def _asked(item: Job) -> tuple[list[str], int, int]:
    message = item.message
    return access_list_keys(message.identifier, message.payload), int(message.chain_id), message.block.timestamp


def _word(valid: bool) -> str:
    return "valid" if valid else "invalid"
