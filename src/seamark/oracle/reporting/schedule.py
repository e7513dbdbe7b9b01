"""Who leads an epoch and who transmits a round, and when: the same on every node, and known to nobody else beforehand.

Everything comes from one secret of 16 bytes that the nodes share. The permutation is Go's `rand.Shuffle` over a stream
of AES-128-CTR, because the nodes of a network must agree to the bit, and other implementations have it so.

Source: libocr `internal/ocr2/protocol` and `subprotocols/permutation` (MIT); Go 1.19 `math/rand`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from seamark.evm.crypto import keccak256

__all__ = ["Schedule", "permutation"]

KEY_BYTES: Final = 16
_LEADER_KEY: Final = b"chainlink offchain reporting v1 leader selection key"
_ORDER_KEY: Final = b"chainlink offchain reporting v1 transmission order key"
_INT63: Final = (1 << 63) - 1
_WORD32: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Schedule:
    """Leaders and turns to transmit of a network of `n` nodes. Its keys are secrets of the network."""

    n: int
    leader_key: bytes
    order_key: bytes

    @classmethod
    def from_secret(cls, secret: bytes, n: int) -> Schedule:
        """Both keys from the secret that the nodes share."""
        return cls(n, keccak256(secret + _LEADER_KEY)[:KEY_BYTES], keccak256(secret + _ORDER_KEY)[:KEY_BYTES])

    def __repr__(self) -> str:
        return f"Schedule(n={self.n})"

    def leader(self, epoch: int) -> int:
        """The index of the node that leads an epoch."""
        number = int.from_bytes(keccak256(self.leader_key + epoch.to_bytes(8, "little")), "big")
        return number % self.n

    def delays(self, digest: bytes, epoch: int, round_: int, stages: Sequence[int], delta_stage: int) -> dict[int, int]:
        """Node -> how long it waits before it transmits, in the unit of `delta_stage`; who is missing never does.

        `stages` says how many nodes have their turn in each stage; what is beyond `n` is nobody.
        """
        seed = self.order_key + digest + epoch.to_bytes(8, "little") + round_.to_bytes(8, "little")
        place_of = permutation(self.n, keccak256(seed)[:KEY_BYTES])
        in_order = sorted(range(self.n), key=place_of.__getitem__)
        turns = [stage for stage, size in enumerate(stages) for _ in range(min(size, self.n))][: self.n]
        return {node: stage * delta_stage for node, stage in zip(in_order, turns, strict=False)}


def permutation(n: int, key: bytes) -> list[int]:
    """The numbers below `n`, shuffled by a key of 16 bytes."""
    items = list(range(n))
    stream = _Stream(key)
    for last in range(n - 1, 0, -1):
        other = stream.below(last + 1)
        items[last], items[other] = items[other], items[last]
    return items


class _Stream:
    """Go's `rand.Rand` over AES-128-CTR with a zero IV, as far as `Shuffle` of fewer than 2**31 items needs it."""

    __slots__ = ("_encrypt",)

    def __init__(self, key: bytes) -> None:
        self._encrypt = Cipher(AES(key), CTR(bytes(16))).encryptor()

    def below(self, n: int) -> int:
        """Lemire's bounded number on 32 bits, as `Rand.int31n` has it."""
        product = self._uint32() * n
        low = product & _WORD32
        if low < n:
            threshold = (-n & _WORD32) % n
            while low < threshold:
                product = self._uint32() * n
                low = product & _WORD32
        return product >> 32

    def _uint32(self) -> int:
        return (int.from_bytes(self._encrypt.update(bytes(8)), "little") & _INT63) >> 31
