"""Seamark's publishers as the oracles of a published FluxAggregator (@chainlink/contracts 0.8.0) on a real node."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest

from seamark.core.ids import Address, ChainId
from seamark.devnet.anvil import Anvil
from seamark.evm.rpc import Chain
from seamark.evm.rpc.errors import CallReverted
from seamark.oracle.model import ContractKind, PublicationState, Reason
from seamark.oracle.targets.find import probe
from seamark.oracle.targets.flux import FluxTarget
from seamark.oracle.targets.target import Verdict
from seamark.runtime.http import make_session
from tests.support.anvil import ACCOUNT, anvil
from tests.support.flux import MAX_VALUE, MIN_VALUE, FluxFeed, deploy_flux
from tests.support.flux_oracle import FluxOracle, flux_oracle, signer_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

PATIENCE_S = 30
KEYS = (11, 12, 13, 14)
ADDRESSES = tuple(signer_of(key).address for key in KEYS)
DIGITS = 10**8
QUIET_S = 1.0  # ten looks at the contract: time for a mistake to happen
ON_CHAIN = {PublicationState.MINED, PublicationState.FINAL}
ROOT = Path(__file__).parents[2]


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens on a node
            await asyncio.sleep(0.05)


@dataclass
class Stage:
    node: Anvil
    folder: Path

    async def deploy(self, **options: int) -> FluxFeed:
        for address in ADDRESSES:
            await self.node.request("anvil_setBalance", address, hex(10**20))
        return await deploy_flux(self.node, ADDRESSES, **options)

    def database(self, key: int) -> str:
        return f"sqlite:///{self.folder}/{key}.db"

    def oracle(self, feed: FluxFeed, key: int, price: str | None = "2000"):
        return flux_oracle(self.node.url, self.database(key), key=key, feed=feed.address, price=price)

    @asynccontextmanager
    async def oracles(self, feed: FluxFeed, *prices: str | None) -> AsyncIterator[list[FluxOracle]]:
        async with AsyncExitStack() as stack:
            told = zip(KEYS, prices, strict=False)
            yield [await stack.enter_async_context(self.oracle(feed, key, price)) for key, price in told]

    async def pass_time(self, seconds: int) -> None:
        await self.node.request("evm_increaseTime", seconds)
        await self.node.request("evm_mine")


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with anvil() as node:
        yield Stage(node, tmp_path)


async def parts(feed: FluxFeed) -> list[tuple[int, Address]]:
    """Which oracle answered which round."""
    return [(one.round, one.oracle) for one in await feed.submissions()]


async def all_answered(feed: FluxFeed, round_id: int) -> bool:
    return len([one for one in await parts(feed) if one[0] == round_id]) == len(ADDRESSES)


async def sent(stage: Stage, address: Address) -> int:
    """Transactions of an account that were mined."""
    return int(await stage.node.request("eth_getTransactionCount", address, "latest"), 16)


async def test_four_publishers_complete_round_after_round(stage: Stage) -> None:
    feed = await stage.deploy()
    prices = {1: [2000, 2001, 2002, 2003], 2: [2100, 2101, 2102, 2110], 3: [1900, 1901, 1902, 1903]}
    async with stage.oracles(feed, *map(str, prices[1])) as oracles:
        await until(lambda: all_answered(feed, 1))
        for round_id in (2, 3):
            for oracle, price in zip(oracles, prices[round_id], strict=True):
                oracle.price = str(price)
            await until(lambda: all_answered(feed, round_id))  # noqa: B023 - awaited here
        await asyncio.sleep(QUIET_S)
        for oracle in oracles:
            rows = await oracle.publications()
            assert [row.round for row in rows] == [1, 2, 3]
            assert {row.state for row in rows} <= ON_CHAIN
            assert [row.answer for row in rows] == [prices[row.round][oracles.index(oracle)] * DIGITS for row in rows]
            assert oracle.publisher.problem() is None
    assert await feed.rounds() == {number: int(median(told) * DIGITS) for number, told in prices.items()}
    answered = await parts(feed)
    assert sorted(answered) == sorted((number, one) for number in prices for one in ADDRESSES)


async def test_one_starts_and_the_others_join_though_their_price_has_not_moved(stage: Stage) -> None:
    feed = await stage.deploy(restart_delay=3)
    async with stage.oracles(feed, "2000", "2000", "2000", "2000") as oracles:
        await until(lambda: all_answered(feed, 1))
        starter = oracles[first_of(await parts(feed), 1)]
        other = next(one for one in oracles if one is not starter)
        other.price = "2100"
        await until(lambda: all_answered(feed, 2))
        for oracle in oracles:
            await until(lambda: settled(oracle, 2))  # noqa: B023 - awaited here
            last = (await oracle.publications())[-1]
            assert last.reason is (Reason.DEVIATION if oracle is other else Reason.JOIN)
    assert await feed.rounds() == {1: 2000 * DIGITS, 2: 2000 * DIGITS}


def first_of(answered: list[tuple[int, Address]], round_id: int) -> int:
    """Which oracle began a round."""
    return ADDRESSES.index(next(oracle for number, oracle in answered if number == round_id))


async def test_who_began_a_round_waits_until_others_have_begun_theirs(stage: Stage) -> None:
    """An oracle whose venues are all wrong would begin a round as soon as the last one has ended, and pay for it."""
    feed = await stage.deploy(restart_delay=1)
    async with stage.oracles(feed, "2000", "2000", "2000", "2000") as oracles:
        await until(lambda: all_answered(feed, 1))
        began = first_of(await parts(feed), 1)
        wrong, right = oracles[began], [one for one in oracles if one is not oracles[began]]
        wrong.price = "2600"
        await asyncio.sleep(QUIET_S)
        assert {number for number, _ in await parts(feed)} == {1}
        assert wrong.publisher.state is not None
        assert wrong.publisher.state.turn is not None
        assert (wrong.publisher.state.turn.round, wrong.publisher.state.turn.eligible) == (2, False)
        right[0].price = "2011"  # 0.55 % from the answer, and half of that from the next
        await until(lambda: all_answered(feed, 3))
        assert first_of(await parts(feed), 2) == oracles.index(right[0])
        assert first_of(await parts(feed), 3) == began  # now it may, and then it waits again
        await asyncio.sleep(QUIET_S)
    assert await feed.rounds() == {1: 2000 * DIGITS, 2: 2005_50000000, 3: 2005_50000000}
    assert await sent(stage, wrong.address) == 3


async def test_a_round_that_times_out_is_superseded(stage: Stage) -> None:
    feed = await stage.deploy(timeout_s=300)
    async with stage.oracle(feed, KEYS[0]) as alone:
        await until(lambda: submitted(feed, 1))
        await asyncio.sleep(QUIET_S)
        assert await parts(feed) == [(1, ADDRESSES[0])]  # too few for an answer, and not timed out
        await stage.pass_time(301)
        await until(lambda: submitted(feed, 2))
        async with stage.oracle(feed, KEYS[1]), stage.oracle(feed, KEYS[2]):
            await until(feed.rounds)
        assert await feed.rounds() == {2: 2000 * DIGITS}
        assert sorted(await parts(feed)) == [(1, ADDRESSES[0]), *((2, one) for one in sorted(ADDRESSES[:3]))]
        assert alone.publisher.problem() is None


async def submitted(feed: FluxFeed, round_id: int) -> bool:
    return any(number == round_id for number, _ in await parts(feed))


@pytest.mark.parametrize("meanwhile", ["nothing", "mined", "forgotten"])
async def test_a_publisher_that_is_killed_answers_its_round_once(stage: Stage, meanwhile: str) -> None:
    feed = await stage.deploy()
    await stage.node.request("evm_setAutomine", False)
    arguments = (stage.node.url, stage.database(KEYS[0]), str(KEYS[0]), feed.address, "2000")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.flux_oracle", *arguments, cwd=ROOT
    )
    try:
        await until(lambda: waiting(stage))
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    if meanwhile == "mined":
        await stage.node.request("evm_mine")
    elif meanwhile == "forgotten":
        await stage.node.request("anvil_dropAllTransactions")
    await stage.node.request("evm_setAutomine", True)
    if meanwhile == "nothing":
        await stage.node.request("evm_mine")
    async with stage.oracle(feed, KEYS[0], "2400") as again:
        await until(lambda: settled(again))
        await asyncio.sleep(QUIET_S)
        (row,) = await again.publications()
        assert (row.round, row.attempt, row.answer) == (1, 1, 2000 * DIGITS)
    assert await parts(feed) == [(1, ADDRESSES[0])]
    assert await sent(stage, ADDRESSES[0]) == 1


async def waiting(stage: Stage) -> bool:
    return int((await stage.node.request("txpool_status"))["pending"], 16) > 0


async def settled(oracle: FluxOracle, round_id: int = 1) -> bool:
    return any(row.state in ON_CHAIN and row.round == round_id for row in await oracle.publications())


async def test_a_reorg_that_takes_a_part_away_ends_with_it_on_chain_once(stage: Stage) -> None:
    feed = await stage.deploy()
    async with stage.oracle(feed, KEYS[0]) as oracle:
        await until(lambda: settled(oracle))
        await stage.node.request("anvil_reorg", 1, [])
        assert await parts(feed) == []
        await until(lambda: submitted(feed, 1))
        await asyncio.sleep(QUIET_S)
        assert [row.round for row in await oracle.publications()] == [1]
    assert await parts(feed) == [(1, ADDRESSES[0])]


async def test_a_contract_that_cannot_pay_for_long_is_a_problem_that_is_told(stage: Stage) -> None:
    feed = await stage.deploy()
    await feed.fund(10 * 2 * len(ADDRESSES))
    await feed.pay(10)
    async with stage.oracle(feed, KEYS[0]) as oracle:
        await until(lambda: settled(oracle))
        await until(lambda: told(oracle, "the contract can pay for 7 more submissions"))
    await feed.fund(19)  # of which 10 are owed already
    async with stage.oracle(feed, KEYS[1]) as oracle:
        await until(lambda: told(oracle, "0 more"))
        await asyncio.sleep(QUIET_S)
        assert await oracle.publications() == []  # it would revert: the contract must pay each part
    await feed.fund(1000)
    async with stage.oracle(feed, KEYS[1]) as oracle:
        await until(lambda: settled(oracle))


async def told(oracle: FluxOracle, problem: str) -> bool:
    return problem in (oracle.publisher.problem() or "")


# ---- the contract's own words ---------------------------------------------------------------------------------------


@dataclass
class Word:
    """A call that the contract refuses, and what we make of it."""

    round: int
    value: int
    sender: Address
    kind: str
    verdict: Verdict


async def test_what_the_contract_refuses_is_understood(stage: Stage) -> None:
    feed = await stage.deploy(timeout_s=0, minimum=1, maximum=2)
    first, second, third = ADDRESSES[:3]
    words = [
        Word(1, 5, Address(ACCOUNT), "not_oracle", Verdict.BROKEN),
        Word(3, 5, third, "round_over", Verdict.DONE),
        Word(1, MIN_VALUE - 1, third, "out_of_range", Verdict.BROKEN),
        Word(1, MAX_VALUE + 1, third, "out_of_range", Verdict.BROKEN),
        Word(1, 5, first, "already_answered", Verdict.DONE),
        Word(1, 5, third, "round_closed", Verdict.DONE),
    ]
    async with make_session() as session:
        chain = Chain(ChainId(31337), [stage.node.url], session=session)
        assert await probe(chain, feed.address, first) is ContractKind.FLUX
        target = FluxTarget(chain, feed.address, first)
        for oracle in (first, second):
            await submit(stage.node, feed, oracle, 1, 7)
        for word in words:
            data = feed.abi.encode_call("submit", word.round, word.value)
            with pytest.raises(CallReverted) as refused:
                await chain.simulate(sender=word.sender, to=feed.address, data=data)
            refusal = target.refusal(refused.value)
            assert (refusal.kind, refusal.verdict) == (word.kind, word.verdict), word
        await feed.configure(4, 4, 0)
        await submit(stage.node, feed, first, 2, 7)
        with pytest.raises(CallReverted) as refused:
            await chain.simulate(sender=second, to=feed.address, data=feed.abi.encode_call("submit", 3, 7))
        assert target.refusal(refused.value).kind == "round_open"
        await chain.close()


async def submit(node: Anvil, feed: FluxFeed, oracle: Address, round_id: int, value: int) -> None:
    await node.request("anvil_impersonateAccount", oracle)
    data = "0x" + feed.abi.encode_call("submit", round_id, value).hex()
    message = {"from": oracle, "to": feed.address, "data": data, "gas": hex(500_000)}
    transaction = await node.request("eth_sendTransaction", message)

    async def mined() -> object:
        return await node.request("eth_getTransactionReceipt", transaction)

    await until(mined)
