"""From quotes to an answer: pure functions of values, one idea per module.

    quotes --quotes (each by itself)--> windows (per-venue averages) --> filters (outliers) --> middle --> Answer
                                                              steps (circuit breaker) <-- decide (oracle.rules)

All arithmetic is exact until the one rounding to the feed's decimals, half to even.
"""

from seamark.oracle.aggregation.aggregate import aggregate
from seamark.oracle.aggregation.filters import outliers
from seamark.oracle.aggregation.quotes import check_content, check_quote, follow_streaks, is_frozen
from seamark.oracle.aggregation.statistics import median, weighted_median
from seamark.oracle.aggregation.steps import follow_jump, is_held
from seamark.oracle.aggregation.windows import follow_window

__all__ = [
    "aggregate",
    "check_content",
    "check_quote",
    "follow_jump",
    "follow_streaks",
    "follow_window",
    "is_frozen",
    "is_held",
    "median",
    "outliers",
    "weighted_median",
]
