"""Transactions: journal before broadcast, fees, nonces, replacement, recovery, reorgs."""

from seamark.evm.transactions.fees import FeePolicy
from seamark.evm.transactions.ports import ChainWriter, Event, Observer
from seamark.evm.transactions.rules import Patience
from seamark.evm.transactions.sender import CannotReplace, Sender
from seamark.evm.transactions.settings import SenderSettings
from seamark.evm.transactions.spending import OverBudget

__all__ = [
    "CannotReplace",
    "ChainWriter",
    "Event",
    "FeePolicy",
    "Observer",
    "OverBudget",
    "Patience",
    "Sender",
    "SenderSettings",
]
