"""What is opened is closed, in the right order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from seamark.app import application, publishing
from seamark.app.application import open_application
from seamark.app.names import ORACLE
from seamark.evm.ports import Intent
from seamark.evm.transactions import Sender
from seamark.oracle.metrics import OracleMetrics
from seamark.oracle.service import Oracle
from seamark.oracle.settings import OracleSettings
from seamark.runtime.settings import validate_settings
from seamark.settings import Settings
from seamark.storage.database import Database, open_database
from tests.unit.evm.rpc.fake_node import FakeNode, block_hash

SOMEBODY = "0x" + "22" * 20


def settings_of(node: FakeNode) -> Settings:
    feed = {"chain": "home", "aggregator": SOMEBODY, "heartbeat": "1h", "deviation": "1%"}
    written: dict[str, Any] = {
        "database": "sqlite://",
        "chains": {"home": {"chain_id": 1, "rpc": [node.url]}},
        "oracle": {"signer": {"private_key": "0x" + "11" * 32}, "feeds": [feed]},
        **{listener: {"port": 0} for listener in ("api", "metrics", "health")},
    }
    return validate_settings(Settings, written)


async def test_a_running_commit_ends_before_the_database_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_feeds(*_: Any, **__: Any) -> Oracle:
        nothing: Any = None
        return Oracle({}, OracleMetrics(CollectorRegistry()), nothing, OracleSettings())

    steps: list[str] = []
    begun = asyncio.Event()

    async def slow_database(*given: Any, **more: Any) -> Database:
        database = await open_database(*given, **more)
        close, write = database.close, database.write

        async def closed() -> None:
            steps.append("database closed")
            await close()

        async def slow(work: Any, *, urgent: bool = False) -> Any:
            if not urgent:
                return await write(work)
            begun.set()
            for _ in range(20):
                await asyncio.sleep(0)
            result = await write(work, urgent=True)
            steps.append("committed")
            return result

        database.close, database.write = closed, slow  # type: ignore[method-assign]
        return database

    monkeypatch.setattr(publishing, "build_oracle", no_feeds)
    monkeypatch.setattr(application, "open_database", slow_database)
    async with FakeNode() as node:
        answers = {"eth_getTransactionCount": "0x0", "eth_getBalance": hex(10**18), "eth_gasPrice": "0x7"}
        for method, answer in answers.items():
            node.handlers[method] = lambda *_, answer=answer: answer
        headers = node.on_eth_getBlockByNumber
        node.handlers["eth_getBlockByNumber"] = lambda *params: headers(*params) | {"parentHash": block_hash(0)}
        async with open_application(settings_of(node), {ORACLE}) as app:
            sender = next(service for service in app.services if isinstance(service, Sender))
            submit = asyncio.create_task(sender.submit(Intent("price-1", SOMEBODY, b"", gas_limit=60_000)))  # type: ignore[arg-type]
            await asyncio.wait([submit, asyncio.create_task(begun.wait())], return_when=asyncio.FIRST_COMPLETED)
            assert not submit.done(), submit.exception()
            submit.cancel()
    assert steps == ["committed", "database closed"]
