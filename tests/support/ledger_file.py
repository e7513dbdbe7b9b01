"""A database file with messages in it, as services leave one behind: for commands that read beside them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from seamark.storage.database import open_database
from tests.unit.messages.history import World

__all__ = ["FileWorld"]


class FileWorld(World):
    """A `World` in a file of the newest schema; close it before a command reads it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        super().close()

        async def make() -> None:
            database = await open_database(f"sqlite:///{path}")
            await database.close()

        asyncio.run(make())
        self._engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
        self.connection = self._engine.connect()
        self.join("ccip")

    def close(self) -> None:
        self.connection.commit()
        super().close()
        self._engine.dispose()
