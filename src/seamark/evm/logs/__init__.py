"""The log stream: one chain's wanted logs as `Block | Finalized | Reorg`, exactly once, over restarts and reorgs."""

from seamark.evm.logs.errors import ChainMismatchError, InconsistentReplyError, PositionMovedError, UnsavedBatchError
from seamark.evm.logs.observer import Doubt, SilentObserver, StreamObserver
from seamark.evm.logs.settings import StreamSettings
from seamark.evm.logs.stream import Batch, LogStream

__all__ = [
    "Batch",
    "ChainMismatchError",
    "Doubt",
    "InconsistentReplyError",
    "LogStream",
    "PositionMovedError",
    "SilentObserver",
    "StreamObserver",
    "StreamSettings",
    "UnsavedBatchError",
]
