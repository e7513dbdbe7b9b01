"""The generations that are there, and which of them serves a contract.

A new one is its folder and its line in `GENERATIONS`.
"""

from __future__ import annotations

from seamark.messages.model import Contract
from seamark.messages.protocols.ccip.applications import ApplicationFamily
from seamark.messages.protocols.ccip.generation import Generation
from seamark.messages.protocols.ccip.risk import RiskFamily
from seamark.messages.protocols.ccip.router import RouterFamily
from seamark.messages.protocols.ccip.v1_2.generation import GENERATION as V1_2
from seamark.messages.protocols.ccip.v1_5.generation import GENERATION as V1_5
from seamark.messages.protocols.ccip.v1_6.generation import GENERATION as V1_6
from seamark.messages.protocols.ccip.v2_0.generation import GENERATION as V2_0

__all__ = ["GENERATIONS", "generation_of", "generation_of_type"]

GENERATIONS: tuple[Generation, ...] = (
    RouterFamily(),
    RiskFamily(),
    ApplicationFamily(),
    V1_2,
    V1_5,
    V1_6,
    V2_0,
)


def generation_of_type(kind: str, version: str) -> tuple[Generation, str] | None:
    """Who serves the contracts of a `typeAndVersion`, and the role these have; None for nobody."""
    for generation in GENERATIONS:
        for prefix, role in generation.serves.items():
            if f"{kind} {version}".startswith(prefix):
                return generation, role
    return None


def generation_of(contract: Contract) -> Generation | None:
    """Who serves an identified contract."""
    for generation in GENERATIONS:
        for prefix, role in generation.serves.items():
            if role == contract.role and contract.version.startswith(prefix.partition(" ")[2]):
                return generation
    return None
