"""Google Cloud KMS: a key version EC_SIGN_SECP256K1_SHA256 signs the digest (32 bytes in the place of a SHA-256).

    GET  /v1/{key version}/publicKey
    POST /v1/{key version}:asymmetricSign   {"digest": {"sha256": …}, "digestCrc32c": …}

Both ways are guarded by CRC32C, as Google asks of its callers: our digest arrived whole (`verifiedDigestCrc32c`), its
signature too (`signatureCrc32c`), and the key version is the one asked for (`name`).
https://cloud.google.com/kms/docs/reference/rest, https://cloud.google.com/kms/docs/data-integrity-guidelines
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address
from seamark.evm.signer_settings import GcpKmsSettings
from seamark.evm.signers.crc32c import crc32c
from seamark.evm.signers.ecdsa import NotThisCurve, address_of_pem, from_der
from seamark.evm.signers.gcp_tokens import GcpIdentity, read_service_account
from seamark.evm.signers.remote import Line, RemoteSigner, is_busy, open_remote, said
from seamark.runtime.clock import Clock
from seamark.runtime.http_exchange import HttpReply, HttpRequest, HttpSession

__all__ = ["GcpKms", "open_gcp_kms"]

HOST: Final = "https://cloudkms.googleapis.com"
ALGORITHM: Final = "EC_SIGN_SECP256K1_SHA256"
_REMEDIES: Final[Mapping[str, str]] = {
    "PERMISSION_DENIED": "grant this identity roles/cloudkms.signerVerifier on the key",
    "UNAUTHENTICATED": "check the credentials",
    "NOT_FOUND": "check key_version",
    "FAILED_PRECONDITION": "enable the key version",
    "INVALID_ARGUMENT": f"the key must be of purpose ASYMMETRIC_SIGN and algorithm {ALGORITHM}",
}
_NO_REMEDY: Final = "look up the error in the Cloud KMS reference"


class _PublicKey(msgspec.Struct):
    pem: str = ""
    algorithm: str = ""
    name: str = ""
    pem_crc32c: str | int | None = msgspec.field(name="pemCrc32c", default=None)


class _Signature(msgspec.Struct):
    signature: str = ""
    signature_crc32c: str | int | None = msgspec.field(name="signatureCrc32c", default=None)
    verified_digest_crc32c: bool = msgspec.field(name="verifiedDigestCrc32c", default=False)
    name: str = ""


class _Problem(msgspec.Struct):
    status: str = ""
    message: str = ""


class _Error(msgspec.Struct):
    error: _Problem = msgspec.field(default_factory=_Problem)


_PUBLIC_KEY: Final = msgspec.json.Decoder(_PublicKey)
_SIGNATURE: Final = msgspec.json.Decoder(_Signature)
_ERROR: Final = msgspec.json.Decoder(_Error)


class GcpKms:
    """`remote.Backend`."""

    def __init__(self, line: Line, identity: GcpIdentity, *, url: str, key_version: str) -> None:
        self._line = line
        self._identity = identity
        self._key_version = key_version
        self._url = f"{url.rstrip('/')}/v1/{quote(key_version, safe='/:')}"

    @property
    def title(self) -> str:
        return self._line.title

    async def address(self) -> Address:
        """Raises `TemporaryError` where it does not answer, `RejectedError` where the key cannot be used."""
        reply = await self._call("GET", f"{self._url}/publicKey", None)
        try:
            found = _PUBLIC_KEY.decode(reply.body)
        except msgspec.MsgspecError:
            raise self._line.refusal("answers with no public key", "is this Cloud KMS?") from None
        if found.algorithm != ALGORITHM:
            remedy = f"create a key version with {ALGORITHM} and protection level HSM"
            raise RejectedError(f"the key version is for {found.algorithm or 'nothing known'}", remedy=remedy)
        self._check_name(found.name)
        self._check_crc(found.pem.encode(), found.pem_crc32c, "its public key")
        try:
            return address_of_pem(found.pem.encode())
        except NotThisCurve as error:
            raise RejectedError(f"the key version is {error.message}", remedy=f"use one for {ALGORITHM}") from error

    async def signature(self, preimage: bytes, digest: bytes) -> tuple[int, int]:
        del preimage  # it is given the digest
        wanted = {"digest": {"sha256": base64.b64encode(digest).decode()}, "digestCrc32c": str(crc32c(digest))}
        reply = await self._call("POST", f"{self._url}:asymmetricSign", msgspec.json.encode(wanted))
        try:
            found = _SIGNATURE.decode(reply.body)
            encoded = base64.b64decode(found.signature, validate=True)
        except (msgspec.MsgspecError, binascii.Error):
            raise self._line.refusal("answers with no signature", "is this Cloud KMS?") from None
        self._check_name(found.name)
        if not found.verified_digest_crc32c:
            raise self._line.refusal("did not get our digest whole", "it is asked again")
        self._check_crc(encoded, found.signature_crc32c, "its signature")
        try:
            return from_der(encoded)
        except TemporaryError:
            raise self._line.refusal("answers with no signature", "is this Cloud KMS?") from None

    def _check_name(self, name: str) -> None:
        if name != self._key_version:
            raise self._line.refusal("answers for another key version", "check what stands between us and Cloud KMS")

    def _check_crc(self, content: bytes, stated: str | int | None, what: str) -> None:
        if str(stated) != str(crc32c(content)):
            raise self._line.refusal(f"{what} was damaged on the way", "it is asked again")

    async def _call(self, method: str, url: str, body: bytes | None) -> HttpReply:
        async def make() -> HttpRequest:
            headers = {"Authorization": f"Bearer {await self._identity.get()}"}
            if body is not None:
                headers["Content-Type"] = "application/json"
            return HttpRequest(method, url, headers, body or b"")

        reply = await self._line.ask(make, self._is_busy)
        if reply.status == HTTPStatus.OK:
            return reply
        kind, words = _error(reply)
        what = f"{kind}: {words}" if kind else f"status {reply.status}"
        raise self._line.refusal(f"it is refused: {what}", _REMEDIES.get(kind, _NO_REMEDY))

    def _is_busy(self, reply: HttpReply) -> bool:
        """Also where the token ended before its time: the next try has a new one."""
        if reply.status == HTTPStatus.UNAUTHORIZED:
            self._identity.forget()
            return True
        return is_busy(reply)


def _error(reply: HttpReply) -> tuple[str, str]:
    try:
        found = _ERROR.decode(reply.body).error
    except msgspec.MsgspecError:
        return "", ""
    return found.status, said(found.message)


async def open_gcp_kms(
    settings: GcpKmsSettings, *, session: HttpSession, clock: Clock, setting: str, patience_s: float = 0.0
) -> RemoteSigner:
    """Ask for the key and try it.

    Raises:
        SettingsError: No credentials, no answer, no permission, or another key than expected.
    """
    account = None
    if settings.credentials_file is not None:
        account = await asyncio.to_thread(
            read_service_account, settings.credentials_file, setting=f"{setting}.credentials_file"
        )
    url = settings.endpoint or HOST
    line = Line(session, clock, f"{setting} ({urlsplit(url).netloc.rpartition('@')[2]})", settings.timeout)
    identity = GcpIdentity(account, session=session, clock=clock)
    backend = GcpKms(line, identity, url=url, key_version=settings.key_version)
    return await open_remote(backend, settings.address, setting, clock=clock, patience_s=patience_s)
