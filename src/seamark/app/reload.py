"""Other settings without a restart: the file is read again when it changes and at SIGHUP.

    file --read, check--> Settings --compare--> what can change now: prepared, then applied
                                            --> what needs a restart: named

Invariants:
- Nothing changes unless all of it can: a file that is wrong, or that does not fit a chain, leaves everything as it
  runs, and is told in the log, in a metric and in health until it is mended.
- What is in force is known: a setting that waits for a restart is compared with what runs, not with the file before.
- A file is read when it has been the same at two looks, so that nobody's half-written file is taken for settings.
"""

from __future__ import annotations

import asyncio
import hashlib
import signal
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from seamark.app.monitors import MONITORS
from seamark.app.names import API, ORACLE
from seamark.app.publishing import Publishing, ServiceHost
from seamark.core.errors import SeamarkError, SettingsError, TemporaryError
from seamark.oracle.service import Changes
from seamark.runtime.clock import Clock
from seamark.runtime.health import Health
from seamark.runtime.logs import configure_logs
from seamark.runtime.settings import SettingsModel
from seamark.settings import Settings

__all__ = ["Reloader", "SettingsFile", "in_force", "restart_needed"]

LOOK_S: Final = 1.0  # a look is one stat
RETRY_S: Final = 15.0  # a chain that did not answer may answer now
HASH_BYTES: Final = 6  # what a float of Prometheus holds exactly

LIVE: Final = frozenset({"feeds", "watch", "watch_interval", "venues"})
"""What of `oracle` changes without a restart."""

_LATER: Final = frozenset({"logs", "start_timeout", "operations", "recovery", "chains", "oracle"})
"""Sections that are looked at otherwise, or by commands alone."""

log = structlog.get_logger("seamark.app")


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """Where settings come from. `read` reads and checks the whole file."""

    path: Path
    read: Callable[[], Settings]


# ---- what can change -------------------------------------------------------------------------------------------------


def restart_needed(
    running: Settings, wanted: Settings, services: Collection[str], chains: Collection[str]
) -> list[str]:
    """The settings, as dotted paths, that differ and take effect with a restart alone.

    Args:
        running: What is in force.
        wanted: What the file says.
        services: What this process runs; other services' sections do not matter.
        chains: Those that it has opened.
    """
    mine = _sections(services)
    found: list[str] = []
    for name in type(running).model_fields:
        if name in _LATER or name not in mine:
            continue
        found += _differences(name, getattr(running, name), getattr(wanted, name))
    if ORACLE in services:
        found += [
            path for path in _differences("oracle", running.oracle, wanted.oracle) if path.split(".")[1] not in LIVE
        ]
    for name in chains:
        if name in wanted.chains:
            found += _differences(f"chains.{name}", running.chains[name], wanted.chains[name])
    return found


def _sections(services: Collection[str]) -> set[str]:
    others = {kind.section for name, kind in MONITORS.items() if name not in services}
    return set(Settings.model_fields) - others - (set() if API in services else {"api"})


def _differences(at: str, old: object, new: object) -> list[str]:
    if old == new:
        return []
    if not (isinstance(old, SettingsModel) and isinstance(new, SettingsModel)):
        return [at]
    return [f"{at}.{name}" for name in type(old).model_fields if getattr(old, name) != getattr(new, name)]


def in_force(running: Settings, wanted: Settings, chains: Collection[str]) -> Settings:
    """What runs once everything that can change has changed."""
    live = {name: getattr(wanted.oracle, name) for name in LIVE}
    opened = {name: running.chains[name] for name in chains if name in running.chains}
    return running.model_copy(
        update={
            "oracle": running.oracle.model_copy(update=live),
            "chains": {**wanted.chains, **opened},
            "logs": wanted.logs,
            "start_timeout": wanted.start_timeout,
        }
    )


# ---- the service -----------------------------------------------------------------------------------------------------


class ReloadMetrics:
    """How reading again went."""

    def __init__(self, registry: CollectorRegistry) -> None:
        name = "seamark_config"
        self._total = Counter(
            f"{name}_reload_total", "Times the settings file was read again.", ("result",), registry=registry
        )
        for result in ("success", "failure"):
            self._total.labels(result)
        self._ok = Gauge(f"{name}_last_reload_successful", "1 if the file as it is could be taken.", registry=registry)
        self._at = Gauge(
            f"{name}_last_reload_success_timestamp_seconds",
            "When settings were last taken from the file, at the start or later.",
            registry=registry,
        )
        self._hash = Gauge(
            f"{name}_hash", "The first 48 bits of the SHA-256 of the file that is in force.", registry=registry
        )
        self._restart = Gauge(
            f"{name}_restart_needed", "Settings in the file that wait for a restart.", registry=registry
        )

    def taken(self, digest: str, at: float, waiting: int, *, again: bool) -> None:
        if again:
            self._total.labels("success").inc()
        self._ok.set(1)
        self._at.set(at)
        self._hash.set(int(digest[: 2 * HASH_BYTES], 16))
        self._restart.set(waiting)

    def refused(self) -> None:
        self._total.labels("failure").inc()
        self._ok.set(0)


class Reloader:
    """Follows the settings file. A `Service`.

    Args:
        file: Where it is, and how it is read.
        running: What is in force.
        services: What this process runs.
        publishing: The oracle, where it runs here.
        host: Runs services.
        registry: For metrics.
        clock: Time.
    """

    name = "settings"

    def __init__(
        self,
        file: SettingsFile,
        running: Settings,
        services: Collection[str],
        *,
        publishing: Publishing | None,
        host: ServiceHost,
        registry: CollectorRegistry,
        clock: Clock,
    ) -> None:
        self.running = running
        self._file = file
        self._services = frozenset(services)
        self._publishing = publishing
        self._host = host
        self._clock = clock
        self._asked = asyncio.Event()
        self._seen = _stamp(file.path)
        self._digest = _digest(file.path)
        self._problem = ""
        self._waiting: list[str] = []
        self._retry_at: float | None = None
        self._metrics = ReloadMetrics(registry)
        self._metrics.taken(self._digest or "0", clock.now(), 0, again=False)

    async def health(self) -> Health:
        """Whether what the file says is in force."""
        if self._problem:
            return Health.degraded(f"the file was not taken, the settings before it stay: {self._problem}")
        if self._waiting:
            return Health.degraded(f"in the file, but in force after a restart alone: {', '.join(self._waiting)}")
        return Health.ok(str(self._file.path))

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._asked.set)
        try:
            while True:
                await self._look()
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    async def _look(self) -> None:
        if await self._asked_within(LOOK_S):
            self._seen = _stamp(self._file.path)
            await self.reload("signal")
            return
        stamp = _stamp(self._file.path)
        if stamp != self._seen:
            if not await self._asked_within(LOOK_S) and _stamp(self._file.path) != stamp:
                return  # still being written: the next look decides
            self._seen = stamp
            if _digest(self._file.path) != self._digest or self._problem:
                await self.reload("file")
        elif self._retry_at is not None and self._clock.monotonic() >= self._retry_at:
            await self.reload("again")

    async def _asked_within(self, seconds: float) -> bool:
        """Whether SIGHUP came meanwhile."""
        asked = asyncio.ensure_future(self._asked.wait())
        slept = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((asked, slept), return_when=asyncio.FIRST_COMPLETED)
            return self._asked.is_set()
        finally:
            asked.cancel()
            slept.cancel()
            self._asked.clear()

    async def reload(self, why: str) -> bool:
        """Take what the file says; whether that could be."""
        self._retry_at = None
        try:
            digest = _digest(self._file.path)
            wanted = await asyncio.to_thread(self._file.read)
            changes = await self._take(wanted)
        except SeamarkError as error:
            self._refuse(error, why)
            return False
        if self._problem:
            log.info("settings are well again")
        self._digest, self._problem = digest, ""
        self._metrics.taken(digest or "0", self._clock.now(), len(self._waiting), again=True)
        log.info("settings taken", why=why, hash=(digest or "")[: 2 * HASH_BYTES], **_shown(changes))
        if self._waiting:
            log.warning("settings that take a restart", settings=self._waiting)
        return True

    def _refuse(self, error: SeamarkError, why: str) -> None:
        text = str(error)
        if isinstance(error, TemporaryError) or not isinstance(error, SettingsError):
            self._retry_at = self._clock.monotonic() + RETRY_S
        if text != self._problem:
            log.error("settings not taken, those before stay", why=why, error=text)
        self._problem = text
        self._metrics.refused()

    async def _take(self, wanted: Settings) -> Changes:
        opened = _opened(self._publishing, self.running)
        waiting = restart_needed(self.running, wanted, self._services, opened)
        changes = Changes()
        if self._publishing is not None:
            target = in_force(self.running, wanted, opened)
            prepared = await self._publishing.prepare(target)
            changes = await self._publishing.apply(prepared, self._host)
        if wanted.logs != self.running.logs:
            configure_logs(wanted.logs.form, wanted.logs.level)
        self.running = in_force(self.running, wanted, opened)
        self._waiting = waiting
        return changes


def _opened(publishing: Publishing | None, running: Settings) -> Collection[str]:
    return publishing.opened if publishing is not None else list(running.chains)


def _shown(changes: Changes) -> Mapping[str, list[str]]:
    found = {"added": changes.added, "removed": changes.removed, "changed": changes.changed}
    return {name: list(feeds) for name, feeds in found.items() if feeds}


def _stamp(path: Path) -> tuple[int, ...] | None:
    """What differs once the file was written, replaced, or its link (a ConfigMap's) leads elsewhere."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
