"""For tests of the page: the API on a real port around in-memory fakes, and headless Chromium."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seamark.api.app import create_app
from seamark.api.page import find_web_root
from seamark.api.ports import AlertDesk
from seamark.api.routes.interop import IncidentDesk
from seamark.api.routes.interop_messages import ExecutingReader
from seamark.api.service import ApiService
from seamark.api.settings import ApiSettings
from seamark.api.sse import StreamLimits
from seamark.runtime.events import Signal
from seamark.runtime.health import Health, HealthRegistry
from seamark.storage.database import Database, open_database
from tests.unit.api.fakes import NAMES, Story

__all__ = ["CHROMIUM", "CHROMIUM_FLAGS", "ServedApi", "opened_story", "serving"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class ServedApi:
    """A running API."""

    service: ApiService
    story: Story
    health: HealthRegistry
    app: Any
    task: asyncio.Task[None]

    @property
    def url(self) -> str:
        return self.service.url.rstrip("/")

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


@asynccontextmanager
async def opened_story(path: Path) -> AsyncIterator[Story]:
    """Fakes with a real event log in a file."""
    database: Database = await open_database(f"sqlite:///{path / 'story.db'}")
    try:
        yield Story(database, Signal())
    finally:
        await database.close()


@asynccontextmanager
async def serving(
    story: Story,
    *,
    port: int = 0,
    limits: StreamLimits | None = None,
    settings: dict[str, Any] | None = None,
    alerts: AlertDesk | None = None,
    incidents: IncidentDesk | None = None,
    executing: ExecutingReader | None = None,
) -> AsyncIterator[ServedApi]:
    """The API on 127.0.0.1 until the block ends."""
    health = HealthRegistry()

    async def fine() -> Health:
        return Health.ok("all good")

    health.register("database", fine)
    app = create_app(
        database=story.database,
        feeds=story.feeds,
        messages=story.messages,
        health=health,
        metrics=lambda: b"# HELP up 1 if alive\n# TYPE up gauge\nup 1\n",
        signal=story.signal,
        names=NAMES,
        version="0.0.0",
        web_root=find_web_root(),
        chains=story.chains,
        alerts=alerts,
        incidents=incidents,
        executing=executing,
        limits=limits or StreamLimits(),
    )
    service = ApiService(ApiSettings.model_validate({"port": port, **(settings or {})}), app)
    service.bind()
    served = ServedApi(service, story, health, app, asyncio.create_task(service.run()))
    try:
        yield served
    finally:
        await served.stop()
