"""What Circle attests of a USDC transfer, for the pool that mints it on the destination.

    the send's transaction -> `MessageSent(bytes message)` of CCTP -> keccak256 -> Circle's API -> attestation
    -> abi.encode((bytes message, bytes attestation)), the `offchainTokenData` of `USDCTokenPool`

Source: `USDCTokenPool.sol` (`MessageAndAttestation`) 1.2 to 1.6; Circle's `GET /v1/attestations/{messageHash}`, which
answers 404 for what it has not seen, else {"status": "complete" | "pending_confirmations", "attestation": "0x…"}.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from seamark.core.ids import Hash32
from seamark.evm.abi import DecodeError, Event, compile_encoder, parse_params
from seamark.evm.crypto import keccak256_hex
from seamark.evm.hexdata import HexError, parse_data
from seamark.evm.types import Receipt

__all__ = ["Attested", "Circle", "burn_messages", "pool_data"]

COMPLETE: Final = "complete"
_MESSAGE_SENT: Final = Event.parse("event MessageSent(bytes message)")
_encode = compile_encoder(parse_params("(bytes message, bytes attestation) data"))

Get = Callable[[str], Awaitable[bytes | None]]


@dataclass(frozen=True, slots=True)
class Attested:
    """`data` is for the pool, None where there is none (yet); `text` says why, in words."""

    data: bytes | None
    text: str = ""


class _Answer(msgspec.Struct, frozen=True):
    status: str
    attestation: str | None = None


_decode = msgspec.json.Decoder(_Answer).decode


def burn_messages(receipt: Receipt) -> list[bytes]:
    """The messages of CCTP that a transaction has sent."""
    found = []
    for log in receipt.logs:
        if log.topics == (_MESSAGE_SENT.topic0,):
            try:
                found.append(bytes(_MESSAGE_SENT.decode(log).message))
            except DecodeError:  # of somebody else, with the same name
                continue
    return found


def pool_data(message: bytes, attestation: bytes) -> bytes:
    """`offchainTokenData` of a USDC transfer."""
    return _encode([(message, attestation)])


class Circle:
    """Asks Circle, or who stands in for it.

    Args:
        base_url: Such as https://iris-api.circle.com.
        get: One GET; None where nothing is there. Raises `TemporaryError`.
    """

    def __init__(self, base_url: str, get: Get) -> None:
        self._base_url = base_url.rstrip("/")
        self._get = get

    async def find(self, receipt: Receipt) -> Attested:
        """For the one USDC transfer of a transaction.

        Raises:
            TemporaryError: Circle does not answer.
        """
        messages = burn_messages(receipt)
        if not messages:
            return Attested(None)
        if len(messages) > 1:
            return Attested(None, "Its transaction has sent several USDC transfers: give their attestations by hand.")
        (message,) = messages
        name = Hash32(keccak256_hex(message))
        body = await self._get(f"{self._base_url}/v1/attestations/{name}")
        if body is None:
            return Attested(None, f"Circle has not seen the USDC transfer {name} yet.")
        try:
            answer = _decode(body)
            if answer.status != COMPLETE or answer.attestation is None:
                return Attested(None, f"Circle has not attested the USDC transfer {name} yet ({answer.status[:40]}).")
            return Attested(pool_data(message, parse_data(answer.attestation)))
        except (msgspec.MsgspecError, HexError):
            return Attested(None, f"What is said of the USDC transfer {name} is no answer of Circle's kind.")
