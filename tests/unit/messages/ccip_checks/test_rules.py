"""From what a look found to findings."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from pydantic import ValidationError

from seamark.core.findings import Finding
from seamark.messages.protocols.ccip.checks import (
    Bucket,
    ChainCheck,
    ChecksSettings,
    LaneCheck,
    PoolCheck,
    PriceCheck,
    Quote,
    SenderCheck,
    SenderSettings,
    judge_chain,
)

UNIT, HOUR, DAY = 10**18, 3600, 86_400
PAYER = "0x" + "aa" * 20
LANE = LaneCheck(
    selector="77",
    name="remote",
    on_ramp="0x" + "0b" * 20,
    version="OnRamp 1.6.0",
    cursed=False,
    quotes=(Quote("native", 5), Quote("LINK", 7)),
    gas_price_age=10,
    gas_price_limit=HOUR,
)
CHECK = ChainCheck(chain="home", chain_id=138, router="0x" + "0a" * 20, at=1_700_000_000, lanes=(LANE,))


def judge(check: ChainCheck, *senders: SenderSettings, **settings: Any) -> list[Finding]:
    return judge_chain(check, ChecksSettings(**settings), senders)


def told(check: ChainCheck, *senders: SenderSettings, **settings: Any) -> list[tuple[str, str]]:
    return [(item.kind, item.severity.value) for item in judge(check, *senders, **settings)]


def with_lane(**changes: Any) -> ChainCheck:
    return replace(CHECK, lanes=(replace(LANE, **changes),))


def test_nothing_is_wrong() -> None:
    assert judge(CHECK) == []


def test_a_node_that_is_away_is_told_by_the_health_of_its_chain() -> None:
    assert judge(replace(CHECK, problem="no answer", unreachable=True)) == []


def test_a_router_that_does_not_answer_is_all_there_is() -> None:
    (finding,) = judge(replace(CHECK, problem="no code", lanes=()))
    assert (finding.kind, finding.severity) == ("router_unavailable", "critical")
    assert "no code" in finding.text


class TestCurses:
    def test_of_a_lane(self) -> None:
        (finding,) = judge(with_lane(cursed=True))
        assert (finding.kind, finding.subject) == ("cursed", "138/77")
        assert finding.group == "curse of home"

    def test_of_everything_is_one(self) -> None:
        (finding,) = judge(replace(with_lane(cursed=True), cursed=True))
        assert finding.subject == "138/*"

    def test_refused_quotes_are_its_consequence(self) -> None:
        refused = (Quote("native", None, "CursedByRMN"),)
        assert told(with_lane(cursed=True, quotes=refused)) == [("cursed", "critical")]


class TestQuotes:
    def test_all_refused(self) -> None:
        refused = (Quote("native", None, "no"), Quote("LINK", None, "never"))
        (finding,) = judge(with_lane(quotes=refused))
        assert (finding.kind, finding.severity) == ("fee_quote_failed", "critical")
        assert finding.text == "native: no; LINK: never"

    def test_one_refused(self) -> None:
        assert told(with_lane(quotes=(Quote("native", 5), Quote("LINK", None, "no")))) == [
            ("fee_quote_failed", "warning")
        ]

    def test_no_on_ramp(self) -> None:
        assert told(with_lane(on_ramp="", quotes=())) == [("lane_disabled", "warning")]


@pytest.mark.parametrize(
    ("age", "limit", "expected"),
    [
        (HOUR * 8 // 10, HOUR, []),
        (HOUR * 8 // 10 + 1, HOUR, ["warning"]),
        (HOUR, HOUR, ["warning"]),
        (HOUR + 1, HOUR, ["critical"]),
        (10**6, None, []),
        (None, HOUR, []),
    ],
)
def test_age_of_the_gas_price(age: int | None, limit: int | None, expected: list[str]) -> None:
    check = with_lane(gas_price_age=age, gas_price_limit=limit)
    assert told(check) == [("fee_data_stale", severity) for severity in expected]


def test_age_of_a_token_price() -> None:
    (finding,) = judge(replace(CHECK, prices=(PriceCheck("LINK", 2 * HOUR, HOUR),)))
    assert (finding.kind, finding.text) == ("fee_data_stale", "2h00m old; sends revert beyond 1h00m")


class TestMoney:
    @staticmethod
    def check(**changes: Any) -> ChainCheck:
        values = {"link": 100 * UNIT, "native": UNIT, "allowance": 0} | changes
        return replace(CHECK, senders=(SenderCheck(address=PAYER, name="payer", **values),))

    @staticmethod
    def wanted(**changes: Any) -> SenderSettings:
        return SenderSettings(chain="home", address=PAYER, **changes)

    @pytest.mark.parametrize(
        ("link", "expected"),
        [(10 * UNIT, []), (10 * UNIT - 1, ["warning"]), (5 * UNIT, ["warning"]), (5 * UNIT - 1, ["critical"])],
    )
    def test_link(self, link: int, expected: list[str]) -> None:
        assert told(self.check(link=link), self.wanted()) == [("link_balance_low", item) for item in expected]

    def test_who_pays_natively_needs_no_link(self) -> None:
        wanted = self.wanted(link_warning=0, link_critical=0, native_warning=2, native_critical=Decimal("0.5"))
        assert told(self.check(link=0), wanted) == [("native_balance_low", "warning")]

    def test_allowance(self) -> None:
        (finding,) = judge(self.check(allowance=UNIT // 2), self.wanted(min_allowance=1))
        assert finding.kind == "allowance_low"
        assert "0.5000 LINK" in finding.title

    @pytest.mark.parametrize(
        ("paused", "title", "command"),
        [
            ("sending", "payer on home: sending is paused", f"seamark ccip resume {PAYER} --chain home"),
            ("feed", "payer on home: the feed is paused", f"seamark ccip resume {PAYER} --chain home --feed"),
        ],
    )
    def test_a_pause_that_was_forgotten(self, paused: str, title: str, command: str) -> None:
        (finding,) = judge(self.check(paused=paused), self.wanted())
        assert (finding.kind, finding.title) == ("sender_paused", title)
        assert finding.remedy.endswith(command)

    def test_runway(self) -> None:
        spent = {"burn": 100 * UNIT / (3 * DAY)}
        (finding,) = judge(self.check(**spent), self.wanted())
        assert (finding.kind, finding.title) == ("runway_short", "payer on home: its LINK lasts for 3d")
        assert judge(self.check(burn=100 * UNIT / (8 * DAY)), self.wanted()) == []

    def test_runway_is_not_told_beside_the_balance_itself(self) -> None:
        assert told(self.check(link=UNIT, burn=UNIT), self.wanted()) == [("link_balance_low", "critical")]

    def test_the_remedy_is_a_command(self) -> None:
        (finding,) = judge(self.check(link=0), self.wanted())
        assert finding.remedy == f"seamark ccip refill {PAYER} --chain home"

    def test_thresholds_in_order(self) -> None:
        with pytest.raises(ValidationError, match="link_critical is above link_warning"):
            self.wanted(link_warning=1, link_critical=2)


class TestRateLimits:
    @staticmethod
    def check(tokens: int, rate: int = 10) -> ChainCheck:
        pool = PoolCheck(
            pool="0x" + "cc" * 20,
            token="TEST",
            selector="77",
            name="remote",
            outbound=Bucket(tokens, 1000, rate),
            inbound=None,
        )
        return replace(CHECK, pools=(pool,))

    @pytest.mark.parametrize(("tokens", "expected"), [(200, []), (199, ["warning"]), (0, ["critical"])])
    def test_headroom(self, tokens: int, expected: list[str]) -> None:
        assert told(self.check(tokens)) == [("rate_limit_low", item) for item in expected]

    def test_when_it_is_full_again(self) -> None:
        (finding,) = judge(self.check(100))
        assert finding.text == "100 of 1000 base units; full again in 1m30s"
        (frozen,) = judge(self.check(100, rate=0))
        assert frozen.text == "100 of 1000 base units"


def test_money_that_nobody_can_read_is_not_called_gone() -> None:
    wanted = SenderSettings(chain="home", address=PAYER, min_allowance=Decimal(1))
    known = SenderCheck(address=wanted.address, name="feed", link=0, native=0, allowance=0, burn=1.0)
    unknown = replace(known, link=None, allowance=None)
    assert {kind for kind, _ in told(replace(CHECK, senders=(known,)), wanted)} >= {"link_balance_low", "allowance_low"}
    assert told(replace(CHECK, senders=(unknown,)), wanted) == []
    assert unknown.runway is None
