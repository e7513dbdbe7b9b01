"""Events that tell of the contracts instead of messages: configuration, roles, and which contracts to look at again.

Most of them are told as they are: the event's name and its values. `configured` and `role_changed` make what reads
such an event; `subject` picks what it is about (a chain's selector where the event names one).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from seamark.core.ids import Address, Hash32
from seamark.evm.abi import Event
from seamark.evm.types import Log
from seamark.messages.model import Notice, NoticeKind
from seamark.messages.protocols.ccip.generation import Scene, Take

__all__ = ["OWNERSHIP", "Entry", "configured", "notice", "own", "plain", "role_changed"]

LONGEST_BYTES = 256
"""Bytes of a value that are kept; an oracle's off-chain configuration may have many kilobytes."""

Entry: TypeAlias = tuple[Hash32, Take]
Pick: TypeAlias = Callable[[Any], Any]
Look: TypeAlias = Callable[[Any, Log], tuple[Address, ...]]


def configured(event: Event, *, subject: Pick | None = None, look: Look | None = None) -> Entry:
    """A change of configuration. `look` names the addresses to look at again after it."""
    return _entry(event, NoticeKind.CONFIGURED, subject, look)


def role_changed(event: Event, *, subject: Pick | None = None) -> Entry:
    """A change of owners, allow lists, signers or roles."""
    return _entry(event, NoticeKind.ROLE_CHANGED, subject, None)


def own(_: object, log: Log) -> tuple[Address, ...]:
    """To look at again: the contract itself."""
    return (log.address,)


def notice(
    kind: NoticeKind,
    log: Log,
    scene: Scene,
    event: Event,
    record: Any,
    *,
    subject: str = "",
    part: int = 0,
    **more: str,
) -> Notice:
    """A notice of one log with the event's name and values as details, and `more` of them."""
    return Notice(
        kind=kind,
        evidence=scene.evidence(log),
        contract=log.address,
        subject=subject,
        details={"event": event.name, "values": plain(record), **more},
        part=part,
    )


def plain(value: Any) -> Any:
    """A decoded value as JSON has it: numbers as text (they may exceed 2**53), bytes as hex, structs by their names."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        kept = "0x" + value[:LONGEST_BYTES].hex()
        return kept if len(value) <= LONGEST_BYTES else f"{kept}… ({len(value)} bytes)"
    if hasattr(value, "_asdict"):
        return {name: plain(item) for name, item in value._asdict().items()}
    return [plain(item) for item in value]


def _entry(event: Event, kind: NoticeKind, subject: Pick | None, look: Look | None) -> Entry:
    def take(log: Log, scene: Scene) -> None:
        record = event.decode(log)
        about = str(subject(record)) if subject else ""
        scene.notices.append(notice(kind, log, scene, event, record, subject=about))
        if look:
            scene.change(event.name, look(record, log))

    return event.topic0, take


OWNERSHIP = (
    role_changed(Event.parse("event OwnershipTransferRequested(address indexed from, address indexed to)")),
    role_changed(Event.parse("event OwnershipTransferred(address indexed from, address indexed to)")),
)
"""What every owned contract of CCIP emits."""
