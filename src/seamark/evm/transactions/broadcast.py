"""Signing attempts and handing bytes to a node."""

from __future__ import annotations

import structlog

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address, ChainId
from seamark.evm.ports import Intent, Signer
from seamark.evm.transactions.book import Book
from seamark.evm.transactions.encoding import Unsigned, transaction_hash
from seamark.evm.transactions.errors import Refusal, refusal_of
from seamark.evm.transactions.model import Attempt, Entry, Fees
from seamark.evm.transactions.ports import ChainWriter, Observer, Refused
from seamark.runtime.clock import Clock

__all__ = ["Broadcaster", "SigningDesk"]

log = structlog.get_logger("seamark.evm.transactions")

_NEEDS_FEES = frozenset({Refusal.UNDERPRICED, Refusal.REPLACEMENT_UNDERPRICED})
_TRY_SOON = frozenset({Refusal.UNAVAILABLE, Refusal.NONCE_TOO_HIGH})


class SigningDesk:
    """Turns what is wanted into an attempt. Keeps the newest head, which every attempt notes."""

    def __init__(self, chain_id: ChainId, signer: Signer, clock: Clock) -> None:
        self._chain_id = chain_id
        self._signer = signer
        self._clock = clock
        self.head = 0

    @property
    def address(self) -> Address:
        return self._signer.address

    def now_ms(self) -> int:
        return int(self._clock.now() * 1000)

    async def attempt(self, nonce: int, intent: Intent, gas: int, fees: Fees) -> Attempt:
        """Sign; nothing is sent."""
        unsigned = Unsigned(self._chain_id, nonce, intent.to, intent.data, intent.value, gas, fees)
        raw = unsigned.signed(*await self._signer.sign(unsigned.preimage()))
        return Attempt(transaction_hash(raw), raw, fees, self.now_ms(), self.head)


class Broadcaster:
    """Sends the newest bytes of an entry, and notes what the node said."""

    def __init__(self, chain: ChainWriter, book: Book, desk: SigningDesk, observer: Observer) -> None:
        self._chain = chain
        self._book = book
        self._desk = desk
        self._observer = observer

    async def send(self, entry: Entry) -> tuple[Refusal, Exception] | None:
        """Hand over the bytes. None: a node has them (or had them before)."""
        nonce = entry.nonce
        self._book.sent_ms[nonce] = self._desk.now_ms()
        try:
            await self._chain.send_raw(entry.last.raw)
        except (TemporaryError, RejectedError) as error:
            refusal = refusal_of(error)
            if refusal is not Refusal.ALREADY_KNOWN:
                self._refused(entry, refusal, error)
                return refusal, error
        self._book.refusals.pop(nonce, None)
        self._book.accept(entry)
        return None

    def _refused(self, entry: Entry, refusal: Refusal, error: Exception) -> None:
        if refusal in _TRY_SOON:
            self._book.sent_ms.pop(entry.nonce, None)
        if self._book.slot(entry.nonce) is None:
            return  # settled meanwhile
        if self._book.refusals.get(entry.nonce) is not refusal and refusal is not Refusal.NONCE_TOO_LOW:
            log.warning(
                "transaction not taken", key=entry.key, nonce=entry.nonce, reason=refusal.value, error=str(error)
            )
            self._observer(Refused(entry.key, entry.nonce, refusal.value))
        self._book.refusals[entry.nonce] = refusal

    def needs_fees(self, nonce: int) -> bool:
        """Whether a node called the newest bytes underpriced."""
        return self._book.refusals.get(nonce) in _NEEDS_FEES
