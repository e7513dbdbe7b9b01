"""What is normal, what is late, what is missing: from the ledger to findings."""

from seamark.messages.judgement.explain import explain, is_late, limit_of
from seamark.messages.judgement.model import Curse, LaneProfile, Limit, Percentiles
from seamark.messages.judgement.settings import JudgeSettings, MessagesSettings
from seamark.messages.judgement.store import read_curses, read_profile, read_profiles

__all__ = [
    "Curse",
    "JudgeSettings",
    "LaneProfile",
    "Limit",
    "MessagesSettings",
    "Percentiles",
    "explain",
    "is_late",
    "limit_of",
    "read_curses",
    "read_profile",
    "read_profiles",
]
