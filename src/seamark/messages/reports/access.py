"""Changes of roles, configuration, curses and pauses in the period, as the watched contracts told them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from seamark.messages.model import NoticeKind
from seamark.messages.reports.model import AccessChange
from seamark.messages.reports.store import Scope
from seamark.messages.store import list_notices

__all__ = ["Changes", "list_changes"]

SHOWN: Final = 50
LOOKED_AT: Final = 1000  # the most that is read at once; more is told as so many at least
KINDS: Final = (
    NoticeKind.ROLE_CHANGED,
    NoticeKind.CONFIGURED,
    NoticeKind.CURSED,
    NoticeKind.UNCURSED,
    NoticeKind.PAUSED,
    NoticeKind.UNPAUSED,
)


@dataclass(frozen=True, slots=True)
class Changes:
    """The newest, and how many more there are (of those looked at)."""

    shown: tuple[AccessChange, ...]
    more: int


def list_changes(connection: Connection, scope: Scope) -> Changes:
    """Newest first; on all chains, whatever lanes are chosen: who may change a contract may change any of its lanes."""
    period = scope.period
    found = list_notices(connection, kinds=KINDS, since=period.start, until=period.end, limit=LOOKED_AT)
    shown = tuple(
        AccessChange(
            time=item.time,
            chain_id=item.chain_id,
            contract=item.contract,
            kind=item.kind,
            subject=item.subject,
            details=item.details,
            tx=item.tx,
        )
        for item in found[:SHOWN]
    )
    return Changes(shown, max(len(found) - SHOWN, 0))
