"""What services are called on the command line, in health, and in metrics."""

from __future__ import annotations

from typing import Final

__all__ = ["API", "CCIP_MONITOR", "HYPERLANE_MONITOR", "INTEROP_MONITOR", "ORACLE", "SERVICES"]

ORACLE: Final = "oracle"
CCIP_MONITOR: Final = "ccip-monitor"
HYPERLANE_MONITOR: Final = "hyperlane-monitor"
INTEROP_MONITOR: Final = "interop-monitor"
API: Final = "api"
SERVICES: Final = (ORACLE, CCIP_MONITOR, HYPERLANE_MONITOR, INTEROP_MONITOR, API)
