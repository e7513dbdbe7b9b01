"""How long a source chain typically takes until CCIP's oracle network treats a message as final.

That time is part of every message's way and has nothing to do with its lane's health, so thresholds begin after it.
What is measured on a lane is better than this table; it is what holds until then.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

import msgspec

from seamark.messages.protocol import Profile

__all__ = ["INSTANT_S", "finality_profile", "published_finality"]

INSTANT_S = 10.0
"""Seconds. A source that is final so soon needs no patience of its own beside the minutes of commit and execution."""


@lru_cache(maxsize=1)
def published_finality() -> dict[int, float]:
    """Seconds by EIP-155 chain id, as shipped with Seamark."""
    document = msgspec.json.decode((files(__package__) / "data" / "finality.json").read_bytes())
    return {int(chain_id): float(seconds) for chain_id, seconds in document["chains"]}


def finality_profile(chain_id: int | None) -> Profile:
    """What is normal on a lane from this chain; an unknown one for a chain that is not in the table."""
    seconds = None if chain_id is None else published_finality().get(chain_id)
    return Profile(finality_s=seconds, instant=seconds is not None and seconds <= INSTANT_S)
