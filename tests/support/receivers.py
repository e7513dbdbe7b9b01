"""Somebody to notify: an HTTP server that keeps what it is sent and answers as told, and a small SMTP server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiohttp import web


@dataclass(slots=True)
class Request:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Recorder:
    """`answers` are given one after the other, then 200 for ever. `gate` holds back every answer while it is clear."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests.append(Request(request.path_qs, dict(request.headers), body))
        await self.gate.wait()
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(status=status, text="ok", headers=self.headers)


@asynccontextmanager
async def recorder() -> AsyncIterator[Recorder]:
    """On a free port of loopback."""
    recording = Recorder()
    recording.gate.set()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", recording.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    recording.url = f"http://127.0.0.1:{port}"
    try:
        yield recording
    finally:
        recording.gate.set()
        await runner.cleanup()


@dataclass(slots=True)
class Mailbox:
    port: int = 0
    envelopes: list[tuple[str, list[str], EmailMessage]] = field(default_factory=list)


@asynccontextmanager
async def smtp_server() -> AsyncIterator[Mailbox]:
    """Takes every mail (RFC 5321, without extensions)."""
    mailbox = Mailbox()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _Session(mailbox, reader, writer).run()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()
        await server.wait_closed()


class _Session:
    def __init__(self, mailbox: Mailbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._mailbox = mailbox
        self._reader = reader
        self._writer = writer
        self._sender = ""
        self._to: list[str] = []

    async def run(self) -> None:
        await self._say("220 test")
        while line := (await self._reader.readline()).decode().strip():
            verb = line[:4].upper()
            if verb == "QUIT":
                await self._say("221 bye")
                break
            await self._obey(verb, line)
        self._writer.close()

    async def _obey(self, verb: str, line: str) -> None:
        match verb:
            case "MAIL":
                self._sender = line.partition(":")[2].strip()
                await self._say("250 ok")
            case "RCPT":
                self._to.append(line.partition(":")[2].strip(" <>"))
                await self._say("250 ok")
            case "DATA":
                await self._say("354 go on")
                lines: list[bytes] = []
                while (part := await self._reader.readline()) != b".\r\n":
                    lines.append(part.removeprefix(b"."))
                mail: Any = message_from_bytes(b"".join(lines), policy=policy.default)
                self._mailbox.envelopes.append((self._sender, self._to, mail))
                await self._say("250 taken")
            case _:
                await self._say("250 ok")

    async def _say(self, text: str) -> None:
        self._writer.write(f"{text}\r\n".encode())
        await self._writer.drain()
