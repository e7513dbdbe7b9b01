"""A Lease of Kubernetes (coordination.k8s.io/v1) as a register for leader election.

The API server keeps writers apart: a PUT that carries the `resourceVersion` of what was read is refused (409) once
somebody else has written. `leaseTransitions` is the token, `leaseDurationSeconds` the duration in whole seconds;
`renewTime` is written for people and never compared with a clock (other electors of Kubernetes do the same). Fields and
labels that others put into the object stay.

Needs in its namespace: get, create and update on leases.
"""

from __future__ import annotations

import math
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from seamark.core.errors import SettingsError, TemporaryError
from seamark.runtime.clock import Clock
from seamark.runtime.http_exchange import HttpReply, HttpRequest, HttpSession, exchange, tls_context
from seamark.runtime.leadership import Record

__all__ = ["KubernetesAccess", "KubernetesLease", "find_access"]

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its service account."""

TOKEN_S: Final = 60.0
"""How long a token that was read is used: the kubelet puts a new one into the file long before the old one ends."""

_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_SETTING: Final = "oracle.replicas.kubernetes"
_RELEASED_S: Final = 1  # shortest duration that the API takes

_OK, _CREATED, _NOT_FOUND, _CONFLICT = 200, 201, 404, 409
_UNAUTHORIZED, _FORBIDDEN, _TOO_MANY, _SERVER_ERROR = 401, 403, 429, 500


@dataclass(frozen=True, slots=True)
class KubernetesAccess:
    """The API server, whom we are to it, and whom to trust. The token is read from its file again and again."""

    api: str
    namespace: str
    token_file: Path
    tls: ssl.SSLContext | None


def find_access(
    *,
    api: str | None = None,
    namespace: str | None = None,
    token_file: str | None = None,
    ca_file: str | None = None,
    environment: Mapping[str, str] | None = None,
    account: Path = ACCOUNT,
) -> KubernetesAccess:
    """What is not given is what a pod finds.

    Raises:
        SettingsError: There is no pod around us and something is missing.
    """
    found = os.environ if environment is None else environment
    if api is None:
        host, port = found.get("KUBERNETES_SERVICE_HOST"), found.get("KUBERNETES_SERVICE_PORT", "443")
        if not host:
            raise SettingsError(f"{_SETTING}.api", "is not set, and this is no pod", remedy="set it, or run in a pod")
        api = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    if namespace is None:
        namespace = _read(account / "namespace", "namespace")
    token = Path(token_file) if token_file else account / "token"
    _read(token, "token_file")
    authority = ca_file or (str(account / "ca.crt") if (account / "ca.crt").exists() else None)
    tls = tls_context(authority, None, None, setting=_SETTING) if api.startswith("https:") else None
    return KubernetesAccess(api.rstrip("/"), namespace, token, tls)


def _read(file: Path, setting: str) -> str:
    try:
        text = file.read_text().strip()
    except OSError as error:
        problem = f"cannot read {file}: {error.strerror}"
        raise SettingsError(f"{_SETTING}.{setting}", problem, remedy="run in a pod, or name it") from None
    if not text:
        raise SettingsError(f"{_SETTING}.{setting}", f"{file} is empty", remedy="run in a pod, or name it")
    return text


class KubernetesLease:
    """`runtime.leadership.Register` in a Lease object.

    Args:
        name: Of the Lease.
        access: Where and who.
        session: For requests.
        clock: Time of day for `renewTime`; monotonic, for the age of the token.
        timeout_s: Of one request.
    """

    def __init__(
        self, name: str, access: KubernetesAccess, *, session: HttpSession, clock: Clock, timeout_s: float
    ) -> None:
        self._name = name
        self._access = access
        self._session = session
        self._clock = clock
        self._timeout_s = timeout_s
        self._leases = f"{access.api}/apis/coordination.k8s.io/v1/namespaces/{access.namespace}/leases"
        self._token = ""
        self._token_at = -math.inf
        self._object: dict[str, Any] = {}  # as last read, with what others wrote into it

    async def read(self) -> Record | None:
        reply = await self._ask("GET", f"{self._leases}/{self._name}")
        if reply.status == _NOT_FOUND and _reason(reply) == "NotFound":
            return None
        return self._taken(reply)

    async def write(self, record: Record, before: Record | None) -> Record | None:
        if before is None:
            reply = await self._ask("POST", self._leases, self._made(record))
        else:
            reply = await self._ask("PUT", f"{self._leases}/{self._name}", self._changed(record, before))
        if reply.status == _CONFLICT or (before is not None and reply.status == _NOT_FOUND):
            return None
        return self._taken(reply)

    def _made(self, record: Record) -> dict[str, Any]:
        metadata = {
            "name": self._name,
            "namespace": self._access.namespace,
            "labels": {"app.kubernetes.io/managed-by": "seamark"},
        }
        kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
        return {**kind, "metadata": metadata, "spec": self._spec(record, {})}

    def _changed(self, record: Record, before: Record) -> dict[str, Any]:
        metadata = {**self._object.get("metadata", {}), "resourceVersion": before.version}
        return {**self._object, "metadata": metadata, "spec": self._spec(record, self._object.get("spec") or {})}

    def _spec(self, record: Record, known: Mapping[str, Any]) -> dict[str, Any]:
        now = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        is_renewal = known.get("leaseTransitions") == record.token
        acquired = known.get("acquireTime") if is_renewal else now
        seconds = math.ceil(record.duration) if record.holder else _RELEASED_S
        return {
            **known,
            "holderIdentity": record.holder,
            "leaseDurationSeconds": seconds,
            "acquireTime": acquired or now,
            "renewTime": now,
            "leaseTransitions": record.token,
        }

    def _taken(self, reply: HttpReply) -> Record:
        if reply.status not in (_OK, _CREATED):
            raise self._failure(reply)
        try:
            found = _OBJECT.decode(reply.body)
            spec, version = found.get("spec") or {}, found["metadata"]["resourceVersion"]
            duration = float(spec.get("leaseDurationSeconds") or 0)
            record = Record(spec.get("holderIdentity") or "", int(spec.get("leaseTransitions") or 0), duration, version)
        except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError, ValueError) as error:
            raise TemporaryError(f"the answer for Lease {self._name} is none: {type(error).__name__}") from error
        self._object = found
        return record

    def _failure(self, reply: HttpReply) -> TemporaryError:
        what, remedy = (
            f"Lease {self._access.namespace}/{self._name}: status {reply.status} {_reason(reply)}".rstrip(),
            "",
        )
        if reply.status == _FORBIDDEN:
            remedy = "let the service account get, create and update leases in this namespace"
        elif reply.status == _NOT_FOUND:
            remedy = "check the namespace and the address of the API server"
        elif reply.status == _UNAUTHORIZED:
            remedy = "check the service account's token"
        return TemporaryError(what, remedy=remedy, retry_after=reply.retry_after_s)

    async def _ask(self, method: str, url: str, body: Mapping[str, Any] | None = None) -> HttpReply:
        """One request; once more with a newly read token where the old one is refused."""
        reply = await self._send(method, url, body)
        if reply.status == _UNAUTHORIZED:
            self._token_at = -math.inf
            reply = await self._send(method, url, body)
        return reply

    async def _send(self, method: str, url: str, body: Mapping[str, Any] | None) -> HttpReply:
        headers = {"Authorization": f"Bearer {self._bearer()}", "Accept": "application/json"}
        content = b"" if body is None else msgspec.json.encode(body)
        if content:
            headers["Content-Type"] = "application/json"
        request = HttpRequest(method, url, headers, content)
        return await exchange(self._session, request, timeout_s=self._timeout_s, tls=self._access.tls)

    def _bearer(self) -> str:
        now = self._clock.monotonic()
        if now - self._token_at > TOKEN_S:
            try:
                self._token = self._access.token_file.read_text().strip()
            except OSError as error:
                raise TemporaryError(f"cannot read {self._access.token_file}: {error.strerror}") from error
            self._token_at = now
        return self._token


def _reason(reply: HttpReply) -> str:
    """The machine-readable word of a Status object."""
    try:
        found = _OBJECT.decode(reply.body)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return ""
    return str(found.get("reason") or "")
