"""Questions to the ledger that judging asks, and what it remembers of the answers."""

from seamark.messages.judgement.store.counters import (
    Place,
    commit_hole,
    highest_commit,
    highest_sent,
    lanes_of_counter,
    missing_commits,
    missing_sends,
    neighbours,
)
from seamark.messages.judgement.store.lanes import (
    judged_lanes,
    read_checks,
    read_curses,
    read_profile,
    read_profiles,
    save_check,
    save_profile,
)
from seamark.messages.judgement.store.looks import (
    COUNTED,
    count_late,
    eligible,
    failed_by_reason,
    last_commit,
    stage_edges,
)
from seamark.messages.judgement.store.studies import (
    blocked_senders,
    check_sequences,
    last_sent,
    longest_pause,
    odd_ones,
    rates,
    window,
)

__all__ = [
    "COUNTED",
    "Place",
    "blocked_senders",
    "check_sequences",
    "commit_hole",
    "count_late",
    "eligible",
    "failed_by_reason",
    "highest_commit",
    "highest_sent",
    "judged_lanes",
    "lanes_of_counter",
    "last_commit",
    "last_sent",
    "longest_pause",
    "missing_commits",
    "missing_sends",
    "neighbours",
    "odd_ones",
    "rates",
    "read_checks",
    "read_curses",
    "read_profile",
    "read_profiles",
    "save_check",
    "save_profile",
    "stage_edges",
    "window",
]
