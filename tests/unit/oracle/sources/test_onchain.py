"""What contracts answer, and reading many of them at one block."""

from decimal import Decimal
from typing import Any, cast

import pytest
import sha3

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address, ChainId
from seamark.evm.ports import ChainReader
from seamark.evm.types import BlockHeader, Call
from seamark.oracle.model import Quote, SourceFailure, SourceReport
from seamark.oracle.sources import onchain
from seamark.oracle.sources.chainquotes import ChainQuotes
from seamark.oracle.sources.onchain import ChainlinkFeed, ChainSource, OnchainError, UniswapTwap, VaultRate
from tests.unit.oracle.fakes import START, FakeClock, hash_of

POOL, FEED, VAULT = (Address("0x" + digit * 40) for digit in "123")
NOW = int(START)


def words(*numbers: int) -> bytes:
    return b"".join((number % 2**256).to_bytes(32, "big") for number in numbers)


def observed(ticks: tuple[int, int], liquidity: tuple[int, int] = (0, 1 << 128)) -> bytes:
    return words(64, 160, 2, *ticks, 2, *liquidity)


@pytest.mark.parametrize(
    ("selector", "signature"),
    [
        (onchain.OBSERVE, "observe(uint32[])"),
        (onchain.LATEST_ROUND, "latestRoundData()"),
        (onchain.DECIMALS, "decimals()"),
        (onchain.CONVERT, "convertToAssets(uint256)"),
    ],
)
def test_selectors(selector, signature):
    assert sha3.keccak_256(signature.encode()).digest()[:4] == selector


# ---- Uniswap v3 -----------------------------------------------------------------------------------------------------


def twap(**changes: object) -> UniswapTwap:
    values: dict[str, Any] = {"chain": "main", "pool": POOL, "decimals0": 18, "decimals1": 18, "window": 60, **changes}
    return UniswapTwap(**values)


def test_it_asks_for_the_window_at_the_block():
    (call,) = twap(window=1800).calls(7)
    assert (call.to, call.block) == (POOL, 7)
    assert call.data == onchain.OBSERVE + words(32, 2, 1800, 0)


@pytest.mark.parametrize(
    ("ticks", "mean"),
    [((0, 60), 1), ((0, 119), 1), ((0, -1), -1), ((0, -60), -1), ((0, -61), -2), ((-120, 0), 2), ((0, 0), 0)],
)
def test_a_tick_is_rounded_toward_minus_infinity(ticks, mean):
    price = twap().read([observed(ticks)], NOW).price
    assert price == pytest.approx(Decimal("1.0001") ** mean, rel=Decimal("1e-25"))


def test_a_real_pool_of_weth_and_usdc():
    """USDC (6) is token0 and WETH (18) token1 in the 0.05 % pool: tick 200311 is about 2,000 dollars."""
    told = twap(decimals0=6, decimals1=18, invert=True).read([observed((0, 200_311 * 60))], NOW)
    assert 1990 < told.price < 2010
    assert told.observed_at == NOW


def test_thin_liquidity_is_refused():
    # 60 s at a liquidity of 1000: secondsPerLiquidity grows by 60 * 2^128 / 1000.
    answer = observed((0, 0), (5, 5 + (60 << 128) // 1000))
    assert twap(min_liquidity=999).read([answer], NOW).price == 1
    with pytest.raises(OnchainError, match="mean liquidity 1000 is below 1002") as caught:
        twap(min_liquidity=1002).read([answer], NOW)
    assert caught.value.kind == "liquidity"


def test_the_counter_of_liquidity_may_wrap_around():
    answer = observed((0, 0), (2**160 - 10, (60 << 128) // 1000 - 10))
    assert twap(min_liquidity=999).read([answer], NOW).price == 1


@pytest.mark.parametrize("answer", [b"", words(1), words(64, 160, 3, 0, 0, 2, 0, 0), words(*range(8))])
def test_another_contract_is_noticed(answer):
    with pytest.raises(OnchainError) as caught:
        twap().read([answer], NOW)
    assert caught.value.kind == "shape"


def test_an_impossible_tick():
    with pytest.raises(OnchainError, match="does not exist"):
        twap().read([observed((0, 60 * 887_273))], NOW)


# ---- Chainlink ------------------------------------------------------------------------------------------------------

LINK = ChainlinkFeed("main", FEED)


def test_a_round():
    told = LINK.read([words(9, 200_012_345_678, 1, NOW - 50, 9), words(8)], NOW)
    assert (str(told.price), told.observed_at) == ("2000.12345678", NOW - 50)


def test_a_negative_answer_keeps_its_sign():
    assert LINK.read([words(9, -5, 1, NOW, 9), words(1)], NOW).price == Decimal("-0.5")


@pytest.mark.parametrize(
    ("round_data", "problem"),
    [
        ((9, 1, 1, 0, 9), "not complete"),
        ((9, 1, 1, NOW, 8), "round 9 carries the answer of round 8"),
        ((9, 1, 1, NOW + 1, 9), "later than its block"),
    ],
)
def test_rounds_of_no_use(round_data, problem):
    with pytest.raises(OnchainError, match=problem) as caught:
        LINK.read([words(*round_data), words(8)], NOW)
    assert caught.value.kind == "round"


@pytest.mark.parametrize("answers", [[b"", words(8)], [words(9, 1, 1, NOW, 9), b""]])
def test_no_feed_there(answers):
    with pytest.raises(OnchainError, match="check the address"):
        LINK.read(answers, NOW)


# ---- ERC-4626 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("assets", "shares", "asset_decimals", "rate"),
    [
        (1_050_000_000_000_000_000, 18, 18, "1.05"),
        (1_050_000, 18, 6, "1.05"),
        (1_050_000_000_000_000_000, 6, 6, "1.05"),
    ],
)
def test_a_share(assets, shares, asset_decimals, rate):
    told = VaultRate("main", VAULT, asset_decimals).read([words(assets), words(shares)], NOW)
    assert told.price == Decimal(rate)


def test_a_vault_that_is_worth_nothing():
    with pytest.raises(OnchainError, match="worth nothing"):
        VaultRate("main", VAULT, 18).read([words(0), words(18)], NOW)


# ---- many at one block ----------------------------------------------------------------------------------------------


class Chain:
    """Answers by contract; keeps what it was asked, batch by batch."""

    chain_id = ChainId(1)

    def __init__(self) -> None:
        self.height = 7
        self.down = False
        self.batches: list[list[Call]] = []
        self.answers: dict[tuple[str, bytes], bytes | Exception] = {
            (FEED, onchain.LATEST_ROUND): words(9, 2000, 1, NOW - 50, 9),
            (FEED, onchain.DECIMALS): words(0),
            (VAULT, onchain.CONVERT): words(10**18),
            (VAULT, onchain.DECIMALS): words(18),
        }

    async def header(self, block: object) -> BlockHeader:
        if self.down:
            raise TemporaryError("no node answers")
        return BlockHeader(self.height, hash_of(self.height), hash_of(self.height - 1), NOW)

    async def calls(self, calls: list[Call]) -> list[bytes | Exception]:
        self.batches.append(calls)
        return [self.answers[call.to, call.data[:4]] for call in calls]


def _kinds(reports: list[SourceReport]) -> list[str]:
    return [report.kind for report in reports if isinstance(report, SourceFailure)]


def start(chain: Chain) -> tuple[ChainQuotes, list[SourceReport]]:
    reports: list[SourceReport] = []
    quotes = ChainQuotes(chains={"main": cast(ChainReader, chain)}, clock=FakeClock())
    link = ChainSource("link", "link", LINK, max_age=3700.0, weight=3)
    vault = ChainSource("vault", "vault", VaultRate("main", VAULT, 18))
    for source in (link, vault):
        quotes.subscribe(source, interval=1.0, subscriber=reports.append)
    return quotes, reports


async def test_all_sources_are_read_at_one_block_in_one_batch_and_once():
    chain = Chain()
    quotes, reports = start(chain)
    await quotes.read_once("main")
    await quotes.read_once("main")
    assert [[call.block for call in batch] for batch in chain.batches] == [[7, 7, 7, 7]]
    link, vault = reports
    assert isinstance(link, Quote)
    assert isinstance(vault, Quote)
    assert (link.price, link.observed_at, link.max_age, link.weight) == (Decimal(2000), NOW - 50, 3700.0, 3)
    assert (vault.price, vault.observed_at, vault.max_age) == (Decimal(1), NOW, None)
    chain.height = 8
    await quotes.read_once("main")
    assert len(chain.batches) == 2


async def test_one_that_reverts_does_not_stop_the_others():
    chain = Chain()
    chain.answers[FEED, onchain.LATEST_ROUND] = RejectedError("execution reverted: No data present")
    quotes, reports = start(chain)
    await quotes.read_once("main")
    failure, vault = reports
    assert isinstance(failure, SourceFailure)
    assert (failure.kind, failure.detail) == ("revert", "execution reverted: No data present")
    assert isinstance(vault, Quote)


async def test_what_a_node_could_not_answer_is_asked_again_at_the_same_block():
    chain = Chain()
    quotes, reports = start(chain)
    good = chain.answers[VAULT, onchain.CONVERT]
    chain.answers[VAULT, onchain.CONVERT] = TemporaryError("rate limited")
    await quotes.read_once("main")
    chain.answers[VAULT, onchain.CONVERT] = good
    await quotes.read_once("main")
    assert [type(item) for item in reports] == [Quote, SourceFailure, Quote, Quote]
    assert _kinds(reports) == ["node"]


async def test_a_chain_that_does_not_answer_is_a_failure_of_each_source():
    chain = Chain()
    chain.down = True
    quotes, reports = start(chain)
    await quotes.read_once("main")
    assert [item.source for item in reports] == ["link", "vault"]
    assert _kinds(reports) == ["node", "node"]
