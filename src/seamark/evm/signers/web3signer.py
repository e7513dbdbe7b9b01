"""Web3Signer (Consensys), eth1 mode, by its REST interface.

    GET  /api/v1/eth1/publicKeys      ["0x…64 bytes…", …]
    POST /api/v1/eth1/sign/{key}      {"data": "0x…"}  ->  0x, 65 bytes: r, s, v (27 or 28)

It signs keccak256 of the data, so it is given the preimage. https://docs.web3signer.consensys.io/reference/api/rest
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import msgspec

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address
from seamark.evm.address import to_checksum
from seamark.evm.signer_settings import Web3SignerSettings
from seamark.evm.signers.ecdsa import address_of_point
from seamark.evm.signers.remote import Line, RemoteSigner, open_remote
from seamark.evm.signers.secret_files import read_secret_file
from seamark.runtime.clock import Clock
from seamark.runtime.http_exchange import HttpReply, HttpRequest, HttpSession, tls_context

__all__ = ["Web3Signer", "open_web3signer"]

_KEYS_PATH: Final = "/api/v1/eth1/publicKeys"
_SIGN_PATH: Final = "/api/v1/eth1/sign/"
_SIGNATURE: Final = re.compile(r'"?0x([0-9a-fA-F]{130})"?')
_KEY: Final = re.compile(r"(?:0x)?(?:04)?([0-9a-fA-F]{128})", re.ASCII)
_KEYS: Final = msgspec.json.Decoder(list[str])
_WHICH: Final = "is this a Web3Signer that runs with eth1?"
_SHOWN_KEYS: Final = 5  # accounts that an error lists


class Web3Signer:
    """`remote.Backend`. Found among the service's keys by its address or public key."""

    def __init__(self, line: Line, url: str, address: Address | None, public_key: str | None) -> None:
        self._line = line
        self._url = url.rstrip("/")
        self._wanted = address
        self._public_key = public_key
        self._identifier = ""

    @property
    def title(self) -> str:
        return self._line.title

    async def address(self) -> Address:
        """Raises `TemporaryError` where it does not answer, `RejectedError` where it does not hold the key."""
        reply = await self._line.ask(self._keys_request)
        if reply.status != HTTPStatus.OK:
            raise self._refused(reply, "GET " + _KEYS_PATH)
        found = self._read_keys(reply)
        for identifier, (key, address) in found.items():
            if key == self._public_key or address == self._wanted:
                self._identifier = identifier
                return address
        shown = ", ".join(to_checksum(address) for _, address in list(found.values())[:_SHOWN_KEYS])
        wanted = to_checksum(self._wanted) if self._wanted else f"0x{(self._public_key or '')[:16]}…"
        held = f"it holds {shown}{' and more' if len(found) > _SHOWN_KEYS else ''}" if found else "it holds none"
        raise RejectedError(f"does not hold the key {wanted}: {held}", remedy="load the key there, then POST /reload")

    async def signature(self, preimage: bytes, digest: bytes) -> tuple[int, int]:
        del digest  # made there
        body = msgspec.json.encode({"data": "0x" + preimage.hex()})
        headers = {"Content-Type": "application/json", "Accept": "text/plain, application/json"}
        request = HttpRequest("POST", f"{self._url}{_SIGN_PATH}{self._identifier}", headers, body)

        async def make() -> HttpRequest:
            return request

        reply = await self._line.ask(make)
        if reply.status != HTTPStatus.OK:
            raise self._refused(reply, "signing")
        match = _SIGNATURE.fullmatch(reply.body.decode("ascii", errors="replace").strip())
        if match is None:
            raise self._line.refusal("answers with no signature", _WHICH) from None
        return int(match[1][:64], 16), int(match[1][64:128], 16)

    async def _keys_request(self) -> HttpRequest:
        return HttpRequest("GET", self._url + _KEYS_PATH, {"Accept": "application/json"})

    def _read_keys(self, reply: HttpReply) -> dict[str, tuple[str, Address]]:
        """By identifier: the key in lower case without prefix, and its account."""
        try:
            listed = _KEYS.decode(reply.body)
            matches = {text: match for text in listed if (match := _KEY.fullmatch(text))}
            return {
                text: (match[1].lower(), address_of_point(bytes.fromhex(match[1]))) for text, match in matches.items()
            }
        except (msgspec.MsgspecError, RejectedError):
            raise self._line.refusal("answers with no list of public keys", _WHICH) from None

    def _refused(self, reply: HttpReply, what: str) -> TemporaryError:
        remedy = {
            int(
                HTTPStatus.NOT_FOUND
            ): "load the key there, then POST /reload; or is this no Web3Signer that runs with eth1?",
            HTTPStatus.FORBIDDEN: "allow this host with its --http-host-allowlist",
            HTTPStatus.UNAUTHORIZED: "check the client certificate",
        }.get(reply.status, "look into its log")
        return self._line.refusal(f"{what} is answered with status {reply.status}", remedy)


async def open_web3signer(
    settings: Web3SignerSettings, *, session: HttpSession, clock: Clock, setting: str, patience_s: float = 0.0
) -> RemoteSigner:
    """Find the key and try it.

    Raises:
        SettingsError: It does not answer, does not hold the key, or a certificate cannot be used.
    """
    tls = None
    if settings.url.startswith("https:"):
        if settings.client_key is not None:
            await asyncio.to_thread(read_secret_file, settings.client_key, setting=f"{setting}.client_key")
        tls = tls_context(settings.ca_file, settings.client_certificate, settings.client_key, setting=setting)
    host = urlsplit(settings.url).netloc.rpartition("@")[2]
    line = Line(session, clock, f"{setting} ({host})", settings.timeout, tls)
    backend = Web3Signer(line, settings.url, settings.address, settings.public_key)
    return await open_remote(backend, settings.address, setting, clock=clock, patience_s=patience_s)
