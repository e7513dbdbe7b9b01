"""An API server that knows Leases (coordination.k8s.io/v1), as far as leader election needs one.

It keeps to what the API conventions promise: a resourceVersion that is new with each write, 409 Conflict for a PUT of
an older one, 409 AlreadyExists, 404 NotFound, 401 without a valid token, 403 without the right, 422 for an invalid
spec; Status objects with a machine-readable reason; and timestamps and durations are checked, not interpreted.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Self

from aiohttp import web

HOST = "127.0.0.1"
_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_SPEC = {"holderIdentity", "leaseDurationSeconds", "acquireTime", "renewTime", "leaseTransitions", "strategy"}
_MAX_INT32 = 2**31 - 1


class KubernetesApi:
    """`leases` by (namespace, name). `failing`: the status to answer everything with, None: none."""

    def __init__(self, *, token: str = "a-token", namespace: str = "oracles") -> None:
        self.token = token
        self.namespace = namespace
        self.allowed = {"get", "create", "update"}
        self.leases: dict[tuple[str, str], dict[str, Any]] = {}
        self.calls: Counter[str] = Counter()
        self.failing: int | None = None
        self.url = ""
        self._versions = itertools.count(1000)
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        application = web.Application()
        leases = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        application.router.add_post(leases, self._create)
        application.router.add_get(leases + "/{name}", self._get)
        application.router.add_put(leases + "/{name}", self._update)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0).start()
        self.url = f"http://{HOST}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def lease(self, name: str) -> dict[str, Any]:
        return self.leases[self.namespace, name]

    def touch(self, name: str, **labels: str) -> None:
        """Somebody else edits the object."""
        found = self.lease(name)
        found["metadata"] = {**found["metadata"], "labels": labels, "resourceVersion": self._version()}

    def _version(self) -> str:
        return str(next(self._versions))

    def _refused(self, request: web.Request, verb: str) -> web.Response | None:
        self.calls[verb] += 1
        if self.failing is not None:
            return _status(self.failing, "ServiceUnavailable")
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _status(401, "Unauthorized")
        if verb not in self.allowed or request.match_info["namespace"] != self.namespace:
            return _status(403, "Forbidden")
        return None

    async def _get(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request, "get")) is not None:
            return refused
        found = self.leases.get(_key(request))
        return _status(404, "NotFound") if found is None else web.json_response(found)

    async def _create(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request, "create")) is not None:
            return refused
        made = await request.json()
        metadata = made.get("metadata", {})
        if metadata.get("resourceVersion"):
            return _status(400, "BadRequest")
        if (problem := _problem(made)) is not None:
            return problem
        key = (request.match_info["namespace"], metadata["name"])
        if key in self.leases:
            return _status(409, "AlreadyExists")
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        made["metadata"] = {
            **metadata, "namespace": key[0], "uid": f"uid-{key[1]}", "creationTimestamp": now,
            "resourceVersion": self._version(),
        }  # fmt: skip
        self.leases[key] = made
        return web.json_response(made, status=201)

    async def _update(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request, "update")) is not None:
            return refused
        key, changed = _key(request), await request.json()
        if key not in self.leases:
            return _status(404, "NotFound")
        if (problem := _problem(changed)) is not None:
            return problem
        known = self.leases[key]["metadata"]
        metadata = changed.get("metadata", {})
        if metadata.get("name") != key[1] or metadata.get("uid", known["uid"]) != known["uid"]:
            return _status(409, "Conflict")
        if metadata.get("resourceVersion") != known["resourceVersion"]:
            return _status(409, "Conflict")
        changed["metadata"] = {**metadata, "uid": known["uid"], "resourceVersion": self._version()}
        self.leases[key] = changed
        return web.json_response(changed)


def _key(request: web.Request) -> tuple[str, str]:
    return request.match_info["namespace"], request.match_info["name"]


def _problem(lease: dict[str, Any]) -> web.Response | None:
    spec = lease.get("spec", {})
    sound = (
        lease.get("apiVersion") == "coordination.k8s.io/v1"
        and lease.get("kind") == "Lease"
        and spec.keys() <= _SPEC
        and isinstance(spec.get("leaseDurationSeconds", 1), int)
        and 0 < spec.get("leaseDurationSeconds", 1) <= _MAX_INT32
        and isinstance(spec.get("leaseTransitions", 0), int)
        and 0 <= spec.get("leaseTransitions", 0) <= _MAX_INT32
        and all(_MICRO_TIME.fullmatch(spec[field]) for field in ("acquireTime", "renewTime") if spec.get(field))
    )
    return None if sound else _status(422, "Invalid")


def _status(code: int, reason: str) -> web.Response:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "code": code,
        "message": reason,
    }
    return web.json_response(body, status=code)
