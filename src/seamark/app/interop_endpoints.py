"""The servers beside OP Stack chains that interop is watched and stopped by: supervisors, interop filters, replicas.

Endpoints that want to know who calls get a JSON web token of a shared secret, fresh with each call.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

import aiohttp
import msgspec

from seamark.core.errors import SettingsError, TemporaryError
from seamark.messages.protocols.op_interop.filters import Opinion, opinion_of
from seamark.messages.protocols.op_interop.settings import TokenSettings
from seamark.runtime.clock import Clock
from seamark.runtime.http_rpc import RpcRefusal, address_label, bearer_token, call_rpc

__all__ = ["AdminEndpoint", "FilterClient", "ReplicaClient", "read_token_secret"]

ADMIN_TIMEOUT_S: Final = 10.0
FILTER_TIMEOUT_S: Final = 2.0  # a filter answers from memory; it is in the way of transactions
REPLICA_TIMEOUT_S: Final = 10.0
SECRET_BYTES: Final = 32
_BOOL: Final = msgspec.json.Decoder(bool)


class AdminEndpoint:
    """A supervisor's or filter's admin interface over JSON-RPC (`FailsafeEndpoint`)."""

    def __init__(self, url: str, *, session: aiohttp.ClientSession, clock: Clock, secret: bytes | None = None) -> None:
        self.label = address_label(url)
        self._url = url
        self._session = session
        self._clock = clock
        self._secret = secret

    def __repr__(self) -> str:
        return f"AdminEndpoint({self.label})"

    async def set_failsafe(self, *, enabled: bool) -> None:
        await self._call("admin_setFailsafeEnabled", enabled)

    async def get_failsafe(self) -> bool:
        raw = await self._call("admin_getFailsafeEnabled")
        try:
            return _BOOL.decode(raw)
        except msgspec.MsgspecError as error:
            raise TemporaryError(f"{self.label}: admin_getFailsafeEnabled did not answer yes or no") from error

    async def _call(self, method: str, *params: Any) -> msgspec.Raw:
        secret = self._secret
        headers = {} if secret is None else {"Authorization": bearer_token(secret, self._clock.now())}
        return await call_rpc(self._session, self._url, method, params, timeout_s=ADMIN_TIMEOUT_S, headers=headers)


class FilterClient:
    """An interop filter's public interface (`FilterEndpoint`)."""

    def __init__(self, url: str, *, session: aiohttp.ClientSession, method: str, min_safety: str) -> None:
        self.label = address_label(url)
        self._url = url
        self._session = session
        self._method = method
        self._min_safety = min_safety

    async def check(self, entries: Sequence[str], chain_id: int, timestamp: int) -> Opinion:
        # As op-geth writes it: the chain in decimal digits, times in hex; without a timeout, that very block is meant.
        block = {"chainID": str(chain_id), "timestamp": hex(timestamp), "timeout": "0x0"}
        try:
            await call_rpc(
                self._session,
                self._url,
                self._method,
                (list(entries), self._min_safety, block),
                timeout_s=FILTER_TIMEOUT_S,
            )
        except RpcRefusal as error:
            opinion = opinion_of(error.code, f"{error.text} ({error.code})")
            if opinion is None:
                raise TemporaryError(str(error)) from error
            return opinion
        return Opinion(True)


class ReplicaClient:
    """A supernode (`Replica` and `Supernode`)."""

    def __init__(self, url: str, *, session: aiohttp.ClientSession) -> None:
        self.label = address_label(url)
        self._url = url
        self._session = session

    async def super_root(self, timestamp: int) -> msgspec.Raw:
        return await call_rpc(
            self._session, self._url, "superroot_atTimestamp", (hex(timestamp),), timeout_s=REPLICA_TIMEOUT_S
        )

    async def sync_status(self) -> msgspec.Raw:
        return await call_rpc(self._session, self._url, "supernode_syncStatus", (), timeout_s=REPLICA_TIMEOUT_S)


def read_token_secret(
    wanted: TokenSettings | None,
    setting: str,
    *,
    environment: Mapping[str, str] = os.environ,
) -> bytes | None:
    """The secret of 32 bytes; None where none is named.

    Raises:
        SettingsError: It cannot be read, or is no secret; names the setting and never shows the secret.
    """
    if wanted is None:
        return None
    if wanted.file is not None:
        # Imported late: the signers' package is heavier than a monitor without files needs.
        from seamark.evm.signers.secret_files import read_secret_file  # noqa: PLC0415

        setting = f"{setting}.file"
        text = read_secret_file(wanted.file, setting=setting).decode("ascii", "replace").strip()
    else:
        setting, name = f"{setting}.env", str(wanted.env)
        text = environment.get(name, "").strip()
        if not text:
            raise SettingsError(setting, f"the variable {name} is not set", remedy="export it")
    try:
        secret = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise SettingsError(
            setting, f"holds no {SECRET_BYTES} bytes in hex", remedy="make one: openssl rand -hex 32, for both sides"
        )
    return secret
