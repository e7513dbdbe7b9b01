"""Looks on a timer, and what was spent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from seamark.core.errors import SettingsError
from seamark.core.findings import Finding
from seamark.core.ids import Address, ChainId, Selector
from seamark.messages.protocols.ccip import CcipChain
from seamark.messages.protocols.ccip.checks import (
    ChainCheck,
    ChecksSettings,
    PriceCheck,
    SenderCheck,
    SenderSettings,
    judge_chain,
)
from seamark.messages.protocols.ccip.checks.metrics import CheckMetrics
from seamark.messages.protocols.ccip.checks.service import CheckService, open_checks
from seamark.messages.store import list_messages
from seamark.messages.store.spending import spending
from seamark.runtime.health import Status
from seamark.storage.database import Database, open_database
from tests.support.clock import FakeClock
from tests.unit.messages.ccip_checks.test_rules import CHECK, with_lane
from tests.unit.messages.history import FEE_TOKEN, A, B, World, sent

EVERY_S = 60.0


class Looks:
    """Stands for `Checks`: what the next look will find."""

    def __init__(self) -> None:
        self.next: list[ChainCheck] = [CHECK]
        self.senders: list[SenderSettings] = []
        self.count = 0

    async def failed_sends(self) -> list[Finding]:
        return []

    async def look(self) -> list[tuple[ChainCheck, list[Finding]]]:
        self.count += 1
        return [(check, judge_chain(check, ChecksSettings(), self.senders)) for check in self.next]


class Scene:
    def __init__(self, database: Database) -> None:
        self.looks = Looks()
        self.clock = FakeClock()
        self.registry = CollectorRegistry()
        self.reports: list[tuple[str, Sequence[Finding]]] = []
        self.service = CheckService(
            self.looks,  # type: ignore[arg-type]
            every_s=EVERY_S,
            report=lambda _, source, findings: self.reports.append((source, findings)),
            metrics=CheckMetrics(self.registry),
            database=database,
            clock=self.clock,
        )

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    opened = await open_database("sqlite://")
    yield opened
    await opened.close()


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


async def test_every_look_reports_all_that_is_wrong(scene: Scene) -> None:
    await scene.service.turn()
    scene.looks.next = [with_lane(cursed=True)]
    await scene.service.turn()
    assert [(source, [item.kind for item in found]) for source, found in scene.reports] == [
        ("ccip-checks", []),
        ("ccip-checks", ["cursed"]),
    ]


async def test_metrics_show_the_last_look(scene: Scene) -> None:
    await scene.service.turn()
    assert scene.value("ccip_router_up", chain="home") == 1
    assert scene.value("ccip_fee_quote_up", source="home", dest="remote", fee_token="LINK") == 1
    scene.looks.next = [ChainCheck(chain="home", chain_id=138, router="0x", at=0, problem="gone")]
    await scene.service.turn()
    assert scene.value("ccip_router_up", chain="home") == 0
    assert scene.value("ccip_fee_quote_up", source="home", dest="remote", fee_token="LINK") is None


async def test_what_shares_its_labels_is_shown_once_and_the_worse_one(scene: Scene) -> None:
    prices = (PriceCheck("LINK", 10, None), PriceCheck("LINK", 90, None), PriceCheck("LINK", 50, None))
    purses = tuple(
        SenderCheck(address=f"0x{number:040x}", name="oracle", link=number * 10**18, native=0, allowance=0)
        for number in (3, 1, 2)
    )
    scene.looks.senders = [SenderSettings(chain="home", address=purse.address) for purse in purses]
    scene.looks.next = [msgspec.structs.replace(CHECK, prices=prices, senders=purses)]
    await scene.service.turn()
    assert scene.value("ccip_token_price_age_seconds", chain="home", fee_token="LINK") == 90
    assert scene.value("ccip_sender_balance", chain="home", sender="oracle", token="LINK") == 1
    generate_latest(scene.registry)


async def test_a_look_that_the_node_prevents_leaves_the_last_one(scene: Scene) -> None:
    await scene.service.turn()
    scene.looks.next = [ChainCheck(chain="home", chain_id=138, router="0x", at=0, problem="no", unreachable=True)]
    await scene.service.turn()
    assert scene.value("ccip_router_up", chain="home") == 1
    assert scene.value("ccip_check_timestamp_seconds", chain="home") == CHECK.at


async def test_what_a_chain_was_known_for_stays_while_its_node_is_away(scene: Scene) -> None:
    away = ChainCheck(chain="home", chain_id=138, router="0x", at=0, problem="no", unreachable=True)
    for check in (with_lane(cursed=True), away, CHECK):
        scene.looks.next = [check]
        await scene.service.turn()
    assert [[item.kind for item in found] for _, found in scene.reports] == [["cursed"], ["cursed"], []]


async def test_a_chain_that_left_the_settings_is_known_for_nothing(scene: Scene) -> None:
    scene.looks.next = [with_lane(cursed=True)]
    await scene.service.turn()
    scene.looks.next = []
    await scene.service.turn()
    assert scene.reports[-1][1] == []


async def test_health(scene: Scene) -> None:
    await scene.service.turn()
    assert (await scene.service.health()).status is Status.OK
    scene.clock.advance(10 * EVERY_S)
    assert (await scene.service.health()).status is Status.DEGRADED


def test_senders_must_be_on_watched_chains() -> None:
    chain = CcipChain(ChainId(138), Selector(1), "Home", Address("0x" + "0a" * 20), 0, "ccip.chains[0]")
    settings = ChecksSettings(senders=(SenderSettings(chain="Home", address="0x" + "aa" * 20),))
    with pytest.raises(SettingsError, match=r"ccip.checks.senders\[0\].chain: 'Home' is not among ccip.chains"):
        open_checks(
            Any,  # type: ignore[arg-type]
            [("home", chain)],
            settings,
            readers={},
            database=None,
            clock=FakeClock(),
        )


class TestSpending:
    def test_per_second_by_token(self) -> None:
        world = World()
        world.tell(A, world.block(A, 1, [sent(1, fee=30), sent(2, fee=70)]))
        (message,) = {item.time for item in list_messages(world.connection).messages}
        sender = "0x" + "5e" * 20
        found = spending(world.connection, A, [sender, "0xother"], since=message - 10, now=message + 10)
        assert found == {(sender, FEE_TOKEN): 5.0}

    def test_before_the_window_and_on_other_chains_nothing(self) -> None:
        world = World()
        world.tell(A, world.block(A, 1, [sent(1, fee=30)]))
        (message,) = {item.time for item in list_messages(world.connection).messages}
        sender = "0x" + "5e" * 20
        assert spending(world.connection, A, [sender], since=message + 1, now=message + 10) == {}
        assert spending(world.connection, B, [sender], since=0, now=message + 10) == {}
