"""Who we are to Google Cloud: an access token, from a service account's key file or from the metadata server.

The key file's way is RFC 7523: a JSON web token signed with its RSA key (RS256) is exchanged for an access token.
https://developers.google.com/identity/protocols/oauth2/service-account#httprest. The metadata server answers on GCE,
GKE (workload identity) and Cloud Run. Tokens last about an hour and are renewed some minutes before; never shown.
"""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

import msgspec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from seamark.core.errors import SettingsError, TemporaryError
from seamark.evm.signers.identity_http import ask_identity
from seamark.evm.signers.secret_files import read_secret_file
from seamark.runtime.clock import Clock
from seamark.runtime.http_exchange import HttpReply, HttpRequest, HttpSession

__all__ = ["GcpIdentity", "ServiceAccount", "assertion", "read_service_account"]

SCOPE: Final = "https://www.googleapis.com/auth/cloudkms"
METADATA_HOST: Final = "http://metadata.google.internal"
TOKEN_S: Final = 3600  # the longest that Google grants
RENEW_S: Final = 240.0  # before the end; the metadata server has a new one four minutes before
_TOKEN_PATH: Final = "/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105 - a path
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_REMEDY: Final = "name credentials_file, or give the machine or pod a service account"


class _KeyFile(msgspec.Struct):
    type: str
    client_email: str
    private_key: str
    private_key_id: str
    token_uri: str


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float


_KEY_FILE: Final = msgspec.json.Decoder(_KeyFile)
_TOKEN: Final = msgspec.json.Decoder(_Token)


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """What a key file holds."""

    email: str
    key_id: str
    token_uri: str
    key: RSAPrivateKey = field(repr=False)


def read_service_account(path: str, *, setting: str) -> ServiceAccount:
    """Raises `SettingsError` for a file that others can read or that is no key file; never shows the key."""
    raw = read_secret_file(path, setting=setting)
    remedy = "download a JSON key of the service account"
    try:
        found = _KEY_FILE.decode(raw)
        key = load_pem_private_key(found.private_key.encode(), None)
    except Exception:  # noqa: BLE001 - whatever it is, its text may quote the key
        raise SettingsError(setting, f"{path} is no service account's key file", remedy=remedy) from None
    if found.type != "service_account" or not isinstance(key, RSAPrivateKey):
        raise SettingsError(setting, f"{path} is no service account's key file", remedy=remedy)
    return ServiceAccount(found.client_email, found.private_key_id, found.token_uri, key)


def assertion(account: ServiceAccount, now: float) -> str:
    """The signed JSON web token (RFC 7515, RS256) that is exchanged for an access token."""
    head = _encoded({"alg": "RS256", "typ": "JWT", "kid": account.key_id})
    issued = int(now)
    claims = {
        "iss": account.email,
        "scope": SCOPE,
        "aud": account.token_uri,
        "iat": issued,
        "exp": issued + TOKEN_S,
    }
    signed = head + b"." + _encoded(claims)
    return (signed + b"." + _base64(account.key.sign(signed, PKCS1v15(), SHA256()))).decode()


def _encoded(content: dict[str, object]) -> bytes:
    return _base64(msgspec.json.encode(content))


def _base64(content: bytes) -> bytes:
    return urlsafe_b64encode(content).rstrip(b"=")


class GcpIdentity:
    """An access token when it is needed. Without an account the metadata server is asked."""

    def __init__(
        self,
        account: ServiceAccount | None,
        *,
        session: HttpSession,
        clock: Clock,
        metadata_host: str = METADATA_HOST,
    ) -> None:
        self._account = account
        self._session = session
        self._clock = clock
        self._metadata_host = metadata_host
        self._token = ""
        self._ends_at = 0.0
        self._fetching = asyncio.Lock()

    async def get(self) -> str:
        """Good for some minutes at least.

        Raises:
            TemporaryError: Who grants it does not answer, or refuses.
        """
        async with self._fetching:
            now = self._clock.now()
            if self._ends_at - RENEW_S <= now:
                try:
                    found = await self._fetch()
                except TemporaryError:
                    if self._ends_at <= now:
                        raise
                else:
                    self._token, self._ends_at = found.access_token, now + found.expires_in
            return self._token

    def forget(self) -> None:
        """It was called invalid: fetch another one."""
        self._ends_at = 0.0

    async def _fetch(self) -> _Token:
        if self._account is None:
            headers = {"Metadata-Flavor": "Google"}
            request = HttpRequest("GET", self._metadata_host + _TOKEN_PATH, headers)
            return _read(await self._ask(request, "no Google credentials; the metadata server", _REMEDY))
        fields = {"grant_type": _GRANT, "assertion": assertion(self._account, self._clock.now())}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        request = HttpRequest("POST", self._account.token_uri, headers, urlencode(fields).encode())
        remedy = "is the key of the service account still valid, and this machine's clock right?"
        return _read(await self._ask(request, "Google's token endpoint", remedy))

    async def _ask(self, request: HttpRequest, whom: str, remedy: str) -> HttpReply:
        return await ask_identity(self._session, request, whom, remedy)


def _read(reply: HttpReply) -> _Token:
    try:
        return _TOKEN.decode(reply.body)
    except msgspec.MsgspecError:
        raise TemporaryError("the answer of who grants Google's tokens has none", remedy=_REMEDY) from None
