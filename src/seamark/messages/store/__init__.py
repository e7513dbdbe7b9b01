"""Tables of message tracking, and all that reads and writes them. Plain functions of a SQLAlchemy `Connection`."""

from seamark.messages.store.chains import (
    ChainView,
    mark_complete,
    missing_from,
    note_contracts,
    read_chains,
    read_contracts,
    read_heights,
    save_progress,
)
from seamark.messages.store.lanes import Lane, refresh_lanes
from seamark.messages.store.ledger import LATENCY_BUCKETS_S, Changes, Finality, Ledger
from seamark.messages.store.queries import (
    LaneView,
    MessageDetail,
    MessageFilter,
    MessagePage,
    SightingView,
    TransitionView,
    count_by_stage,
    find_message,
    list_lanes,
    list_messages,
)
from seamark.messages.store.rows import MessageView, Seconds

__all__ = [
    "LATENCY_BUCKETS_S",
    "ChainView",
    "Changes",
    "Finality",
    "Lane",
    "LaneView",
    "Ledger",
    "MessageDetail",
    "MessageFilter",
    "MessagePage",
    "MessageView",
    "Seconds",
    "SightingView",
    "TransitionView",
    "count_by_stage",
    "find_message",
    "list_lanes",
    "list_messages",
    "mark_complete",
    "missing_from",
    "note_contracts",
    "read_chains",
    "read_contracts",
    "read_heights",
    "refresh_lanes",
    "save_progress",
]
