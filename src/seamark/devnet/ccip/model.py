"""Values of the oracle network's work: what it committed, what it executed."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from seamark.core.ids import Hash32
from seamark.devnet.ccip.ramp_messages import RampMessage

__all__ = ["Execution", "ExecutionState", "Root"]


class ExecutionState(IntEnum):
    """`Internal.MessageExecutionState`."""

    UNTOUCHED = 0
    IN_PROGRESS = 1
    SUCCESS = 2
    FAILURE = 3


@dataclass(slots=True)
class Root:
    """A committed root and its messages; `waiting` are those that are not executed yet."""

    first: int
    last: int
    leaves: tuple[bytes, ...]
    messages: tuple[RampMessage, ...]
    seen_at: float
    waiting: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Execution:
    """What became of one message in an execution."""

    message: RampMessage
    state: ExecutionState
    transaction: Hash32
