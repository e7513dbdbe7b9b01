"""The sender on a real node: mined, confirmed, killed, reorganised, dropped, filled, without fees."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from seamark.core.errors import RejectedError
from seamark.core.ids import ChainId
from seamark.devnet.anvil import Anvil, AnvilOptions
from seamark.evm.ports import Intent, TxState
from seamark.evm.rpc import Chain
from seamark.evm.signers import RawKeySigner
from seamark.evm.transactions import Event, FeePolicy, Patience, Sender, SenderSettings
from seamark.evm.transactions.ports import ChainWriter, GapFilled, Orphaned, Replaced
from seamark.runtime.clock import SystemClock
from seamark.runtime.http import make_session
from seamark.storage.database import Database, open_database
from tests.support.killed_sender import DEV_KEY, INTENTS
from tests.support.sending import TO, price

LOCAL = ChainId(31337)
ROOT = Path(__file__).parents[2]
GWEI = 10**9
PATIENCE_S = 20
REVERTS = bytes.fromhex("60006000fd")  # PUSH1 0, PUSH1 0, REVERT as init code: creation fails
QUICK = SenderSettings(poll_s=0.05, patience=Patience(resend_ms=300, foreign_ms=300))


@dataclass
class Bench:
    """One anvil, one sender on it."""

    anvil: Anvil
    chain: Chain
    database: Database
    events: list[Event]
    session: aiohttp.ClientSession

    def sender(self, settings: SenderSettings = QUICK) -> Sender:
        return Sender(
            chain=self.chain,
            signer=RawKeySigner.from_hex(DEV_KEY),
            database=self.database,
            clock=SystemClock(),
            settings=settings,
            observer=self.events.append,
        )

    @asynccontextmanager
    async def running(self, settings: SenderSettings = QUICK) -> AsyncIterator[Sender]:
        sender = self.sender(settings)
        task = asyncio.create_task(sender.run())
        try:
            yield sender
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await sender.close()

    async def automine(self, on: bool) -> None:
        await self.anvil.request("evm_setAutomine", on)

    async def told(self, kind: type[Any]) -> None:
        """Until the sender says that this happened."""
        async with asyncio.timeout(PATIENCE_S):
            while not any(isinstance(event, kind) for event in self.events):  # noqa: ASYNC110 - the node has no events
                await asyncio.sleep(0.05)

    async def pooled(self) -> None:
        """Until the node's pool has a transaction."""
        async with asyncio.timeout(PATIENCE_S):
            while not int((await self.anvil.request("txpool_status"))["pending"], 16):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def transactions(self) -> list[dict[str, Any]]:
        """Every transaction on the chain, in order."""
        head = int(await self.anvil.request("eth_blockNumber"), 16)
        blocks = [await self.anvil.request("eth_getBlockByNumber", hex(height), True) for height in range(head + 1)]
        return [transaction for block in blocks for transaction in block["transactions"]]


@asynccontextmanager
async def bench_on(options: AnvilOptions, path: Path) -> AsyncIterator[Bench]:
    async with Anvil(options) as anvil, make_session() as session:
        chain = Chain(LOCAL, [anvil.url], session=session)
        database = await open_database(f"sqlite:///{path}/journal.db")
        try:
            yield Bench(anvil, chain, database, [], session)
        finally:
            await database.close()
            await chain.close()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(AnvilOptions(LOCAL), tmp_path) as one:
        yield one


async def soon(sender: Sender, key: str, state: TxState = TxState.CONFIRMED) -> Any:
    return await asyncio.wait_for(sender.wait(key, until=state), PATIENCE_S)


async def test_the_client_is_what_the_sender_needs(bench: Bench):
    chain: ChainWriter = bench.chain
    assert (await chain.fee_history(4, "latest", (50.0,))).base_fees


async def test_submitted_mined_confirmed(bench: Bench):
    async with bench.running() as sender:
        outcome = await sender.submit(price(1))
        assert outcome.state is TxState.BROADCAST
        done = await soon(sender, "price-1")
    (mined,) = await bench.transactions()
    assert (mined["hash"], mined["input"], mined["type"]) == (done.hashes[0], "0x" + b"price-1".hex(), "0x2")
    assert done.receipt.succeeded


async def test_many_at_once(bench: Bench):
    async with bench.running() as sender:
        await asyncio.gather(*(sender.submit(price(number)) for number in range(100)))
        await asyncio.gather(*(soon(sender, f"price-{number}") for number in range(100)))
    nonces = [int(one["nonce"], 16) for one in await bench.transactions()]
    assert sorted(nonces) == list(range(100))


async def test_a_revert_is_told_before_anything_is_journalled(bench: Bench):
    sender = bench.sender()
    with pytest.raises(RejectedError):
        await sender.submit(Intent("broken", None, REVERTS))
    assert await sender.find("broken") is None
    assert await bench.transactions() == []


async def test_a_failing_transaction_is_mined_and_says_so(bench: Bench):
    async with bench.running() as sender:
        await sender.submit(Intent("broken", None, REVERTS, gas_limit=100_000))
        assert not (await soon(sender, "broken")).receipt.succeeded


@pytest.mark.parametrize(
    ("point", "passes"),
    [("before write", 0), ("after write", 0), ("before send_raw", 1), ("after send_raw", 0), ("after write", 2)],
)
async def test_killed_at_any_point_nothing_is_lost_and_nothing_twice(bench: Bench, tmp_path: Path, point, passes):
    database = f"sqlite:///{tmp_path}/journal.db"
    arguments = ("-m", "tests.support.killed_sender", bench.anvil.url, database, point, str(passes))
    child = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT)
    assert await child.wait() == -signal.SIGKILL
    async with bench.running() as sender:
        await asyncio.gather(*(sender.submit(price(number)) for number in range(INTENTS)))
        await asyncio.gather(*(soon(sender, f"price-{number}") for number in range(INTENTS)))
    mined = await bench.transactions()
    assert sorted(bytes.fromhex(one["input"][2:]).decode() for one in mined) == [f"price-{n}" for n in range(INTENTS)]
    assert sorted(int(one["nonce"], 16) for one in mined) == list(range(INTENTS))


async def test_a_reorg_brings_it_back(bench: Bench):
    async with bench.running(SenderSettings(poll_s=0.05, confirmations=6, patience=QUICK.patience)) as sender:
        first = await sender.submit(price(1))
        await soon(sender, "price-1", TxState.MINED)
        await bench.automine(False)
        await bench.anvil.mine(2)
        await bench.anvil.request("anvil_reorg", 3, [])
        await bench.told(Orphaned)
        await bench.pooled()
        await bench.anvil.mine(8)
        done = await soon(sender, "price-1")
    assert done.hashes == first.hashes
    assert len(await bench.transactions()) == 1


async def test_dropped_by_the_pool_it_is_sent_again(bench: Bench):
    await bench.automine(False)
    async with bench.running() as sender:
        outcome = await sender.submit(price(1))
        await bench.anvil.request("anvil_dropTransaction", outcome.hashes[0])
        await bench.pooled()
        await bench.anvil.mine()
        assert (await soon(sender, "price-1")).hashes == outcome.hashes


async def test_a_hole_is_filled(bench: Bench):
    me = bench.sender().address
    await bench.automine(False)
    strange = await bench.anvil.request("eth_sendTransaction", {"from": me, "to": TO, "value": "0x1", "nonce": "0x0"})
    async with bench.running() as sender:
        assert (await sender.submit(price(1))).nonce == 1
        await bench.anvil.request("anvil_dropTransaction", strange)
        await bench.told(GapFilled)
        await bench.automine(True)
        await bench.anvil.mine()
        await soon(sender, "price-1")
    filler, ours = await bench.transactions()
    assert (filler["from"], filler["to"], filler["value"]) == (me, me, "0x0")
    assert bytes.fromhex(ours["input"][2:]) == b"price-1"


async def test_stuck_below_the_base_fee_it_offers_more(bench: Bench):
    await bench.automine(False)
    settings = SenderSettings(poll_s=0.05, fee_refresh_s=0.05, patience=Patience(bump_ms=200, resend_ms=300))
    async with bench.running(settings) as sender:
        await sender.submit(price(1))
        await bench.anvil.request("anvil_setNextBlockBaseFeePerGas", hex(50 * GWEI))
        await bench.anvil.mine()
        await bench.told(Replaced)
        await bench.anvil.mine()
        done = await soon(sender, "price-1")
    assert done.receipt.transaction_hash == done.hashes[-1]
    assert len(done.hashes) >= 2


async def test_a_newer_price_takes_the_nonce(bench: Bench):
    await bench.automine(False)
    async with bench.running() as sender:
        await sender.submit(price(1))
        await sender.replace("price-1", price(2))
        await bench.anvil.mine()
        await soon(sender, "price-2")
        assert (await soon(sender, "price-1")).state is TxState.REPLACED
    (only,) = await bench.transactions()
    assert bytes.fromhex(only["input"][2:]) == b"price-2"


async def test_without_fees(tmp_path: Path):
    async with bench_on(AnvilOptions(LOCAL, zero_fee=True), tmp_path) as bench:
        settings = SenderSettings(poll_s=0.05, fees=FeePolicy(ceiling=0), patience=QUICK.patience)
        async with bench.running(settings) as sender:
            await sender.submit(price(1))
            done = await soon(sender, "price-1")
        assert done.receipt.effective_gas_price == 0
        (mined,) = await bench.transactions()
        assert (mined["maxFeePerGas"], mined["maxPriorityFeePerGas"]) == ("0x0", "0x0")
