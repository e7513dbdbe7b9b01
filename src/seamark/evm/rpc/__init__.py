"""JSON-RPC: one chain over several distrusted endpoints."""

from seamark.evm.rpc.chain import Chain
from seamark.evm.rpc.health import chain_health
from seamark.evm.rpc.observer import RpcObserver, SilentObserver
from seamark.evm.rpc.wire import FeeHistory

__all__ = ["Chain", "FeeHistory", "RpcObserver", "SilentObserver", "chain_health"]
