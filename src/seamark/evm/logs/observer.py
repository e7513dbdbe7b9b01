"""What a log stream tells about itself, for metrics and logs. Callbacks are plain, quick and must not raise."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from seamark.core.errors import SeamarkError

__all__ = ["Doubt", "SilentObserver", "StreamObserver"]


class Doubt(StrEnum):
    """Why a node's answer was asked for again."""

    MISSING_LOGS = "missing_logs"  # the bloom promised logs, the node showed none, a second answer had them
    FALSE_BLOOM = "false_bloom"  # the bloom promised logs and every answer showed none: taken as chance
    SHORT_ANSWER = "short_answer"  # at finality the node showed fewer logs than were told at the head


class StreamObserver(Protocol):
    """Sees what one stream does."""

    def told(self, blocks: int, logs: int) -> None:
        """A batch with so many blocks and logs was stored."""
        ...

    def reorg(self, depth: int) -> None:
        """So many blocks that were told left the chain."""
        ...

    def gap_healed(self, logs: int) -> None:
        """Logs that were missing at the head were found and told at finality."""
        ...

    def doubted(self, why: Doubt, blocks: int) -> None: ...

    def position(self, head: int, told: int, finalized: int) -> None:
        """Block numbers after each poll; `head - told` is the lag."""
        ...

    def poll_failed(self, error: SeamarkError) -> None:
        """Nothing was told; the poll is tried again."""
        ...


class SilentObserver:
    """Ignores everything; a base for observers that want only some of it."""

    def told(self, blocks: int, logs: int) -> None:
        pass

    def reorg(self, depth: int) -> None:
        pass

    def gap_healed(self, logs: int) -> None:
        pass

    def doubted(self, why: Doubt, blocks: int) -> None:
        pass

    def position(self, head: int, told: int, finalized: int) -> None:
        pass

    def poll_failed(self, error: SeamarkError) -> None:
        pass
