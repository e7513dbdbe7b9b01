"""Keys that stay elsewhere: what Web3Signer, AWS KMS and Google Cloud KMS have in common.

    preimage ──► request ──► (r, s) ──► low s, parity by the known address ──► signature

Invariant: nothing leaves here that does not recover to the address known from the start. The address is read from the
service when it is opened, compared with the settings', and a harmless text is signed once, so that a missing permission
shows before the first price does.

Signing the same bytes twice is harmless, so a request without an answer is simply repeated.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from seamark.core.errors import RejectedError, SettingsError, TemporaryError
from seamark.core.ids import Address
from seamark.evm.address import to_checksum
from seamark.evm.crypto import keccak256
from seamark.evm.signers.ecdsa import with_parity
from seamark.runtime.clock import Clock
from seamark.runtime.http_exchange import HttpReply, HttpRequest, HttpSession, exchange

__all__ = ["Backend", "Line", "RemoteSigner", "is_busy", "open_remote", "said"]

TRIES: Final = 3
PAUSE_S: Final = 0.1  # before the second try; twice as long before each further one
LONGEST_PAUSE_S: Final = 2.0  # a service that asks for more is asked again by whoever wants the signature
AGAIN_S: Final = 1.0  # between tries at the start
PROBE: Final = b"seamark: may this key be used?"  # no transaction or report begins like this
MAX_WORDS: Final = 200  # characters of the other side's words that an error keeps

log = structlog.get_logger("seamark.evm.signers")

_BUSY: Final = frozenset({429, 500, 502, 503, 504})


class Backend(Protocol):
    """One service with one key."""

    @property
    def title(self) -> str:
        """The setting, for errors."""
        ...

    async def address(self) -> Address:
        """Asked of the service."""
        ...

    async def signature(self, preimage: bytes, digest: bytes) -> tuple[int, int]:
        """(r, s) over the digest, which is keccak256 of the preimage; either s."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """How a service is reached: tries again what may succeed, and says which setting it is about.

    `title` is the setting and the host.
    """

    session: HttpSession
    clock: Clock
    title: str
    timeout_s: float
    tls: ssl.SSLContext | None = None

    async def ask(
        self,
        make: Callable[[], Awaitable[HttpRequest]],
        busy: Callable[[HttpReply], bool] | None = None,
    ) -> HttpReply:
        """The first answer that is not "busy", or the last one that is. `make` is asked before each try: signatures
        over the time grow old.

        Raises:
            TemporaryError: The last try got no answer.
        """
        pause = PAUSE_S
        for number in range(1, TRIES + 1):
            try:
                request = await make()
                reply = await exchange(self.session, request, timeout_s=self.timeout_s, tls=self.tls)
                if number == TRIES or not (busy or is_busy)(reply):
                    return reply
                wait = reply.retry_after_s or 0.0
            except TemporaryError as error:
                if number == TRIES:
                    raise self.refusal(error.message, error.remedy) from error
                wait = 0.0
            await self.clock.sleep(min(max(pause, wait), LONGEST_PAUSE_S))
            pause *= 2
        raise AssertionError  # the last try returned or raised

    def refusal(self, problem: str, remedy: str) -> TemporaryError:
        """Temporary: a person can mend it while we run, and the next try shows."""
        return TemporaryError(f"{self.title}: {problem}", remedy=remedy or "check its address, and whether it runs")


class RemoteSigner:
    """`evm.ports.Signer` on top of a service."""

    __slots__ = ("_backend", "address")

    def __init__(self, backend: Backend, address: Address) -> None:
        self._backend = backend
        self.address = address

    async def sign(self, preimage: bytes) -> tuple[int, int, int]:
        """(y parity, r, s) over keccak256 of the bytes.

        Raises:
            TemporaryError: The service does not answer, refuses, or signs with another key; names the setting.
        """
        digest = keccak256(preimage)
        r, s = await self._backend.signature(preimage, digest)
        try:
            return with_parity(digest, r, s, self.address)
        except TemporaryError as error:
            raise TemporaryError(f"{self._backend.title}: {error.message}", remedy=error.remedy) from error

    def __repr__(self) -> str:
        return f"RemoteSigner({self._backend.title}, {self.address})"


async def open_remote(
    backend: Backend, expected: Address | None, setting: str, *, clock: Clock, patience_s: float
) -> RemoteSigner:
    """Ask the service for the address, compare, and sign a text once.

    Args:
        backend: The service.
        expected: Whose key it must be; None: any.
        setting: How errors name it.
        clock: Time.
        patience_s: How long to go on asking a service that does not answer or refuses: it may be starting itself.

    Raises:
        SettingsError: It does not answer or refuses, or its key is not the expected one.
    """
    give_up = clock.monotonic() + patience_s
    told = False
    while True:
        try:
            return await _tried(backend, expected, setting)
        except RejectedError as error:
            raise SettingsError(setting, _after(error.message, backend), remedy=error.remedy) from error
        except TemporaryError as error:
            if clock.monotonic() + AGAIN_S > give_up:
                raise SettingsError(setting, _after(error.message, backend), remedy=error.remedy) from error
            if not told:
                log.warning("waiting for a signer", setting=setting, reason=str(error), at_most_s=patience_s)
                told = True
        await clock.sleep(AGAIN_S)


async def _tried(backend: Backend, expected: Address | None, setting: str) -> RemoteSigner:
    address = await backend.address()
    if expected is not None and address != expected:
        problem = f"the key there is {to_checksum(address)}, not {to_checksum(expected)}"
        raise SettingsError(f"{setting}.address", problem, remedy="name the right key, or correct the address")
    signer = RemoteSigner(backend, address)
    await signer.sign(PROBE)
    return signer


def _after(message: str, backend: Backend) -> str:
    """Without the title that the setting repeats."""
    return message.removeprefix(f"{backend.title}: ")


def said(text: str) -> str:
    """The other side's words, on one line and short."""
    return " ".join(text.split())[:MAX_WORDS]


def is_busy(reply: HttpReply) -> bool:
    """Whether the same request may succeed a moment later."""
    return reply.status in _BUSY
