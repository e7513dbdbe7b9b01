"""AWS KMS: an asymmetric key ECC_SECG_P256K1 signs the digest (ECDSA_SHA_256, MessageType DIGEST: any 32 bytes).

JSON 1.1 over POST /, the operation in X-Amz-Target, signed with Signature Version 4.
https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html, …/API_GetPublicKey.html
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address
from seamark.evm.signer_settings import AwsKmsSettings
from seamark.evm.signers.aws_credentials import AwsIdentity
from seamark.evm.signers.aws_sigv4 import signed_headers
from seamark.evm.signers.ecdsa import NotThisCurve, address_of_der, from_der
from seamark.evm.signers.remote import Line, RemoteSigner, open_remote, said
from seamark.runtime.clock import Clock
from seamark.runtime.http_exchange import HttpReply, HttpRequest, HttpSession

__all__ = ["AwsKms", "open_aws_kms"]

SPEC: Final = "ECC_SECG_P256K1"
ALGORITHM: Final = "ECDSA_SHA_256"
_SERVICE: Final = "kms"
_SERVER_ERROR: Final = 500
_BUSY: Final = frozenset(
    {"ThrottlingException", "DependencyTimeoutException", "KMSInternalException", "KeyUnavailableException"}
)
_STALE: Final = frozenset({"ExpiredTokenException", "UnrecognizedClientException", "InvalidClientTokenId"})
_REMEDIES: Final[Mapping[str, str]] = {
    "AccessDeniedException": "allow kms:GetPublicKey and kms:Sign on the key to this identity",
    "NotFoundException": "check key_id and region",
    "DisabledException": "enable the key",
    "KMSInvalidStateException": "enable the key, or cancel its deletion",
    "InvalidKeyUsageException": f"the key must be for SIGN_VERIFY, of spec {SPEC}",
    "UnrecognizedClientException": "check the access key and the region",
    "InvalidSignatureException": "check the secret access key and this machine's clock",
    "ExpiredTokenException": "renew the session token",
    "IncompleteSignatureException": "check the access key",
}
_NO_REMEDY: Final = "look up the error in the AWS KMS API reference"


class _PublicKey(msgspec.Struct, rename="pascal"):
    public_key: str = ""
    key_spec: str = ""
    key_usage: str = ""


class _Signature(msgspec.Struct, rename="pascal"):
    signature: str = ""


class _Error(msgspec.Struct):
    type: str = msgspec.field(name="__type", default="")
    message: str = ""
    Message: str = ""


_PUBLIC_KEY: Final = msgspec.json.Decoder(_PublicKey)
_SIGNATURE: Final = msgspec.json.Decoder(_Signature)
_ERROR: Final = msgspec.json.Decoder(_Error)


class AwsKms:
    """`remote.Backend`."""

    def __init__(self, line: Line, identity: AwsIdentity, *, url: str, region: str, key_id: str) -> None:
        self._line = line
        self._identity = identity
        self._url = url.rstrip("/") + "/"
        self._host = urlsplit(url).netloc.rpartition("@")[2]
        self._region = region
        self._key_id = key_id

    @property
    def title(self) -> str:
        return self._line.title

    async def address(self) -> Address:
        """Raises `TemporaryError` where it does not answer, `RejectedError` where the key cannot be used."""
        reply = await self._call("GetPublicKey", {"KeyId": self._key_id})
        try:
            found = _PUBLIC_KEY.decode(reply.body)
            address = address_of_der(_from_base64(found.public_key))
        except NotThisCurve as error:
            remedy = f"create a key of spec {SPEC} for SIGN_VERIFY: the spec of a key cannot be changed"
            raise RejectedError(f"{self._key_id} is {error.message}", remedy=remedy) from error
        except (msgspec.MsgspecError, ValueError):
            raise self._line.refusal("answers with no public key", "is this AWS KMS?") from None
        if found.key_usage != "SIGN_VERIFY":
            raise RejectedError(f"{self._key_id} is a key for {found.key_usage}", remedy="create one for SIGN_VERIFY")
        return address

    async def signature(self, preimage: bytes, digest: bytes) -> tuple[int, int]:
        del preimage  # it is given the digest
        wanted = {
            "KeyId": self._key_id,
            "Message": base64.b64encode(digest).decode(),
            "MessageType": "DIGEST",
            "SigningAlgorithm": ALGORITHM,
        }
        reply = await self._call("Sign", wanted)
        try:
            return from_der(_from_base64(_SIGNATURE.decode(reply.body).signature))
        except (msgspec.MsgspecError, ValueError, TemporaryError):
            raise self._line.refusal("answers with no signature", "is this AWS KMS?") from None

    async def _call(self, operation: str, wanted: Mapping[str, Any]) -> HttpReply:
        body = msgspec.json.encode(wanted)
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"TrentService.{operation}"}

        async def make() -> HttpRequest:
            signed = signed_headers(
                await self._identity.get(),
                method="POST",
                host=self._host,
                headers=headers,
                body=body,
                region=self._region,
                service=_SERVICE,
                now=self._line.clock.now(),
            )
            return HttpRequest("POST", self._url, signed, body)

        reply = await self._line.ask(make, self._is_busy)
        if reply.status == HTTPStatus.OK:
            return reply
        kind, words = _error(reply)
        what = f"{kind}: {words}" if words else kind
        raise self._line.refusal(
            f"{operation} is refused: {what or f'status {reply.status}'}", _REMEDIES.get(kind, _NO_REMEDY)
        )

    def _is_busy(self, reply: HttpReply) -> bool:
        """Also where the credentials ended before their time: the next try has new ones."""
        kind = _error(reply)[0]
        if kind in _STALE:
            self._identity.forget()
            return True
        return reply.status >= _SERVER_ERROR or reply.status == HTTPStatus.TOO_MANY_REQUESTS or kind in _BUSY


def _error(reply: HttpReply) -> tuple[str, str]:
    """The kind, without its name space, and the words."""
    if reply.status == HTTPStatus.OK:
        return "", ""
    try:
        found = _ERROR.decode(reply.body)
    except msgspec.MsgspecError:
        return "", ""
    return found.type.rpartition("#")[2], said(found.message or found.Message)


def _from_base64(text: str) -> bytes:
    """Raises `ValueError`."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error


async def open_aws_kms(
    settings: AwsKmsSettings,
    *,
    session: HttpSession,
    clock: Clock,
    environment: Mapping[str, str],
    setting: str,
    patience_s: float = 0.0,
) -> RemoteSigner:
    """Ask for the key and try it.

    Raises:
        SettingsError: No credentials, no answer, no permission, or another key than expected.
    """
    url = settings.endpoint or f"https://kms.{settings.region}.{_domain(settings.region)}"
    line = Line(session, clock, f"{setting} ({urlsplit(url).netloc.rpartition('@')[2]})", settings.timeout)
    identity = AwsIdentity(environment, settings.region, session=session, clock=clock)
    backend = AwsKms(line, identity, url=url, region=settings.region, key_id=settings.key_id)
    return await open_remote(backend, settings.address, setting, clock=clock, patience_s=patience_s)


def _domain(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
