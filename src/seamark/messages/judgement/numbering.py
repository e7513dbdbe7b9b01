"""What a protocol's sequence numbers count, and so what a missing one means."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol, runtime_checkable

from seamark.messages.judgement.model import JudgedLane
from seamark.messages.protocol import MessageProtocol

__all__ = ["Numbering", "NumbersMessages", "numbered_with", "numbering_of"]


class Numbering(StrEnum):
    """LANE: each lane's messages are 1, 2, 3, … (CCIP). SOURCE: a source contract's over all destinations (a Mailbox).
    NONE: numbers say nothing of what lacks.
    """

    LANE = "lane"
    SOURCE = "source"
    NONE = "none"


@runtime_checkable
class NumbersMessages(Protocol):
    """A protocol that says so; optional. One of the values of `Numbering`."""

    @property
    def numbering(self) -> str: ...


def numbering_of(protocol: MessageProtocol) -> Numbering:
    """How a protocol counts; by lane unless it says otherwise."""
    return Numbering(protocol.numbering) if isinstance(protocol, NumbersMessages) else Numbering.LANE


def numbered_with(lane: JudgedLane, lanes: Sequence[JudgedLane], numbering: Numbering) -> tuple[int, ...]:
    """The lanes whose messages are counted together with a lane's, its own first; () where that is looked at with
    another lane, or where it says nothing.
    """
    if numbering is Numbering.NONE or not lane.names.source_watched:
        return ()
    if numbering is Numbering.LANE:
        return (lane.id,)
    together = [item.id for item in lanes if (item.key.source, item.key.channel) == (lane.key.source, lane.key.channel)]
    return tuple(together) if min(together, default=lane.id) == lane.id else ()
