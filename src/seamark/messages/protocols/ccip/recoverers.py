"""Which generations of CCIP can be recovered, by the beginning of a message's version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seamark.core.errors import RejectedError
from seamark.core.ids import Hash32
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


def ccip_recovery(
    proofs: Sequence[ProofSource] = (), token_data: Mapping[Hash32, tuple[bytes, ...]] | None = None
) -> CcipRecovery:
    """All generations.

    Args:
        proofs: Where the verifier results of 2.0 may be found, beside the chain itself.
        token_data: `offchainTokenData` for the tokens of messages before 2.0, by message id; may grow later.
    """
    given = {} if token_data is None else token_data

    def make_v2_0(case: Case, source: ExecutionChain | None, destination: ExecutionChain) -> Recoverer:
        if case.id in given:
            raise RejectedError(
                f"message {case.id} is of CCIP 2.0, where attestations come with what its verifiers say",
                remedy="give --verifier-results or --indexer instead",
            )
        return RecoveryV20(source, destination, proofs)

    makers = {prefix: _maker(generation, given) for prefix, generation in _COMMITTING.items()}
    return CcipRecovery({**makers, "2.0.": make_v2_0})


def _maker(generation: RampGeneration, token_data: Mapping[Hash32, tuple[bytes, ...]]) -> Maker:
    def make(_case: Case, source: ExecutionChain | None, destination: ExecutionChain) -> Recoverer:
        return RampRecoverer(generation, source, destination, token_data)

    return make
