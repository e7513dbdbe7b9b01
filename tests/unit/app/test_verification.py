"""The service that asks what verifiers say: there only where somebody is to be asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from seamark.app.verification import verification_watch
from seamark.core.errors import SettingsError
from seamark.messages.protocols.ccip.v2_0.watching import VerificationWatch
from seamark.runtime.events import Signal
from seamark.runtime.health import Status
from seamark.runtime.settings import validate_settings
from seamark.settings import Settings
from tests.support.clock import FakeClock

INDEXER = "https://user:secret@indexer.example/path"


def settings(**verification: Any) -> Settings:
    chain = {"chain_id": 1, "rpc": ["http://127.0.0.1:1"]}
    ccip = {"chains": [{"chain": "home", "router": "0x" + "01" * 20}], "verification": verification}
    return validate_settings(Settings, {"chains": {"home": chain}, "ccip": ccip})


def opened(given: Settings) -> VerificationWatch | None:
    chains: Any = SimpleNamespace(by_id=lambda: {1: object()}, session=None)
    metrics: Any = SimpleNamespace(add=None)
    database: Any = None
    registry = CollectorRegistry()
    return verification_watch(
        given,
        chains=chains,
        database=database,
        metrics=metrics,
        registry=registry,
        signal=Signal(),
        clock=FakeClock(),
    )


def test_without_indexers_nobody_is_asked() -> None:
    assert opened(settings()) is None


async def test_with_one_there_is_a_service() -> None:
    watch = opened(settings(indexers=[INDEXER], every="30s"))
    assert watch is not None
    assert watch.name == "ccip-verification"
    assert (await watch.health()).status is Status.OK


def test_an_indexers_address_keeps_its_secrets() -> None:
    given = settings(indexers=[INDEXER]).ccip.verification
    assert "secret" not in repr(given)
    assert "secret" not in given.model_dump_json()


@pytest.mark.parametrize("wrong", [{"indexers": ["ftp://x"]}, {"every": "0s"}, {"indexer": []}])
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="verification"):
        settings(**wrong)
