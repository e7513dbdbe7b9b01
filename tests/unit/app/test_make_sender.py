"""What the settings of a chain mean for its sender."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from seamark.app.chains import OpenChain, make_sender
from seamark.core.ids import ChainId
from seamark.evm.metrics import TransactionMetrics
from seamark.evm.rpc import Chain
from seamark.evm.settings import ChainSettings
from seamark.evm.signers import RawKeySigner
from seamark.evm.transactions import SenderSettings
from seamark.runtime.clock import SystemClock
from seamark.runtime.http import make_session
from seamark.runtime.settings import validate_settings
from seamark.storage.database import open_database


async def sender_settings(**written: Any) -> SenderSettings:
    url = "http://127.0.0.1:1"
    settings = validate_settings(ChainSettings, {"chain_id": 138, "rpc": [url], **written})
    database = await open_database("sqlite://")
    try:
        async with make_session() as session:
            item = OpenChain("besu", settings, Chain(ChainId(138), [url], session=session))
            sender = make_sender(
                item,
                RawKeySigner.from_hex("11" * 32),
                database=database,
                clock=SystemClock(),
                metrics=TransactionMetrics(CollectorRegistry()),
            )
            return sender._settings
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("written", "confirmations"),
    [
        ({"finality": {"depth": 0}}, 1),
        ({"finality": {"depth": 12}}, 13),
        ({"finality": {"depth": 0}, "fees": {"confirmations": 3}}, 3),
        ({}, 65),
    ],
)
async def test_without_a_tag_a_transaction_is_final_no_sooner_than_its_block(
    written: dict[str, Any], confirmations: int
) -> None:
    assert (await sender_settings(**written)).confirmations == confirmations


async def test_limits_are_passed_on() -> None:
    settings = await sender_settings(
        fees={"max_gas_price": 7, "min_tip": 2, "bump_after": "9s", "legacy": True, "spend_per_day": "0.5 ether"},
        finality={"tag": "safe"},
        poll_interval="3s",
    )
    assert (settings.fees.ceiling, settings.fees.min_tip, settings.fees.legacy) == (7, 2, True)
    assert (settings.spend_per_day, settings.patience.replace_ms) == (5 * 10**17, 9000)
    assert (settings.patience.bump_ms, settings.final_tag, settings.poll_s) == (9000, "safe", 3.0)
