"""Which generations of CCIP can be recovered, by the beginning of a message's version."""

from __future__ import annotations

from collections.abc import Sequence

from seamark.messages.protocols.ccip.recovery import CcipRecovery, Maker, RampGeneration, RampRecoverer
from seamark.messages.protocols.ccip.v1_2.recovery import RAMPS as V1_2
from seamark.messages.protocols.ccip.v1_5.recovery import RAMPS as V1_5
from seamark.messages.protocols.ccip.v1_6.recovery import RAMPS as V1_6
from seamark.messages.protocols.ccip.v2_0.proofs import ProofSource
from seamark.messages.protocols.ccip.v2_0.recovery import Recovery as RecoveryV20
from seamark.messages.recovery.model import Case
from seamark.messages.recovery.port import ExecutionChain, Recoverer

__all__ = ["ccip_recovery"]

_COMMITTING: dict[str, RampGeneration] = {"1.2.": V1_2, "1.5.": V1_5, "1.6.": V1_6}


def ccip_recovery(proofs: Sequence[ProofSource] = ()) -> CcipRecovery:
    """All generations. `proofs` are where the verifier results of 2.0 may be found, beside the chain itself."""

    def make_v2_0(_case: Case, source: ExecutionChain | None, destination: ExecutionChain) -> Recoverer:
        return RecoveryV20(source, destination, proofs)

    makers = {prefix: _maker(generation) for prefix, generation in _COMMITTING.items()}
    return CcipRecovery({**makers, "2.0.": make_v2_0})


def _maker(generation: RampGeneration) -> Maker:
    def make(_case: Case, source: ExecutionChain | None, destination: ExecutionChain) -> Recoverer:
        return RampRecoverer(generation, source, destination)

    return make
