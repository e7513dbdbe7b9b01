"""Messages executed by hand: who may, when, with how much gas, and what it would do.

    ledger -> `Case` -> `Recoverer.standing` -> `rules.judge` -> `Recoverer.trial` -> `Recoverer.build` -> transaction

The ledger says where a message is; the destination's own contracts say whether it may be executed now, and a trial run
on them says what would come of it. Nothing here signs or sends.
"""

from seamark.messages.recovery.model import (
    Answer,
    Case,
    CommittedRoot,
    ExecutionState,
    Gas,
    ManualCall,
    Place,
    Standing,
    Trial,
    Verdict,
)
from seamark.messages.recovery.port import ExecutionChain, Recoverer, RecoveryProtocol

__all__ = [
    "Answer",
    "Case",
    "CommittedRoot",
    "ExecutionChain",
    "ExecutionState",
    "Gas",
    "ManualCall",
    "Place",
    "Recoverer",
    "RecoveryProtocol",
    "Standing",
    "Trial",
    "Verdict",
]
