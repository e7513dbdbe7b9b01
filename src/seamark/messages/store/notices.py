"""What the protocols' contracts tell beside messages: stored as facts, withdrawn with their blocks.

An event "notice.<kind>" is written with each new one, "notice.withdrawn" when a reorg takes one away; both carry the
notice (`NoticeView`). As for messages, what is older than a day when it is found is history and makes no event.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, select, tuple_

from seamark.core.ids import ChainId
from seamark.messages.model import Evidence, Notice, NoticeKind
from seamark.messages.store import tables
from seamark.messages.store.bulk import insert_rows
from seamark.messages.store.rows import evidence_of
from seamark.storage.bulk import chunks
from seamark.storage.events import Event

__all__ = ["NEWS_S", "NoticeView", "list_notices", "open_curses", "orphan_notices", "record_notices"]

NEWS_S = 86_400
"""Facts that are older than a day when they are found are history: the ledger has them, the event log does not. It
would be flooded by a catch-up over months, and its listeners want news."""

MAX_LIMIT = 1000

_notice = tables.notice
_KEY = (_notice.c.chain_id, _notice.c.block_number, _notice.c.block_hash, _notice.c.log_index, _notice.c.part)


class NoticeView(msgspec.Struct, frozen=True, kw_only=True):
    """A notice as lists and events show it. `time` is its block's, in seconds; `live`: no reorg took it away."""

    protocol: str
    kind: str
    chain_id: int
    contract: str
    subject: str
    details: dict[str, Any]
    block_number: int
    block_hash: str
    tx: str
    log_index: int
    time: int
    live: bool


def record_notices(connection: Connection, protocol: str, notices: Sequence[Notice], now_ms: int) -> list[Event]:
    """Notices of canonical blocks; those known already change nothing. Gives the events to write."""
    fresh = {_identity(item): item for item in notices}
    for chunk in chunks(list(fresh)):
        known = select(*_KEY).where(tuple_(*_KEY).in_(chunk), _notice.c.protocol == protocol, _notice.c.live)
        for row in connection.execute(known):
            del fresh[tuple(row)]
    rows = [_row(item, protocol) for item in fresh.values()]
    insert_rows(connection, _notice, rows, update=("live", "details"))
    return _events([_view(row, item.details) for row, item in zip(rows, fresh.values(), strict=True)], now_ms)


def orphan_notices(
    connection: Connection, protocol: str, chain_id: ChainId, blocks: Sequence[tuple[int, str]], now_ms: int
) -> list[Event]:
    """These blocks left the chain. Gives the events to write."""
    in_blocks = tuple_(_notice.c.block_number, _notice.c.block_hash).in_(blocks)
    where = (_notice.c.protocol == protocol) & (_notice.c.chain_id == chain_id) & in_blocks & _notice.c.live
    rows = connection.execute(select(_notice).where(where)).mappings().all()
    if rows:
        connection.execute(_notice.update().where(where).values(live=False))
    return _events([_view({**row, "live": False}) for row in rows], now_ms)


def list_notices(
    connection: Connection,
    *,
    protocol: str | None = None,
    chain_id: int | None = None,
    kinds: Collection[NoticeKind] = (),
    subject: str | None = None,
    live: bool = True,
    since: int | None = None,
    until: int | None = None,
    limit: int = 100,
) -> list[NoticeView]:
    """Newest first. `live` false: also what reorgs took; `since` and `until` (exclusive) are block times."""
    query = select(_notice)
    if protocol is not None:
        query = query.where(_notice.c.protocol == protocol)
    if chain_id is not None:
        query = query.where(_notice.c.chain_id == chain_id)
    if kinds:
        query = query.where(_notice.c.kind.in_([kind.value for kind in kinds]))
    if subject is not None:
        query = query.where(_notice.c.subject == subject)
    if live:
        query = query.where(_notice.c.live)
    if since is not None:
        query = query.where(_notice.c.time >= since)
    if until is not None:
        query = query.where(_notice.c.time < until)
    place = (_notice.c.chain_id, _notice.c.block_number, _notice.c.log_index, _notice.c.part)
    order = (_notice.c.time.desc(), *(column.desc() for column in place))
    found = connection.execute(query.order_by(*order).limit(max(1, min(limit, MAX_LIMIT)))).mappings()
    return [_view(row) for row in found]


def open_curses(connection: Connection, protocol: str) -> dict[tuple[int, str], Evidence]:
    """What is cursed now, by (chain id, subject): since which log. Curses of several contracts of a chain add up."""
    kinds = (NoticeKind.CURSED.value, NoticeKind.UNCURSED.value)
    query = (
        select(_notice)
        .where(_notice.c.protocol == protocol, _notice.c.kind.in_(kinds), _notice.c.live)
        .order_by(_notice.c.chain_id, _notice.c.block_number, _notice.c.log_index, _notice.c.part)
    )
    by_contract: dict[tuple[int, str, str], Evidence] = {}
    for row in connection.execute(query):
        key = (row.chain_id, row.contract, row.subject)
        if row.kind == NoticeKind.CURSED:
            by_contract.setdefault(key, evidence_of(row))
        else:
            by_contract.pop(key, None)
    found: dict[tuple[int, str], Evidence] = {}
    for (chain_id, _, subject), at in by_contract.items():
        known = found.get((chain_id, subject))
        if known is None or at.block_number < known.block_number:
            found[chain_id, subject] = at
    return found


def _identity(item: Notice) -> tuple[Any, ...]:
    at = item.evidence
    return at.chain_id, at.block_number, at.block_hash, at.log_index, item.part


def _row(item: Notice, protocol: str) -> dict[str, Any]:
    at = item.evidence
    return {
        "protocol": protocol,
        "chain_id": at.chain_id,
        "block_number": at.block_number,
        "block_hash": at.block_hash,
        "log_index": at.log_index,
        "part": item.part,
        "live": True,
        "kind": item.kind.value,
        "contract": item.contract,
        "subject": item.subject,
        "tx": at.transaction,
        "time": at.time,
        "details": msgspec.json.encode(item.details).decode(),
    }


def _view(row: Any, details: dict[str, Any] | None = None) -> NoticeView:
    fields = {name: row[name] for name in NoticeView.__struct_fields__ if name != "details"}
    fields["live"] = bool(fields["live"])
    return NoticeView(**fields, details=msgspec.json.decode(row["details"]) if details is None else details)


def _events(views: Sequence[NoticeView], now_ms: int) -> list[Event]:
    return [
        Event(
            f"notice.{view.kind if view.live else 'withdrawn'}",
            view.subject or view.contract,
            msgspec.to_builtins(view),
            at_ms=now_ms,
        )
        for view in views
        if not view.live or view.time >= now_ms // 1000 - NEWS_S
    ]
