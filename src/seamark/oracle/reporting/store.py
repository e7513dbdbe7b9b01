"""What a node must not forget, on disk: one row per configuration and node. (The interface; the body follows.)"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

__all__ = ["Place", "forget_superseded"]


@dataclass(frozen=True, slots=True)
class Place:
    """Whose memory: the contract ("31337:0xabc…"), the configuration's digest of 32 bytes, the index of the node."""

    contract: str
    digest: bytes
    node: int


def forget_superseded(connection: Connection, contract: str, digest: bytes) -> int:
    """Delete what belongs to other configurations of this contract; call it once the block of `ConfigSet` is final.

    Not before: a reorg may bring the older configuration back, and a node that has forgotten would sign again.
    """
    raise NotImplementedError
