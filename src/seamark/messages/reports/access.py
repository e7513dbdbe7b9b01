"""Changes of roles, configuration, curses and pauses in the period, and who may do what at its end, as the watched
contracts told them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from seamark.messages.model import NoticeKind
from seamark.messages.reports.model import AccessChange, Right
from seamark.messages.reports.store import Scope
from seamark.messages.store import NoticeView, list_notices

__all__ = ["Changes", "list_changes", "list_rights", "rights_of"]

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


# ---- who may do what ------------------------------------------------------------------------------------------------

_NOBODY: Final = "0x" + "00" * 20
_WORD_DIGITS: Final = 64
_Key = tuple[int, str, str, str]


def list_rights(connection: Connection, scope: Scope) -> tuple[Right, ...]:
    """At the end of the period; what was granted before the contracts were watched is not known."""
    kinds = (NoticeKind.ROLE_CHANGED, NoticeKind.CONFIGURED)
    return rights_of(list_notices(connection, kinds=kinds, until=scope.period.end, limit=LOOKED_AT))


def rights_of(newest_first: Iterable[NoticeView]) -> tuple[Right, ...]:
    """The rights that notices add up to: of each, the newest notice counts."""
    found: dict[_Key, Right | None] = {}
    for item in newest_first:
        told = _told(item)
        if told is None:
            continue
        name, right, account, holds = told
        key = (item.chain_id, item.contract, right if name == "role" else name, account if name == "role" else "")
        if key not in found:
            found[key] = _right(item, right, account) if holds else None
    rights = [right for right in found.values() if right is not None]
    return tuple(sorted(rights, key=lambda one: (one.chain_id, one.contract, one.right, one.account)))


def _told(item: NoticeView) -> tuple[str, str, str, bool] | None:
    """What is granted or taken: (whether a role, else which place), the right in words, to whom, granted."""
    values: dict[str, Any] = item.details.get("values", {})
    match item.details.get("event"):
        case "RoleGranted" | "RoleRevoked" as event:
            role = str(item.details.get("role", values.get("role", "")))
            return "role", role, str(values.get("account", "")), event == "RoleGranted"
        case "AllowedSenderSet":
            sender = str(values.get("sender", ""))
            return f"from {item.subject}", f"sends to it from chain {item.subject}", sender, sender != _NOBODY
        case "DestinationSet":
            config = values.get("config", values.get("destination", {}))
            receiver = _account(str(config.get("receiver", "")))
            words = f"is sent to on chain {item.subject}" + ("" if config.get("enabled", True) else " (disabled)")
            return f"to {item.subject}", words, receiver, True
        case "DestinationRemoved":
            return f"to {item.subject}", "", "", False
        case _:
            return None


def _right(item: NoticeView, right: str, account: str) -> Right:
    return Right(chain_id=item.chain_id, contract=item.contract, right=right, account=account, since=item.time)


def _account(receiver: str) -> str:
    """An address out of its word, as EVM chains have it."""
    digits = receiver.removeprefix("0x")
    return "0x" + digits[24:] if len(digits) == _WORD_DIGITS and digits.startswith("0" * 24) else receiver
