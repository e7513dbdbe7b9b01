"""Tables of message tracking, and all that reads and writes them. Plain functions of a SQLAlchemy `Connection`."""

from seamark.messages.store.books import LATENCY_BUCKETS_S, Changes
from seamark.messages.store.chains import (
    ChainView,
    read_chains,
    read_contracts,
    read_heights,
    save_contracts,
    save_progress,
)
from seamark.messages.store.lanes import Lane, all_lanes, lane_labels, refresh_lanes
from seamark.messages.store.ledger import Finality, Ledger, take_turn
from seamark.messages.store.lists import Flag, LateRange, MessageFilter, MessagePage, list_messages
from seamark.messages.store.notices import NoticeView, list_notices, open_curses
from seamark.messages.store.queries import (
    LaneView,
    Late,
    MessageDetail,
    SightingView,
    TallyRow,
    TransitionView,
    count_by_stage,
    find_message,
    late,
    list_lanes,
    read_tallies,
)
from seamark.messages.store.rows import MessageView, Seconds
from seamark.messages.store.verifications import VerificationView, record_verified, unverified

__all__ = [
    "LATENCY_BUCKETS_S",
    "ChainView",
    "Changes",
    "Finality",
    "Flag",
    "Lane",
    "LaneView",
    "Late",
    "LateRange",
    "Ledger",
    "MessageDetail",
    "MessageFilter",
    "MessagePage",
    "MessageView",
    "NoticeView",
    "Seconds",
    "SightingView",
    "TallyRow",
    "TransitionView",
    "VerificationView",
    "all_lanes",
    "count_by_stage",
    "find_message",
    "lane_labels",
    "late",
    "list_lanes",
    "list_messages",
    "list_notices",
    "open_curses",
    "read_chains",
    "read_contracts",
    "read_heights",
    "read_tallies",
    "record_verified",
    "refresh_lanes",
    "save_contracts",
    "save_progress",
    "take_turn",
    "unverified",
]
