"""How far feeds on destination chains are from their source, as metrics: age and price drift.

The two ends may be read by different processes; the database knows both. So this looks there every few seconds, and
ages are worked out at the moment of the scrape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from seamark.core.errors import TemporaryError
from seamark.oracle.model import Role
from seamark.oracle.store import FeedRow, list_feeds
from seamark.runtime.clock import Clock
from seamark.storage.database import Database

__all__ = ["DriftMeter", "Pairing", "pairings"]

LOOK_EVERY_S: Final = 5.0
LABELS: Final = ("feed", "source", "dest")


@dataclass(frozen=True, slots=True)
class Pairing:
    """A feed on its source and on one destination."""

    source: FeedRow
    remote: FeedRow

    @property
    def labels(self) -> tuple[str, str, str]:
        return self.source.ref.name, self.source.ref.chain, self.remote.ref.chain

    @property
    def drift(self) -> float:
        """(remote - source) / source; NaN where one of them has no price."""
        here, there = self.source.price, self.remote.price
        return math.nan if not here or there is None else float((there - here) / abs(here))


def pairings(rows: Sequence[FeedRow]) -> list[Pairing]:
    """Each destination with its source; feeds without a source here are left out."""
    sources = {row.ref.name: row for row in rows if row.ref.role is Role.SOURCE}
    return [
        Pairing(sources[row.ref.name], row) for row in rows if row.ref.role is Role.REMOTE and row.ref.name in sources
    ]


class DriftMeter:
    """A `Service`."""

    name = "oracle-drift"

    def __init__(self, database: Database, registry: CollectorRegistry, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._age = Gauge(
            "oracle_destination_age_seconds", "Age of the round on a destination chain.", LABELS, registry=registry
        )
        self._drift = Gauge(
            "oracle_price_drift_ratio",
            "Price on a destination against the source's now, 0.01 is 1 %.",
            LABELS,
            registry=registry,
        )
        self._behind = Gauge(
            "oracle_destination_rounds_behind",
            "Rounds that the source is ahead of a destination.",
            LABELS,
            registry=registry,
        )
        self._known: dict[tuple[str, str, str], Pairing] = {}

    async def run(self) -> None:
        while True:
            await self.look()
            await self._clock.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Read once. A database that is busy is asked again at the next look: the last values stand."""
        try:
            rows = await self._database.read(list_feeds)
        except TemporaryError:
            return
        for pairing in pairings(rows):
            labels = pairing.labels
            if labels not in self._known:
                self._age.labels(*labels).set_function(partial(self._age_of, labels))
            self._known[labels] = pairing
            self._drift.labels(*labels).set(pairing.drift)
            behind = max(0, pairing.source.round - pairing.remote.round) if pairing.remote.round else math.nan
            self._behind.labels(*labels).set(behind)

    def _age_of(self, labels: tuple[str, str, str]) -> float:
        remote = self._known[labels].remote
        return max(0.0, self._clock.now() - remote.updated_at) if remote.round else math.nan
