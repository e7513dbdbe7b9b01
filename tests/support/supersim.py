"""supersim: three anvils (an L1, two L2s) with the real interop contracts and, on request, a relayer.

Its npm package holds the binary for Linux on x86-64; the anvil it starts is the project's own. Its L2 ports let
through `eth_sendRawTransaction` only for messages that are true, and `eth_sendTransaction` for any: that is how a test
makes the real inbox write a false one.
"""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from seamark.devnet.anvil import find_anvil, free_port
from tests.support.npm_package import npm_package

__all__ = ["Supersim", "supersim"]

VERSION: Final = "0.1.0-alpha.58"
INTEGRITY: Final = "8YHo3j5AvhwDQNWuQvGnN12DBOV1pZYNl2XNM1IMgLydhe3oj9eaWay4F/ZSaSUOJiNPdAv9kDijepXeEAh+6A=="
START_S: Final = 60.0
STOP_S: Final = 10.0
LOOK_S: Final = 0.1
CHAINS: Final = (901, 902)


class Supersim:
    """Running; `urls` by chain id."""

    def __init__(self, urls: dict[int, str], session: aiohttp.ClientSession) -> None:
        self.urls = urls
        self._session = session

    async def request(self, chain_id: int, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with self._session.post(self.urls[chain_id], json=body) as response:
            answer = await response.json(content_type=None)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]


@asynccontextmanager
async def supersim(folder: Path, *, relay: bool) -> AsyncIterator[Supersim]:
    """Skips the test, in one line, where the package or the machine does not fit."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        pytest.skip("supersim's npm package has a binary for Linux on x86-64 only")
    binary = npm_package("supersim", VERSION, INTEGRITY) / "bin" / "supersim"
    binary.chmod(0o755)
    ports = {"l1": free_port(), "admin": free_port(), "l2": _free_pair()}
    logs = folder / "supersim"
    logs.mkdir(exist_ok=True)
    line = [str(binary), "--l1.port", str(ports["l1"]), "--l2.starting.port", str(ports["l2"])]
    line += ["--admin.port", str(ports["admin"]), "--logs.directory", str(logs)]
    line += ["--interop.autorelay"] if relay else []
    path = f"{find_anvil().parent}{os.pathsep}{os.environ.get('PATH', '')}"
    process = _spawn(line, folder, path)
    try:
        async with aiohttp.ClientSession() as session:
            found = Supersim(
                {chain_id: f"http://127.0.0.1:{ports['l2'] + at}" for at, chain_id in enumerate(CHAINS)}, session
            )
            await _ready(found, folder / "supersim.log", process)
            yield found
    finally:
        await asyncio.to_thread(_stop, process)


def _spawn(line: list[str], folder: Path, path: str) -> subprocess.Popen[bytes]:
    with (folder / "supersim.log").open("wb") as output:
        # A group of its own, because it starts anvils: they end together.
        return subprocess.Popen(
            line,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PATH": path, "TMPDIR": str(folder)},
            start_new_session=True,
        )


def _free_pair() -> int:
    while True:
        first = free_port()
        if first + 1 < 65_536 and _is_free(first + 1):
            return first


def _is_free(port: int) -> bool:
    import socket  # noqa: PLC0415

    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


async def _ready(found: Supersim, log: Path, process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(START_S):
        while "supersim is ready" not in _said(log):
            assert process.poll() is None, _said(log)[-600:]
            await asyncio.sleep(LOOK_S)
        for chain_id in CHAINS:
            assert int(await found.request(chain_id, "eth_chainId"), 16) == chain_id


def _said(log: Path) -> str:
    return log.read_text()


def _stop(process: subprocess.Popen[bytes]) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
            break
    with suppress(ProcessLookupError):  # anvils that outlived it
        os.killpg(process.pid, signal.SIGKILL)
