"""What a database says of messages, and in what two of them differ.

Two monitors of the same chains must agree on everything that the chains say. Not compared, because it is about the
monitor and not about the chains: when *it* saw a block become final (a catch-up never sees that), and its own row
numbers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

import msgspec
from sqlalchemy import Connection

from seamark.messages.model import Stage
from seamark.messages.store import (
    LaneView,
    MessageDetail,
    MessageView,
    find_message,
    list_lanes,
    list_messages,
)
from seamark.storage.database import Database
from seamark.storage.totals import read_totals

__all__ = ["Ledger", "differences", "read_ledger"]

PAGE = 500
OWN_FIELDS = frozenset({"finalized_time", "seconds"})
"""Of the monitor; `seconds` follows from the other times."""

OWN_STAGE = "finality"
"""The latency that hangs on `finalized_time`."""

Totals = dict[tuple[str, tuple[tuple[str, str], ...]], Decimal]


@dataclass(frozen=True, slots=True)
class Ledger:
    """Messages by id, lanes by their ends, totals by name and labels."""

    messages: dict[str, MessageView]
    details: dict[str, MessageDetail]
    lanes: dict[tuple[str, str, str], LaneView]
    totals: Totals

    def stages(self) -> Counter[str]:
        return Counter(view.stage for view in self.messages.values())

    def total(self, metric: str, **labels: str) -> Decimal:
        """Sum of a metric's totals with these labels."""
        wanted = set(labels.items())
        return sum(
            (value for (name, found), value in self.totals.items() if name == metric and wanted <= set(found)),
            Decimal(),
        )


async def read_ledger(database: Database) -> Ledger:
    """All of it, of one moment."""
    return await database.read(_read)


def _read(connection: Connection) -> Ledger:
    messages: dict[str, MessageView] = {}
    cursor = None
    while True:
        page = list_messages(connection, limit=PAGE, cursor=cursor)
        for view in page.messages:
            assert view.id not in messages, f"{view.id} is listed twice"
            messages[view.id] = view
        cursor = page.next
        if cursor is None:
            break
    details = {key: detail for key in messages if (detail := find_message(connection, key)) is not None}
    lanes = {(lane.source, lane.channel, lane.destination): lane for lane in list_lanes(connection)}
    totals = {
        (total.metric, tuple(sorted(total.labels.items()))): total.value for total in read_totals(connection, "ccip_")
    }
    return Ledger(messages, details, lanes, totals)


def differences(one: Ledger, other: Ledger, *, totals: bool = True) -> list[str]:
    """In words; empty where both say the same of the chains.

    Messages that one of them calls retracted need not be known to the other: who came later never saw them.

    Args:
        one: Of the monitor under test.
        other: Of the undisturbed one.
        totals: Whether to compare counters: after a reorg they rightly differ, because what was counted stays counted.
    """
    found: list[str] = []
    ours, theirs = _living(one), _living(other)
    found += [f"{key} is missing" for key in theirs.keys() - ours.keys()]
    found += [f"{key} ({ours[key].stage}) should not be" for key in ours.keys() - theirs.keys()]
    for key in ours.keys() & theirs.keys():
        found += [f"{key}: {text}" for text in _fields(ours[key], theirs[key])]
        found += [f"{key}: {text}" for text in _sightings(one.details[key], other.details[key])]
    found += _lanes(one, other)
    if totals:
        found += _totals(one.totals, other.totals)
    return found


def _living(ledger: Ledger) -> dict[str, MessageView]:
    return {key: view for key, view in ledger.messages.items() if view.stage != Stage.RETRACTED}


def _fields(one: MessageView, other: MessageView) -> list[str]:
    ours, theirs = msgspec.structs.asdict(one), msgspec.structs.asdict(other)
    return [
        f"{name} is {ours[name]!r}, not {theirs[name]!r}"
        for name in ours
        if name not in OWN_FIELDS and ours[name] != theirs[name]
    ]


def _sightings(one: MessageDetail, other: MessageDetail) -> list[str]:
    ours, theirs = (set(_evidence(detail)) for detail in (one, other))
    return [f"evidence {item} is of one side only" for item in sorted(ours ^ theirs)]


def _evidence(detail: MessageDetail) -> list[tuple[str, int, int, str, str, int, int]]:
    return [
        (item.kind, item.chain_id, item.block_number, item.block_hash, item.tx, item.log_index, item.time)
        for item in detail.sightings
        if item.live
    ]


def _lanes(one: Ledger, other: Ledger) -> list[str]:
    found = []
    for key in one.lanes.keys() | other.lanes.keys():
        ours, theirs = one.lanes.get(key), other.lanes.get(key)
        if ours is None or theirs is None:
            if (ours or theirs).total - (ours or theirs).stages.get(Stage.RETRACTED, 0):  # type: ignore[union-attr]
                found.append(f"lane {key} is of one side only")
            continue
        found += [
            f"lane {key}: {name} is {getattr(ours, name)}, not {getattr(theirs, name)}"
            for name in ("last_sent", "last_committed", "last_executed", "version", "source_name", "destination_name")
            if getattr(ours, name) != getattr(theirs, name)
        ]
        counts = [
            {stage: count for stage, count in lane.stages.items() if stage != Stage.RETRACTED}
            for lane in (ours, theirs)
        ]
        if counts[0] != counts[1]:
            found.append(f"lane {key}: stages are {counts[0]}, not {counts[1]}")
    return found


def _totals(one: Totals, other: Totals) -> list[str]:
    return [
        f"{name}{dict(labels)} is {one.get((name, labels), 0)}, not {other.get((name, labels), 0)}"
        for name, labels in sorted(one.keys() | other.keys())
        if ("stage", OWN_STAGE) not in labels and one.get((name, labels), 0) != other.get((name, labels), 0)
    ]
