"""What can go wrong between a stream, its node and its consumer."""

from __future__ import annotations

from seamark.core.errors import StopError, TemporaryError

__all__ = ["ChainMismatchError", "InconsistentReplyError", "PositionMovedError", "UnsavedBatchError"]


class InconsistentReplyError(TemporaryError):
    """Two answers do not belong to one chain, mostly because a reorg ran between them. Nothing is told; ask again."""


class PositionMovedError(TemporaryError):
    """The stored position is not the one this batch continues from: another process follows the same stream."""


class UnsavedBatchError(RuntimeError):
    """A consumer asked for the next batch without having called `save` for the last one: a defect of the consumer."""


class ChainMismatchError(StopError):
    """The chain changed below what was taken as final, deeper than the kept references reach."""
