"""Compares supernodes that should be replicas: for one time, all of them must compute the same super root.

The time is the youngest that all of them call final, so a replica that lags, or is just starting, differs from nobody.
One that does not answer, has no data, or knows another set of chains is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import msgspec

from seamark.core.errors import RejectedError, TemporaryError
from seamark.messages.protocols.op_interop.metrics import InteropMetrics
from seamark.runtime.clock import Clock

__all__ = ["Compared", "Replica", "ReplicaWatch", "SuperRoot", "compare"]

LOOK_EVERY_S: Final = 60.0
LOOK_BACK_S: Final = 3600  # the first question, whose answer says what is final, is about a time that surely is known


class SuperRoot(NamedTuple):
    """A replica's answer; `root` "": it has no data for that time. `finalized`: seconds since the epoch."""

    finalized: int
    chains: tuple[str, ...]
    root: str


class _Data(msgspec.Struct):
    super_root: str = ""


class _Answer(msgspec.Struct):
    finalized_timestamp: int = 0
    chain_ids: list[str | int] = []
    data: _Data | None = None


_ANSWER: Final = msgspec.json.Decoder(_Answer)


class Replica(Protocol):
    """A supernode."""

    @property
    def label(self) -> str: ...

    async def super_root(self, timestamp: int) -> msgspec.Raw:
        """`superroot_atTimestamp`. Raises `TemporaryError` or `RejectedError`."""
        ...


@dataclass(frozen=True, slots=True)
class Compared:
    """Who said what for a time. `roots`: root -> labels."""

    timestamp: int
    roots: Mapping[str, tuple[str, ...]]

    @property
    def differing(self) -> bool:
        return len(self.roots) > 1


def compare(timestamp: int, answers: Mapping[str, SuperRoot]) -> Compared | None:
    """Those that know the same chains, the largest such group; None where fewer than two answered."""
    told = {label: answer for label, answer in answers.items() if answer.root}
    by_chains: dict[tuple[str, ...], list[str]] = {}
    for label, answer in told.items():
        by_chains.setdefault(answer.chains, []).append(label)
    group = max(by_chains.values(), key=len, default=[])
    if len(group) < 2:  # noqa: PLR2004 - one cannot differ from itself
        return None
    roots: dict[str, tuple[str, ...]] = {}
    for label in sorted(group):
        roots[told[label].root] = (*roots.get(told[label].root, ()), label)
    return Compared(timestamp, roots)


class ReplicaWatch:
    """Asks and compares. A `Service`."""

    name = "interop-replicas"

    def __init__(self, replicas: Sequence[Replica], *, metrics: InteropMetrics, clock: Clock) -> None:
        self._replicas = replicas
        self._metrics = metrics
        self._clock = clock
        self.last: Compared | None = None

    async def run(self) -> None:
        while True:
            await self.look()
            await self._clock.sleep(LOOK_EVERY_S)

    async def look(self) -> Compared | None:
        """Once; None, and the last word stays, where nothing could be compared."""
        first = await self._ask(int(self._clock.now()) - LOOK_BACK_S)
        final = [answer.finalized for answer in first.values() if answer.finalized > 0]
        if len(final) < 2:  # noqa: PLR2004 - as in `compare`
            return None
        timestamp = min(final)
        found = compare(timestamp, await self._ask(timestamp))
        if found is not None:
            self.last = found
            compared = sum(map(len, found.roots.values()))
            self._metrics.saw_replicas(differing=found.differing, compared=compared, timestamp=timestamp)
        return found

    async def _ask(self, timestamp: int) -> dict[str, SuperRoot]:
        answers = {}
        for replica in self._replicas:
            try:
                raw = _ANSWER.decode(await replica.super_root(timestamp))
            except (TemporaryError, RejectedError, msgspec.MsgspecError):  # who cannot be asked is left out
                continue
            root = "" if raw.data is None else raw.data.super_root
            answers[replica.label] = SuperRoot(raw.finalized_timestamp, tuple(map(str, raw.chain_ids)), root)
        return answers
