"""Which generations of CCIP can be recovered, by the beginning of a message's version."""

from __future__ import annotations

from seamark.messages.protocols.ccip.recovery import CcipRecovery, Maker, RampGeneration, RampRecoverer
from seamark.messages.protocols.ccip.v1_2.recovery import RAMPS as V1_2
from seamark.messages.protocols.ccip.v1_5.recovery import RAMPS as V1_5
from seamark.messages.protocols.ccip.v1_6.recovery import RAMPS as V1_6
from seamark.messages.recovery.model import Case
from seamark.messages.recovery.port import ExecutionChain, Recoverer

__all__ = ["ccip_recovery"]

_COMMITTING: dict[str, RampGeneration] = {"1.2.": V1_2, "1.5.": V1_5, "1.6.": V1_6}


def ccip_recovery() -> CcipRecovery:
    """All generations."""
    return CcipRecovery({prefix: _maker(generation) for prefix, generation in _COMMITTING.items()})


def _maker(generation: RampGeneration) -> Maker:
    def make(_case: Case, source: ExecutionChain | None, destination: ExecutionChain) -> Recoverer:
        return RampRecoverer(generation, source, destination)

    return make
