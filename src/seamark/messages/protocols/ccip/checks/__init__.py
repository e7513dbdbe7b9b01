"""What view calls tell of CCIP's health: routers, lanes, curses, fees, money, limits. Asked on a timer and by
`seamark ccip check`.
"""

from seamark.messages.protocols.ccip.checks.model import (
    Bucket,
    ChainCheck,
    LaneCheck,
    PoolCheck,
    PriceCheck,
    Quote,
    SenderCheck,
    SourceCheck,
)
from seamark.messages.protocols.ccip.checks.reads import Chain, check_chain
from seamark.messages.protocols.ccip.checks.rules import judge_chain
from seamark.messages.protocols.ccip.checks.settings import ChecksSettings, PoolSettings, SenderSettings

__all__ = [
    "Bucket",
    "Chain",
    "ChainCheck",
    "ChecksSettings",
    "LaneCheck",
    "PoolCheck",
    "PoolSettings",
    "PriceCheck",
    "Quote",
    "SenderCheck",
    "SenderSettings",
    "SourceCheck",
    "check_chain",
    "judge_chain",
]
