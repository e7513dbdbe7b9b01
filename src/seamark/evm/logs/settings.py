"""How one log stream reads its chain."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StreamSettings"]


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Where to begin, when a block is final, and how much to do at once."""

    start_block: int = 0
    """The first block whose logs are told, when there is no stored position yet."""

    finality_tag: str | None = "finalized"
    """The node's own tag; None uses `finality_depth` alone."""

    finality_depth: int = 64
    """Blocks behind the head that count as final where the node knows no tag. 0 for instant finality."""

    finality_interval_s: float = 0.0
    """How long an answer to "what is final" is good for; 0 asks at each look. Each move of finality is a comparison
    of logs and a unit of work of its own, so with blocks faster than this several become final together."""

    poll_interval_s: float = 1.0
    """Pause between two looks at the head once everything is read."""

    longest_pause_s: float = 5.0
    """Pauses after failed polls double up to this: a node that is back is noticed within seconds, and one that is down
    is not hurt by a question now and then. A node that asks for more patience gets it."""

    max_range: int = 10_000
    """Blocks in one log query over finalized history; the reader splits further by what each endpoint allows."""

    first_range: int = 500
    """The first query's range; it then follows the density of the logs."""

    prefetch: int = 2
    """Ranges that are read ahead while the consumer stores one. Bounds memory together with `max_batch_logs`."""

    max_batch_logs: int = 5_000
    """A batch ends after the block that reaches this many logs."""

    head_range: int = 100
    """Blocks that are followed one by one, header by header; whoever is further behind reads finalized ranges first."""

    suspect_tries: int = 2
    """How often to ask again for blocks whose bloom promises logs that the node does not show."""

    confirm_pause_s: float = 0.2
    """Wait before a doubtful answer (missing logs, a reorg) is asked for again."""

    kept_finalized: int = 64
    """References kept below the finalized block, so that even a reorg past finality is told exactly."""

    def __post_init__(self) -> None:
        positive = ("max_range", "first_range", "prefetch", "max_batch_logs", "head_range")
        for name in positive:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        for name in ("start_block", "finality_depth", "suspect_tries", "kept_finalized"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
