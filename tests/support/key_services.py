"""Stand-ins for services that sign, on loopback: they speak the documented HTTP and check what they are sent.

Each holds one secret. `answers` may be given replies to send instead of the true ones, one request each; `requests`
keeps what came. Signatures are OpenSSL's: random nonces, and s in either half, as the real ones have.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from seamark.evm.crypto import keccak256
from seamark.evm.signers import RawKeySigner

SECRET = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
OTHER_SECRET = "22" * 32
ADDRESS = RawKeySigner.from_hex(SECRET).address
OTHER_ADDRESS = RawKeySigner.from_hex(OTHER_SECRET).address
ACCESS_KEY, SECRET_KEY, SESSION_TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "the-session-token"
KEY_VERSION = "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"


def private_key(secret: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int(secret, 16), ec.SECP256K1())


def der_signature(secret: str, digest: bytes) -> bytes:
    return private_key(secret).sign(digest, ec.ECDSA(Prehashed(SHA256())))


def point(secret: str) -> bytes:
    """x, y."""
    return private_key(secret).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Service:
    """What all of them have."""

    secret: str = SECRET
    url: str = ""
    requests: list[Seen] = field(default_factory=list)
    answers: list[web.Response | None] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        seen = Seen(request.method, request.raw_path, dict(request.headers), await request.read())
        self.requests.append(seen)
        if self.answers and (planned := self.answers.pop(0)) is not None:
            return planned
        return self.answer(seen)

    def answer(self, seen: Seen) -> web.Response:
        raise AssertionError(seen.path)


@asynccontextmanager
async def served(service: Any, tls: ssl.SSLContext | None = None) -> AsyncIterator[Any]:
    """On a free port of loopback."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    scheme = "http" if tls is None else "https"
    service.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield service
    finally:
        await runner.cleanup()


# ---- Web3Signer ------------------------------------------------------------------------------------------------------


@dataclass
class Web3SignerService(Service):
    """Holds further keys too, as theirs does; signs keccak256 of the data with RFC 6979 nonces and low s."""

    secrets: tuple[str, ...] = (OTHER_SECRET, SECRET)

    def answer(self, seen: Seen) -> web.Response:
        keys = {"0x" + point(secret).hex(): secret for secret in self.secrets}
        if (seen.method, seen.path) == ("GET", "/upcheck"):
            return web.Response(text="OK")
        if (seen.method, seen.path) == ("GET", "/api/v1/eth1/publicKeys"):
            return web.json_response(list(keys))
        identifier = seen.path.removeprefix("/api/v1/eth1/sign/")
        if seen.method != "POST" or identifier == seen.path or identifier not in keys:
            return web.Response(status=404, text="Resource not found")
        return web.Response(text=self._signed(keys[identifier], json.loads(seen.body)["data"]))

    @staticmethod
    def _signed(secret: str, data: str) -> str:
        from coincurve import PrivateKey  # noqa: PLC0415

        signature = PrivateKey(bytes.fromhex(secret)).sign_recoverable(keccak256(bytes.fromhex(data[2:])), hasher=None)
        return "0x" + signature[:64].hex() + f"{27 + signature[64]:02x}"


# ---- AWS -------------------------------------------------------------------------------------------------------------


def aws_error(kind: str, message: str = "", status: int = 400) -> web.Response:
    body = {"__type": kind, "message": message}
    return web.Response(status=status, body=json.dumps(body).encode(), content_type="application/x-amz-json-1.1")


@dataclass
class AwsKmsService(Service):
    """Checks the signature of each request on its own account."""

    region: str = "eu-central-1"
    key_id: str = "alias/seamark"
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    token: str | None = None
    usage: str = "SIGN_VERIFY"
    public_key: bytes | None = None

    def answer(self, seen: Seen) -> web.Response:  # noqa: PLR0911 - one for each thing it checks
        headers = {name.lower(): value for name, value in seen.headers.items()}
        if (problem := self._authorized(seen, headers)) is not None:
            return problem
        if seen.method != "POST" or seen.path != "/" or headers["content-type"] != "application/x-amz-json-1.1":
            return aws_error("UnknownOperationException")
        wanted = json.loads(seen.body)
        if wanted["KeyId"] != self.key_id:
            return aws_error("NotFoundException", f"Key '{wanted['KeyId']}' does not exist")
        operation = headers["x-amz-target"]
        arn = f"arn:aws:kms:{self.region}:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
        if operation == "TrentService.GetPublicKey":
            encoded = self.public_key or private_key(self.secret).public_key().public_bytes(
                Encoding.DER, PublicFormat.SubjectPublicKeyInfo
            )
            return self._json(
                {
                    "CustomerMasterKeySpec": "ECC_SECG_P256K1",
                    "KeyId": arn,
                    "KeySpec": "ECC_SECG_P256K1",
                    "KeyUsage": self.usage,
                    "PublicKey": base64.b64encode(encoded).decode(),
                    "SigningAlgorithms": ["ECDSA_SHA_256"],
                }
            )
        digest = base64.b64decode(wanted["Message"])
        if operation != "TrentService.Sign" or wanted["MessageType"] != "DIGEST" or len(digest) != 32:
            return aws_error("ValidationException")
        if wanted["SigningAlgorithm"] != "ECDSA_SHA_256":
            return aws_error("InvalidKeyUsageException")
        signature = base64.b64encode(der_signature(self.secret, digest)).decode()
        return self._json({"KeyId": arn, "Signature": signature, "SigningAlgorithm": "ECDSA_SHA_256"})

    @staticmethod
    def _json(body: dict[str, Any]) -> web.Response:
        return web.Response(body=json.dumps(body).encode(), content_type="application/x-amz-json-1.1")

    def _authorized(self, seen: Seen, headers: dict[str, str]) -> web.Response | None:
        algorithm, _, rest = headers.get("authorization", "").partition(" ")
        if algorithm != "AWS4-HMAC-SHA256":
            return aws_error("MissingAuthenticationTokenException", "Missing Authentication Token")
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        access_key, day, region, service, end = parts["Credential"].split("/")
        if access_key != self.access_key or headers.get("x-amz-security-token") != self.token:
            return aws_error("UnrecognizedClientException", "The security token included in the request is invalid.")
        names = parts["SignedHeaders"].split(";")
        needed = {"host", "x-amz-date", "x-amz-target"} | ({"x-amz-security-token"} if self.token else set())
        if not needed <= set(names) or names != sorted(names):
            return aws_error("InvalidSignatureException", "headers are missing")
        lines = [f"{name}:{headers[name].strip()}" for name in names]
        payload = hashlib.sha256(seen.body).hexdigest()
        canonical = "\n".join([seen.method, seen.path, "", *lines, "", parts["SignedHeaders"], payload])
        scope = f"{day}/{region}/{service}/{end}"
        text = "\n".join([algorithm, headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = b"AWS4" + self.secret_key.encode()
        for part in (day, self.region, "kms", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        if not hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), parts["Signature"]):
            return aws_error("InvalidSignatureException", "The request signature we calculated does not match")
        return None


# ---- Google ----------------------------------------------------------------------------------------------------------


def plain_crc32c(content: bytes) -> int:
    """Bit by bit, as RFC 3720 describes it."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def gcp_error(status: int, kind: str, message: str = "") -> web.Response:
    return web.json_response({"error": {"code": status, "message": message, "status": kind}}, status=status)


@dataclass
class GcpKmsService(Service):
    """Cloud KMS, the token endpoint and the metadata server in one."""

    account_key: rsa.RSAPublicKey | None = None
    email: str = "seamark@p.iam.gserviceaccount.com"
    token: str = "ya29.token"
    grants: int = 0
    algorithm: str = "EC_SIGN_SECP256K1_SHA256"
    now: float = 0.0
    damage: str = ""

    def answer(self, seen: Seen) -> web.Response:  # noqa: PLR0911 - one for each route
        if seen.path == "/token":
            return self._grant(parse_qs(seen.body.decode()))
        if seen.path == "/computeMetadata/v1/instance/service-accounts/default/token":
            if seen.headers.get("Metadata-Flavor") != "Google":
                return web.Response(status=403)
            return self._token()
        if seen.headers.get("Authorization") != f"Bearer {self.token}":
            return gcp_error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        name = seen.path.removeprefix("/v1/").partition(":")[0].removesuffix("/publicKey")
        if name != KEY_VERSION:
            return gcp_error(404, "NOT_FOUND", f"CryptoKeyVersion {name} not found.")
        if (seen.method, seen.path) == ("GET", f"/v1/{KEY_VERSION}/publicKey"):
            return self._public_key(name)
        if (seen.method, seen.path) == ("POST", f"/v1/{KEY_VERSION}:asymmetricSign"):
            return self._sign(name, json.loads(seen.body))
        return gcp_error(404, "NOT_FOUND")

    def _public_key(self, name: str) -> web.Response:
        pem = private_key(self.secret).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        crc = plain_crc32c(pem) ^ (self.damage == "pem")
        return web.json_response(
            {
                "pem": pem.decode(),
                "algorithm": self.algorithm,
                "pemCrc32c": str(crc),
                "name": name,
                "protectionLevel": "HSM",
            }
        )

    def _sign(self, name: str, wanted: dict[str, Any]) -> web.Response:
        digest = base64.b64decode(wanted["digest"]["sha256"])
        if len(digest) != 32 or int(wanted["digestCrc32c"]) != plain_crc32c(digest):
            return gcp_error(400, "INVALID_ARGUMENT", "The checksum in field digest_crc32c did not match.")
        signature = der_signature(self.secret, digest)
        body: dict[str, Any] = {
            "signature": base64.b64encode(signature).decode(),
            "signatureCrc32c": str(plain_crc32c(signature) ^ (self.damage == "signature")),
            "name": name.replace("Versions/1", "Versions/2") if self.damage == "name" else name,
            "protectionLevel": "HSM",
        }
        if self.damage != "digest":
            body["verifiedDigestCrc32c"] = True
        return web.json_response(body)

    def _grant(self, fields: dict[str, list[str]]) -> web.Response:
        assert fields["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        head, claims, signature = (_unpadded(part) for part in fields["assertion"][0].split("."))
        signed = fields["assertion"][0].rpartition(".")[0].encode()
        assert self.account_key is not None
        self.account_key.verify(signature, signed, padding.PKCS1v15(), SHA256())
        said = json.loads(claims)
        assert json.loads(head)["alg"] == "RS256"
        assert said["iss"] == self.email
        assert said["aud"] == f"{self.url}/token"
        assert said["scope"] == "https://www.googleapis.com/auth/cloudkms"
        if not said["iat"] <= self.now <= said["exp"] <= said["iat"] + 3600:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return self._token()

    def _token(self) -> web.Response:
        self.grants += 1
        return web.json_response({"access_token": self.token, "expires_in": 3599, "token_type": "Bearer"})


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
