"""Reads a server-sent event stream as a script would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

PATIENCE_S = 8


@dataclass
class Frame:
    """One block of the stream."""

    id: int | None = None
    name: str = ""
    data: Any = None
    comment: str = ""


@dataclass
class EventReader:
    """Frames of one connection."""

    response: aiohttp.ClientResponse
    seen: list[Frame] = field(default_factory=list)

    async def next(self) -> Frame:
        async with asyncio.timeout(PATIENCE_S):
            frame = Frame()
            while True:
                line = (await self.response.content.readline()).decode()
                if not line:
                    raise EOFError
                if line == "\n":
                    break
                name, _, value = line.rstrip("\n").partition(": ")
                match name:
                    case "id":
                        frame.id = int(value)
                    case "event":
                        frame.name = value
                    case "data":
                        frame.data = json.loads(value)
                    case "":
                        frame.comment = value
            self.seen.append(frame)
            return frame

    async def hello(self) -> Frame:
        while True:
            frame = await self.next()
            if frame.name == "hello":
                return frame

    async def events(self, count: int) -> list[Any]:
        """The next events' bodies."""
        found: list[Any] = []
        while len(found) < count:
            frame = await self.next()
            if frame.data is not None and not frame.name:
                assert frame.id == frame.data["id"]
                found.append(frame.data)
        return found

    async def end(self) -> None:
        """Read to the end of the stream."""
        try:
            while True:
                await self.next()
        except (EOFError, aiohttp.ClientError):
            return


@asynccontextmanager
async def listening(
    client: aiohttp.ClientSession, url: str, query: str = "", **headers: str
) -> AsyncIterator[EventReader]:
    async with client.get(f"{url}/api/events{query}", headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        yield EventReader(response)
