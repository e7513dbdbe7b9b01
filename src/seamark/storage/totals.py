"""Totals that survive a restart: what Prometheus counters and histograms are rebuilt from.

A total is added to in the unit of work that stores the fact it counts, so a crash can neither lose nor repeat a count.
Values are exact decimals (fees are 256-bit integers); labels are a JSON object with sorted keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, localcontext
from typing import NamedTuple

import msgspec
from sqlalchemy import Column, Connection, Table, Text, select, tuple_

from seamark.storage.bulk import chunks, insert_new, upsert
from seamark.storage.schema import metadata

__all__ = ["Total", "TotalKey", "add_totals", "read_totals", "total_key"]

_total = Table(
    "total",
    metadata,
    Column("metric", Text, primary_key=True),
    Column("labels", Text, primary_key=True),
    Column("value", Text, nullable=False),
)


_DIGITS = 120  # sums of 256-bit fees stay exact


class TotalKey(NamedTuple):
    """A metric's name and its labels, as stored."""

    metric: str
    labels: str


class Total(NamedTuple):
    metric: str
    labels: dict[str, str]
    value: Decimal


def total_key(metric: str, labels: Mapping[str, str]) -> TotalKey:
    return TotalKey(metric, msgspec.json.encode(dict(sorted(labels.items()))).decode())


def add_totals(connection: Connection, additions: Mapping[TotalKey, int | Decimal]) -> None:
    """Add to each total; a missing one starts at zero."""
    if not additions:
        return
    keys = sorted(additions)
    known = _locked(connection, keys)
    if missing := [key for key in keys if key not in known]:
        # A row must exist to be locked: of two writers that both start a total the second waits here for the first.
        insert_new(connection, _total, [{"metric": key.metric, "labels": key.labels, "value": "0"} for key in missing])
        known |= _locked(connection, missing)
    with localcontext() as context:
        context.prec = _DIGITS
        sums = {key: known[key] + additions[key] for key in keys}
    rows = [{"metric": key.metric, "labels": key.labels, "value": f"{value:f}"} for key, value in sums.items()]
    upsert(connection, _total, rows)


def _locked(connection: Connection, keys: Sequence[TotalKey]) -> dict[TotalKey, Decimal]:
    """Current values, held until the end of the transaction; in one order, so that writers never deadlock."""
    known = {}
    for some in chunks(keys):
        query = select(_total).where(tuple_(_total.c.metric, _total.c.labels).in_(some))
        for row in connection.execute(query.order_by(_total.c.metric, _total.c.labels).with_for_update()):
            known[TotalKey(row.metric, row.labels)] = Decimal(row.value)
    return known


def read_totals(connection: Connection, prefix: str = "") -> Iterator[Total]:
    """All totals whose metric starts with `prefix`."""
    query = (
        select(_total)
        .where(_total.c.metric.startswith(prefix, autoescape=True))
        .order_by(_total.c.metric, _total.c.labels)
    )
    for row in connection.execute(query):
        yield Total(row.metric, msgspec.json.decode(row.labels), Decimal(row.value))
