"""A way to a server that can be cut, or that swallows everything: the network between two processes.

async with TcpProxy(unix_socket) as way:
    await way.cut()     # connections break, new ones are refused
    way.swallow()       # connections stay, nothing arrives any more: a cable that was pulled
    way.heal()
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self

__all__ = ["TcpProxy"]

HOST = "127.0.0.1"
CHUNK = 65_536


class TcpProxy:
    """Forwards bytes to a Unix socket. `port` is where it listens."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._server: asyncio.Server | None = None
        self._ways: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._refuses = False
        self._open = asyncio.Event()
        self._open.set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.cut()
        for way in self._ways:
            way.cancel()
        await asyncio.gather(*self._ways, return_exceptions=True)

    async def cut(self) -> None:
        """Break what is open, and refuse what comes."""
        self._refuses = True
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    def swallow(self) -> None:
        """From now on nothing passes; whoever sends believes that it did."""
        self._open.clear()

    def heal(self) -> None:
        self._refuses = False
        self._open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._ways.add(task)
        try:
            await self._join(reader, writer)
        finally:
            self._ways.discard(task)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            return
        self._writers.add(writer)
        await self._open.wait()
        with suppress(OSError):
            upper_reader, upper = await asyncio.open_unix_connection(self._socket)
            self._writers.add(upper)
            try:
                ends = [
                    asyncio.create_task(self._pump(reader, upper)),
                    asyncio.create_task(self._pump(upper_reader, writer)),
                ]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                for end in ends:
                    end.cancel()
                await asyncio.gather(*ends, return_exceptions=True)
            finally:
                upper.transport.abort()
                self._writers -= {writer, upper}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
