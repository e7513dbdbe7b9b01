"""CCIP 2.0: has a message been verified? Its verifiers say so off chain, and the destination decides whom it needs.

    an indexer's answer -> what each verifier said
    OffRamp.getCCVsForMessage -> required verifiers, and so many of the optional ones
    all there, and the contracts accept what they said (an `eth_call`) -> verified, as of the last word

An indexer is not believed: what it gives counts when the contracts at the destination take it. Source: `OffRamp.sol`
2.0.0, `_ensureCCVQuorumIsReached`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seamark.core.errors import RejectedError
from seamark.core.ids import Address, Hash32
from seamark.evm.contract import Contract as Reader
from seamark.evm.hexdata import HexError, parse_data
from seamark.evm.rpc.errors import CallReverted
from seamark.messages.model import Sent, Verified
from seamark.messages.protocols.ccip.generation import account
from seamark.messages.protocols.ccip.v2_0 import events
from seamark.messages.protocols.ccip.v2_0.codec import MessageError, decode_message, message_id
from seamark.messages.protocols.ccip.v2_0.proofs import Proof, Said
from seamark.messages.protocols.ccip.v2_0.recovery import refusal_of
from seamark.messages.recovery.port import ExecutionChain

__all__ = ["Needed", "encoded_of", "missing", "proof_of", "verify"]


@dataclass(frozen=True, slots=True)
class Needed:
    """Whom the destination needs: all `required`, and `threshold` of the `optional`."""

    required: tuple[Address, ...]
    optional: tuple[Address, ...] = ()
    threshold: int = 0

    @property
    def count(self) -> int:
        return len(self.required) + self.threshold


def encoded_of(told: Sent, name: Hash32) -> bytes | None:
    """A message's bytes as the ledger has kept them; None where they are not this message's."""
    try:
        encoded = parse_data(told.details.get("envelope")) + parse_data(told.details.get("data"))
    except HexError:
        return None
    return encoded if message_id(encoded) == name else None


def missing(needed: Needed, said: Sequence[Said]) -> int:
    """How many more must speak."""
    spoke = {item.ccv for item in said}
    required = sum(ccv not in spoke for ccv in needed.required)
    return required + max(needed.threshold - sum(ccv in spoke for ccv in needed.optional), 0)


def proof_of(needed: Needed, said: Sequence[Said]) -> Proof:
    """What the OffRamp takes: the required verifiers and as many of the others as it needs, no more."""
    by_ccv = {item.ccv: item for item in said}
    chosen = [by_ccv[ccv] for ccv in needed.required]
    chosen += [by_ccv[ccv] for ccv in needed.optional if ccv in by_ccv][: needed.threshold]
    return Proof(tuple(item.ccv for item in chosen), tuple(item.result for item in chosen))


async def verify(
    chain: ExecutionChain, name: Hash32, encoded: bytes, said: Sequence[Said], *, now: int
) -> Verified | str:
    """Judge what verifiers said of a message: it is verified, or why not yet.

    Args:
        chain: The destination.
        now: Seconds, the time of words that tell none.

    Raises:
        TemporaryError: The chain does not answer.
    """
    try:
        message = decode_message(encoded)
        off_ramp = Address(account(message.off_ramp))
        answer = await Reader(chain, off_ramp, events.OFF_RAMP).read("getCCVsForMessage", encoded)
    except MessageError as error:
        return str(error)
    except CallReverted:
        return "the destination does not take messages of this source"
    needed = Needed(tuple(answer.requiredCCVs), tuple(answer.optionalCCVs), answer.threshold)
    if lacking := missing(needed, said):
        return f"{needed.count - lacking} of {needed.count} verifiers have spoken"
    proof = proof_of(needed, said)
    try:
        refusal = await refusal_of(chain, off_ramp, name, message, proof)
    except RejectedError as error:
        refusal = error.message
    if refusal:
        return refusal
    spoke = [item for item in said if item.ccv in proof.ccvs]
    return Verified(name, max((item.time or now for item in spoke), default=now), _details(needed, spoke, said))


def _details(needed: Needed, spoke: Sequence[Said], said: Sequence[Said]) -> dict[str, Any]:
    return {
        "needed": needed.count,
        "spoke": len(said),
        "verifiers": [{"ccv": item.ccv, "name": item.name, "time": item.time} for item in spoke],
    }
