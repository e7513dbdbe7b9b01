"""What is wrong, from what is true now: pure functions from values to findings."""

from seamark.messages.judgement.rules.chains import BEHIND_BLOCKS, judge_chain, judge_curse, judge_gap, judge_malformed
from seamark.messages.judgement.rules.judge import curse_on, judge, judge_lane
from seamark.messages.judgement.rules.timing import STOPPED_MESSAGES

__all__ = [
    "BEHIND_BLOCKS",
    "STOPPED_MESSAGES",
    "curse_on",
    "judge",
    "judge_chain",
    "judge_curse",
    "judge_gap",
    "judge_lane",
    "judge_malformed",
]
