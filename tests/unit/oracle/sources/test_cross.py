from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.oracle.model import Pair, Quote, SourceFailure, SourceReport
from seamark.oracle.sources.cross import CrossError, CrossMaker, CrossSource, Leg, Operation, combine, make_route
from seamark.oracle.sources.outlet import SourceHealth, Subscriber
from tests.unit.oracle.fakes import START, FakeClock, quote, source

ETH_USDT, USDT_USD, USD_USDT, USD_EUR = (Pair.parse(text) for text in ("ETH/USDT", "USDT/USD", "USD/USDT", "USD/EUR"))
MULTIPLY, DIVIDE = Operation.MULTIPLY, Operation.DIVIDE


def cross(*operations: Operation, max_age: float | None = None) -> CrossSource:
    pairs = (ETH_USDT, USDT_USD, USD_EUR)
    legs = [Leg(source(f"v{index}"), pairs[index], operation) for index, operation in enumerate(operations)]
    return CrossSource("okx", "okx", tuple(legs), max_age)


@pytest.mark.parametrize(
    ("pairs", "wanted", "operations"),
    [
        ("ETH/USDT USDT/USD", "ETH/USD", [MULTIPLY, MULTIPLY]),
        ("ETH/USDT USD/USDT", "ETH/USD", [MULTIPLY, DIVIDE]),
        ("ETH/USDT USDT/USD USD/EUR", "ETH/EUR", [MULTIPLY, MULTIPLY, MULTIPLY]),
        ("ETH/BTC BTC/USDT USD/USDT", "ETH/USD", [MULTIPLY, MULTIPLY, DIVIDE]),
    ],
)
def test_routes(pairs, wanted, operations):
    route = make_route([Pair.parse(text) for text in pairs.split()], Pair.parse(wanted))
    assert list(route) == operations


@pytest.mark.parametrize(
    ("pairs", "problem"),
    [
        ("ETH/USDT", "the route ends in USDT, not in USD; add a leg such as USDT/USD"),
        ("ETH/USDT USDC/USD", "USDC/USD does not lead on from USDT"),
        ("ETH/USDT USDT/EUR", "the route ends in EUR, not in USD"),
    ],
)
def test_a_stable_coin_is_no_dollar_without_a_leg(pairs, problem):
    with pytest.raises(ValueError, match=problem):
        make_route([Pair.parse(text) for text in pairs.split()], Pair("ETH", "USD"))


def test_a_depegged_coin_moves_the_price():
    made = combine(cross(MULTIPLY, MULTIPLY), [quote("a", "2000"), quote("b", "0.857")], START)
    assert made.price == Decimal("1714.000")
    assert (made.source, made.venue) == ("okx", "okx")


def test_division():
    made = combine(cross(MULTIPLY, DIVIDE), [quote("a", "2000"), quote("b", "1.25")], START)
    assert made.price == Decimal(1600)


def test_the_book_is_crossed_the_right_way():
    first = quote("a", "2000", bid=Decimal(1999), ask=Decimal(2001), volume=Decimal(7))
    second = quote("b", "1.00", bid=Decimal("0.99"), ask=Decimal("1.01"))
    times = combine(cross(MULTIPLY, MULTIPLY), [first, second], START)
    assert (times.bid, times.ask, times.volume) == (Decimal("1979.01"), Decimal("2021.01"), Decimal(7))
    over = combine(cross(MULTIPLY, DIVIDE), [first, second], START)
    assert over.bid is not None
    assert over.ask is not None
    assert (round(over.bid, 3), round(over.ask, 3)) == (Decimal("1979.208"), Decimal("2021.212"))
    assert over.bid < over.price < over.ask


def test_without_a_book_on_one_leg_the_cross_has_none():
    first = quote("a", "2000", bid=Decimal(1999), ask=Decimal(2001))
    made = combine(cross(MULTIPLY, MULTIPLY), [first, quote("b", 1)], START)
    assert (made.bid, made.ask) == (None, None)


def test_it_is_as_old_as_its_oldest_part():
    parts = [quote("a", "2000", START), quote("b", 1, START - 50).but(received_at=START - 10, untimed=True)]
    made = combine(cross(MULTIPLY, MULTIPLY), parts, START)
    assert (made.observed_at, made.received_at, made.untimed) == (START - 50, START, True)


def test_the_ages_are_summed():
    parts = [quote("a", "2000", START - 40), quote("b", 1, START - 50)]
    combine(cross(MULTIPLY, MULTIPLY, max_age=90), parts, START)
    with pytest.raises(CrossError, match="90 s old in sum, 89 s at most") as caught:
        combine(cross(MULTIPLY, MULTIPLY, max_age=89), parts, START)
    assert caught.value.kind == "leg_age"


def test_it_lasts_until_its_first_part_is_too_old():
    """A daily rate beside it does not let a market's price live for a day."""
    parts = [quote("a", "2000", START - 20), quote("b", "0.9", START - 70_000, max_age=100_000.0)]
    made = combine(cross(MULTIPLY, MULTIPLY), parts, START)
    assert made.max_age is not None
    assert made.observed_at + made.max_age == START + 100


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"price": Decimal(0)}, "not_positive"),
        ({"price": Decimal(-1)}, "not_positive"),
        ({"price": Decimal("NaN")}, "not_finite"),
        ({"bid": Decimal(2), "ask": Decimal(1)}, "crossed"),
        ({"volume": Decimal(0)}, "no_volume"),
        ({"observed_at": START - 121}, "too_old"),
        ({"observed_at": START + 11}, "from_future"),
    ],
)
def test_a_part_of_no_use_makes_no_price(changes, fault):
    with pytest.raises(CrossError, match=f"USDT/USD at b is {fault}"):
        combine(cross(MULTIPLY, MULTIPLY), [quote("a", 2000), quote("b", 1, **changes)], START)


@given(
    st.decimals("0.0001", "1000000", places=6),
    st.decimals("0.0001", "1000000", places=6),
)
def test_there_and_back_is_the_price(price, rate):
    """Multiplied by a rate and divided by the same rate, nothing is left of it."""
    parts = [quote("a", "1", price=price), quote("b", "1", price=rate), quote("c", "1", price=rate)]
    made = combine(cross(MULTIPLY, MULTIPLY, DIVIDE), parts, START)
    assert abs(made.price - price) <= price * Decimal("1e-50")


class Parts:
    """Takes subscriptions and lets a test speak for the parts."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.takers: list[Subscriber] = []

    def subscribe(self, source, *, interval, subscriber, feed="") -> SourceHealth:
        self.names.append(source.name)
        self.takers.append(subscriber)
        return SourceHealth()


def start() -> tuple[Parts, list[SourceReport], FakeClock, SourceHealth]:
    parts, clock = Parts(), FakeClock()
    reports: list[SourceReport] = []
    maker = CrossMaker(subscribe=parts.subscribe, clock=clock)
    health = maker.subscribe(cross(MULTIPLY, MULTIPLY), interval=1.0, subscriber=reports.append)
    return parts, reports, clock, health


def test_each_new_part_makes_a_new_price_once_all_are_known():
    parts, reports, _, health = start()
    parts.takers[0](quote("a", "2000"))
    assert reports == []
    parts.takers[1](quote("b", "0.5"))
    parts.takers[0](quote("a", "3000"))
    assert [item.price for item in reports if isinstance(item, Quote)] == [Decimal(1000), Decimal(1500)]
    assert health.ok == 2
    assert parts.names == ["okx:ETH/USDT", "okx:USDT/USD"]


def test_a_part_that_fails_fails_the_cross():
    parts, reports, _, health = start()
    parts.takers[1](SourceFailure("b", "b", "timeout", "no reply", START))
    (report,) = reports
    assert isinstance(report, SourceFailure)
    assert (report.source, report.kind, report.detail) == ("okx", "timeout", "USDT/USD: no reply")
    assert health.failing_since == START


async def test_a_part_that_went_silent_makes_no_price():
    parts, reports, clock, _ = start()
    parts.takers[1](quote("b", "1"))
    await clock.advance(121)
    parts.takers[0](quote("a", "2000", clock.now()))
    (report,) = reports
    assert isinstance(report, SourceFailure)
    assert report.kind == "leg_fault"
