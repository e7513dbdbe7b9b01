"""Who we are to AWS, from where its own tools look for it, first found first used:

    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
    AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN            (IRSA): exchanged at STS
    AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI  (ECS, EKS pod identity)
    the machine's role                                   (EC2 metadata service, version 2)

Temporary ones are fetched again some minutes before they end. Nothing of them is ever shown.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec

from seamark.core.errors import TemporaryError
from seamark.evm.signers.aws_sigv4 import Credentials
from seamark.evm.signers.identity_http import ask_identity
from seamark.runtime.clock import Clock
from seamark.runtime.http_exchange import HttpReply, HttpRequest, HttpSession

__all__ = ["AwsIdentity"]

RENEW_S: Final = 300.0  # before they end; EC2 has new ones five minutes before
ECS_HOST: Final = "http://169.254.170.2"  # link-local: the container agent's
EC2_HOST: Final = "http://169.254.169.254"  # link-local: the metadata service's
_EKS_HOSTS: Final = frozenset({"169.254.170.23", "fd00:ec2::23"})
_ROLE_PATH: Final = "/latest/meta-data/iam/security-credentials/"
_REMEDY: Final = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod, task or machine a role"


class _Answer(msgspec.Struct, rename="pascal"):
    """What containers' endpoints and EC2 answer."""

    access_key_id: str
    secret_access_key: str
    token: str | None = None
    expiration: str | None = None


class _StsCredentials(msgspec.Struct, rename="pascal"):
    access_key_id: str
    secret_access_key: str
    session_token: str
    expiration: float


class _StsResult(msgspec.Struct, rename="pascal"):
    credentials: _StsCredentials


class _StsResponse(msgspec.Struct, rename="pascal"):
    assume_role_with_web_identity_result: _StsResult


class _StsAnswer(msgspec.Struct, rename="pascal"):
    assume_role_with_web_identity_response: _StsResponse


_ANSWER: Final = msgspec.json.Decoder(_Answer)
_STS_ANSWER: Final = msgspec.json.Decoder(_StsAnswer)


class AwsIdentity:
    """Credentials when they are needed.

    `ec2_host` and `sts_url` are AWS's own unless a test stands in for them.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        region: str,
        *,
        session: HttpSession,
        clock: Clock,
        ec2_host: str = EC2_HOST,
        sts_url: str | None = None,
    ) -> None:
        self._environment = environment
        self._session = session
        self._clock = clock
        self._ec2_host = ec2_host
        self._sts_url = sts_url or environment.get("AWS_ENDPOINT_URL_STS") or f"https://sts.{region}.amazonaws.com"
        self._held: Credentials | None = None
        self._fetching = asyncio.Lock()

    async def get(self) -> Credentials:
        """Good for some minutes at least.

        Raises:
            TemporaryError: None are found, or who has them does not answer.
        """
        async with self._fetching:
            held = self._held
            if held is None or (held.expires_at is not None and held.expires_at - RENEW_S <= self._clock.now()):
                self._held = held = await self._renew(held)
            return held

    async def _renew(self, held: Credentials | None) -> Credentials:
        try:
            return await self._find()
        except TemporaryError:
            if held is not None and held.expires_at is not None and held.expires_at > self._clock.now():
                return held  # good for a little longer
            raise

    def forget(self) -> None:
        """AWS called them expired or unknown: look again."""
        self._held = None

    async def _find(self) -> Credentials:
        env = self._environment
        if env.get("AWS_ACCESS_KEY_ID") and env.get("AWS_SECRET_ACCESS_KEY"):
            return Credentials(
                env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], env.get("AWS_SESSION_TOKEN") or None
            )
        if env.get("AWS_WEB_IDENTITY_TOKEN_FILE") and env.get("AWS_ROLE_ARN"):
            return await self._from_web_identity()
        if env.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
            return await self._from_container(ECS_HOST + env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"])
        if env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
            return await self._from_container(_checked(env["AWS_CONTAINER_CREDENTIALS_FULL_URI"]))
        if env.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            raise TemporaryError("no AWS credentials", remedy=_REMEDY)
        return await self._from_machine()

    async def _from_web_identity(self) -> Credentials:
        """STS AssumeRoleWithWebIdentity; the request is not signed, the token is the proof."""
        env = self._environment
        fields = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": env["AWS_ROLE_ARN"],
            "RoleSessionName": env.get("AWS_ROLE_SESSION_NAME") or "seamark",
            "WebIdentityToken": await _read(env["AWS_WEB_IDENTITY_TOKEN_FILE"]),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        request = HttpRequest("POST", self._sts_url.rstrip("/") + "/", headers, urlencode(fields).encode())
        reply = await self._ask(request, "AWS STS", "does the role trust this service account?")
        try:
            found = _STS_ANSWER.decode(reply.body).assume_role_with_web_identity_response
        except msgspec.MsgspecError:
            raise TemporaryError("AWS STS answers with no credentials") from None
        given = found.assume_role_with_web_identity_result.credentials
        return Credentials(given.access_key_id, given.secret_access_key, given.session_token, given.expiration)

    async def _from_container(self, url: str) -> Credentials:
        env = self._environment
        headers = {}
        if env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
            headers["Authorization"] = await _read(env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"])
        elif env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN"):
            headers["Authorization"] = env["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
        reply = await ask_identity(
            self._session, HttpRequest("GET", url, headers), "the container's credentials endpoint", _REMEDY
        )
        return _to_credentials(reply)

    async def _from_machine(self) -> Credentials:
        put = HttpRequest(
            "PUT", self._ec2_host + "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
        )
        token = await self._ask(put, "no AWS credentials; the EC2 metadata service", _REMEDY)
        headers = {"X-aws-ec2-metadata-token": token.body.decode("ascii", errors="replace")}
        roles = await ask_identity(
            self._session, HttpRequest("GET", self._ec2_host + _ROLE_PATH, headers), "the EC2 metadata service", _REMEDY
        )
        role = roles.body.decode("ascii", errors="replace").split("\n")[0].strip()
        path = f"{self._ec2_host}{_ROLE_PATH}{role}"
        return _to_credentials(await self._ask(HttpRequest("GET", path, headers), "the EC2 metadata service", _REMEDY))

    async def _ask(self, request: HttpRequest, whom: str, remedy: str) -> HttpReply:
        return await ask_identity(self._session, request, whom, remedy)


def _checked(url: str) -> str:
    """Credentials come over TLS, from this machine, or from EKS's agent: as AWS's own tools insist."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        near = host in _EKS_HOSTS or host == "169.254.170.2" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        near = host == "localhost"
    if parts.scheme == "https" or (parts.scheme == "http" and near):
        return url
    raise TemporaryError(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI leads over an open network", remedy="use the address that the platform sets"
    )


async def _read(path: str) -> str:
    try:
        return (await asyncio.to_thread(Path(path).read_text)).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise TemporaryError(f"cannot read the token file {path}: {reason}", remedy="is it mounted?") from None


def _to_credentials(reply: HttpReply) -> Credentials:
    try:
        answer = _ANSWER.decode(reply.body)
        expires = None if answer.expiration is None else datetime.fromisoformat(answer.expiration).timestamp()
    except (msgspec.MsgspecError, ValueError):
        raise TemporaryError("the answer of who holds the AWS credentials has none", remedy=_REMEDY) from None
    return Credentials(answer.access_key_id, answer.secret_access_key, answer.token, expires)
