"""Seamark as a user runs it: a process with a settings file or an environment, ended by its own pid."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

SOURCE = Path(__file__).resolve().parents[2] / "src"
START_LIMIT_S = 60.0
STOP_LIMIT_S = 20.0


class Seamark:
    """One `seamark` command. Its log (JSON lines) goes to a file, so that a killed process leaves its last words."""

    def __init__(
        self, *arguments: str, folder: Path, environment: dict[str, str] | None = None, module: str = "seamark"
    ) -> None:
        self._module = module
        self._arguments = arguments
        self._folder = folder
        self._environment = environment or {}
        self._process: Process | None = None
        self.log = folder / "seamark.log"

    async def start(self) -> Seamark:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "PYTHONPATH": str(SOURCE),  # the very tree that these tests are of
            **self._environment,
        }
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", self._module, *self._arguments,
                cwd=self._folder, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        return self

    async def running(self) -> dict[str, Any]:
        """Wait for the line that says so, and return it."""
        async with asyncio.timeout(START_LIMIT_S):
            while True:
                for line in self.lines():
                    if line.get("event") == "running":
                        return line
                if self.process.returncode is not None:
                    raise AssertionError(f"ended with {self.process.returncode}: {self.text()}")
                await asyncio.sleep(0.02)

    @property
    def process(self) -> Process:
        assert self._process is not None, "not started"
        return self._process

    async def kill(self) -> None:
        """SIGKILL: nothing of ours runs any more after this."""
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM, and the exit code."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_LIMIT_S):
            return await self.process.wait()

    async def wait(self) -> int:
        async with asyncio.timeout(START_LIMIT_S):
            return await self.process.wait()

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def lines(self) -> list[dict[str, Any]]:
        found = []
        for line in self.text().splitlines():
            with suppress(ValueError):
                value = json.loads(line)
                if isinstance(value, dict):
                    found.append(value)
        return found


def write_settings(folder: Path, values: dict[str, Any], name: str = "seamark.yaml") -> Path:
    file = folder / name
    file.write_text(yaml.safe_dump(values, sort_keys=False))
    return file
