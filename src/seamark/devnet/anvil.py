"""An anvil node as a child process.

Model: one `Anvil` is one chain on one loopback port. With a state file it resumes where it stopped: blocks with their
hashes and timestamps, logs, receipts, balances and code come back, and new blocks follow the old ones. What does not
come back is the state *as of* older blocks (`eth_call` at a number below the block it stopped at).

Anvil writes its state when it ends by SIGINT or SIGTERM, and every `state_interval_s`. When anvil itself is killed with
SIGKILL, the blocks since the last write are gone and the chain grows again from there, with other hashes: to a reader
this is a reorg, as deep as the interval is long, and may go below a block that was called final.

Invariant: no anvil outlives the process that started it, however that process ends (see `die_with_parent`).
Measured with anvil 1.7.1.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import platform
import shutil
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import aiohttp

from seamark.core.errors import SettingsError, StopError, TemporaryError
from seamark.core.ids import ChainId

__all__ = ["Anvil", "AnvilOptions", "find_anvil", "free_port"]

HOST = "127.0.0.1"
START_TIMEOUT_S = 20.0  # a start takes 0.1 s; a large state on a busy machine a few
STOP_TIMEOUT_S = 20.0  # writing a state of some 10,000 blocks takes a second or two
POLL_S = 0.02
PORT_ATTEMPTS = 5  # a free port can be taken by somebody else between the look and the start
LOG_TAIL_CHARS = 600
BLOCK_GAS_LIMIT = 60_000_000  # what mainnet has since 2025: room for some 200 executed messages in a block
STATES_IN_MEMORY = 512  # recent blocks at which `eth_call` works; older states are dropped, not written to disk
_SHIM = Path(__file__).with_name("die_with_parent.py")
_REMEDY = "run `make demo` or `npm ci` in the project's folder, or set SEAMARK_ANVIL to an anvil binary"


@dataclass(frozen=True, slots=True)
class AnvilOptions:
    """How one chain runs.

    `port` 0 picks a free one. `block_time_s` 0 mines a block for each transaction; `base_fee` 0 makes the gas free
    for good (anvil keeps a base fee of zero as it is). `port_setting` is the name to show when the port is taken.
    `inherited` are file descriptors that the node holds open for as long as it lives, such as the lock of its data
    folder.
    """

    chain_id: ChainId
    port: int = 0
    block_time_s: int = 0
    zero_fee: bool = False
    state_file: Path | None = None
    state_interval_s: int = 10
    log_file: Path | None = None
    port_setting: str = "port"
    inherited: tuple[int, ...] = ()

    def arguments(self, port: int) -> list[str]:
        """The command line, without the program."""
        line = ["--host", HOST, "--port", str(port), "--chain-id", str(self.chain_id), "--quiet"]
        line += ["--slots-in-an-epoch", "1"]  # safe = head - 1, finalized = head - 2
        line += ["--gas-limit", str(BLOCK_GAS_LIMIT), "--prune-history", str(STATES_IN_MEMORY)]
        if self.zero_fee:
            line += ["--gas-price", "0", "--block-base-fee-per-gas", "0", "--disable-min-priority-fee"]
        if self.block_time_s:
            line += ["--block-time", str(self.block_time_s)]
        if self.state_file is not None:
            line += ["--state", str(self.state_file), "--state-interval", str(self.state_interval_s)]
        return line


class Anvil:
    """One running node; an async context manager, or `start()` and `stop()`."""

    def __init__(self, options: AnvilOptions, *, binary: Path | None = None) -> None:
        self.options = options
        self._binary = binary
        self._port = 0
        self._process: asyncio.subprocess.Process | None = None
        self._http: aiohttp.ClientSession | None = None
        self._requests = 0

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start and wait until it answers.

        Raises:
            StopError: No binary, or anvil left at once (its last words are in the message).
            SettingsError: The port is taken.
        """
        binary = self._binary or find_anvil()
        attempts = 1 if self.options.port else PORT_ATTEMPTS
        for attempt in range(attempts):
            self._port = self.options.port or free_port()
            _check_port(self._port, self.options.port_setting)
            try:
                await self._launch(binary)
            except StopError:
                await self.stop()
                if attempt == attempts - 1:
                    raise
            except BaseException:
                await self.stop()
                raise
            else:
                return

    async def stop(self) -> None:
        """End by SIGINT, so that the state is written; by SIGKILL when that takes too long. Safe to call twice."""
        http, self._http = self._http, None
        if http is not None:
            await http.close()
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def kill(self) -> None:
        """End by SIGKILL: what is not in the state file is lost. For tests."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        await self.stop()

    async def request(self, method: str, *params: Any) -> Any:
        """One JSON-RPC call for anvil's own methods (mining, time, reorg); chain reads go through `evm.rpc`.

        Raises:
            TemporaryError: The node does not answer.
            StopError: It answers with an error.
        """
        if self._http is None:
            raise StopError(f"anvil for chain {self.options.chain_id} is not running")
        self._requests += 1
        body = {"jsonrpc": "2.0", "id": self._requests, "method": method, "params": list(params)}
        try:
            async with self._http.post(self.url, json=body) as response:
                answer = await response.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise TemporaryError(f"anvil for chain {self.options.chain_id} does not answer {method}") from error
        if "error" in answer:
            raise StopError(
                f"anvil for chain {self.options.chain_id} refuses {method}: {answer['error'].get('message')}"
            )
        return answer["result"]

    async def mine(self, blocks: int = 1) -> None:
        """Add empty blocks at once."""
        await self.request("anvil_mine", hex(blocks))

    async def set_block_time(self, seconds: int) -> None:
        """A block every so many seconds from now on; 0 goes back to one block for each transaction."""
        if seconds:
            await self.request("evm_setIntervalMining", seconds)
        else:
            await self.request("evm_setIntervalMining", 0)
            await self.request("evm_setAutomine", True)

    async def _launch(self, binary: Path) -> None:
        shim = [sys.executable, "-I", "-S", str(_SHIM), str(os.getpid())]
        with self._open_log() as log:
            self._process = await asyncio.create_subprocess_exec(
                *shim,
                str(binary),
                *self.options.arguments(self._port),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=self.options.inherited,
            )
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await self._answers():  # noqa: ASYNC110 - another process cannot set an event here
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            raise StopError(
                f"anvil on port {self._port} did not answer within {START_TIMEOUT_S:.0f} s{self._last_words()}"
            ) from error

    async def _answers(self) -> bool:
        if not self.running:
            raise StopError(
                f"anvil for chain {self.options.chain_id} left while starting{self._last_words()}", remedy=_REMEDY
            )
        try:
            return int(str(await self.request("eth_chainId")), 16) == self.options.chain_id
        except TemporaryError:
            return False

    def _open_log(self) -> IO[bytes]:
        target = self.options.log_file or Path(os.devnull)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.open("wb")

    def _last_words(self) -> str:
        if self.options.log_file is None:
            return ""
        with contextlib.suppress(OSError):
            return f": {self.options.log_file.read_text(errors='replace')[-LOG_TAIL_CHARS:].strip()}"
        return ""


def find_anvil() -> Path:
    """The native binary: SEAMARK_ANVIL, else the npm package of the project, else PATH.

    The `anvil` that npm links is a Node script that starts the binary as its child; signals and pids must mean the
    binary itself, so the script is resolved to it.

    Raises:
        StopError: There is none; names the remedy.
    """
    named = os.environ.get("SEAMARK_ANVIL")
    if named:
        path = Path(named)
        if not os.access(path, os.X_OK):
            raise SettingsError("SEAMARK_ANVIL", f"{named} is not an executable file", remedy=_REMEDY)
        return _native(path) or path
    for root in node_module_roots():
        packaged = root / "@foundry-rs" / _package_name() / "bin" / "anvil"
        if os.access(packaged, os.X_OK):
            return packaged
    found = shutil.which("anvil")
    native = _native(Path(found)) if found else None
    if native is not None:
        return native
    raise StopError("anvil is not installed", remedy=_REMEDY)


def node_module_roots() -> list[Path]:
    """`node_modules` folders that may hold our packages: of the working folder and above, then of the source tree."""
    starts = [Path.cwd(), *Path.cwd().parents, *Path(__file__).resolve().parents]
    roots = dict.fromkeys(start / "node_modules" for start in starts)
    return [root for root in roots if root.is_dir()]


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _package_name() -> str:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"anvil-{platform.system().lower()}-{machine}"


def _native(path: Path) -> Path | None:
    """The binary behind an npm link; the path itself when it is a binary; None for a script that leads nowhere."""
    real = path.resolve()
    if real.suffix not in (".mjs", ".js"):
        return real
    packaged = real.parent.parent / _package_name() / "bin" / "anvil"
    return packaged if os.access(packaged, os.X_OK) else None


def _check_port(port: int, setting: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise SettingsError(
                setting,
                f"port {port} is taken",
                remedy="stop what listens there, or choose another port (0 picks a free one)",
            ) from error
