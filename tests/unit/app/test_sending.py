"""One transaction of an operator, sent once: the journal, a node in memory, commands given twice or killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from seamark.app.chains import OpenChain
from seamark.app.sending import Delivery, open_operator, send_once, unsigned_transaction
from seamark.core.errors import RejectedError, SettingsError, TemporaryError
from seamark.core.ids import Address
from seamark.evm.ports import Intent, Signer
from seamark.evm.settings import ChainSettings
from seamark.evm.signers import RawKeySigner
from seamark.runtime.clock import SystemClock
from seamark.runtime.settings import validate_settings
from seamark.settings import Settings
from seamark.storage.database import Database, open_database
from tests.support.clock import FakeClock
from tests.support.mempool import GWEI, MemoryNode, refusal

KEY = "11" * 32
TO = Address("0x" + "22" * 20)
INTENT = Intent("recovery:1", TO, b"\x01\x02", gas_limit=60_000)
ENOUGH_S = 20.0


async def always() -> bool:
    return True


async def never() -> bool:
    return False


@dataclass
class Post:
    """What sends, over a journal that stays."""

    database: Database
    node: MemoryNode = field(default_factory=MemoryNode)

    @property
    def item(self) -> OpenChain:
        written = {
            "chain_id": 31337,
            "rpc": ["http://127.0.0.1:1"],
            "poll_interval": "10ms",
            "finality": {"tag": None, "depth": 0},
        }
        chain: Any = self.node
        return OpenChain("here", validate_settings(ChainSettings, written), chain)

    async def send(
        self,
        intent: Intent = INTENT,
        *,
        wanted: Callable[[], Awaitable[bool]] = always,
        timeout_s: float = ENOUGH_S,
        mining: bool = True,
    ) -> Delivery:
        """One command, with a chain that goes on meanwhile."""
        miner = asyncio.create_task(self._mine()) if mining else None
        try:
            return await send_once(
                self.item,
                RawKeySigner.from_hex(KEY),
                intent,
                database=self.database,
                clock=SystemClock(),
                timeout_s=timeout_s,
                still_wanted=wanted,
            )
        finally:
            if miner is not None:
                miner.cancel()

    async def not_mined(self) -> bool:
        """As a contract answers: what was mined has done its work."""
        return not self.node.mined

    async def _mine(self) -> None:
        while True:
            await asyncio.sleep(0.005)
            if self.node.pool:
                self.node.mine()


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    database = await open_database("sqlite://")
    yield Post(database)
    await database.close()


async def test_it_is_sent_and_waited_for(post: Post) -> None:
    done = await post.send()
    assert done.receipt is not None
    assert done.receipt.succeeded
    (tx,) = post.node.mined
    assert done.transaction == tx.hash
    assert (tx.to, tx.data, tx.gas) == (TO, INTENT.data, 60_000)


async def test_what_nobody_wants_any_more_is_not_sent(post: Post) -> None:
    done = await post.send(wanted=never)
    assert not done.wanted
    assert done.transaction is None
    assert post.node.accepted == []


async def test_given_twice_while_it_waits_it_is_one_transaction(post: Post) -> None:
    first = await post.send(mining=False, timeout_s=0.5)
    assert first.receipt is None
    assert first.transaction is not None
    again = await post.send(mining=False, timeout_s=0.5)  # still in no block: found in the journal
    assert (again.key, again.transaction) == (first.key, first.transaction)
    await post.send(wanted=post.not_mined)
    assert [tx.hash for tx in post.node.mined] == [first.transaction]


async def test_a_command_that_was_killed_is_taken_up(post: Post) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await post.send(mining=False)
    assert len(post.node.accepted) == 1
    await post.send(wanted=post.not_mined)
    assert len(post.node.mined) == 1


async def test_what_was_mined_while_nobody_looked_is_told_and_not_sent_again(post: Post) -> None:
    first = await post.send(mining=False, timeout_s=0.5)
    post.node.mine()
    told = await post.send()  # still wanted, as far as anybody knows: the ledger may be behind
    assert told.receipt is not None
    assert (told.key, told.transaction) == (first.key, first.transaction)
    assert len(post.node.accepted) == 1


async def test_what_is_wanted_still_after_it_was_mined_is_another_attempt(post: Post) -> None:
    first, second, third = await post.send(), await post.send(), await post.send()
    assert [done.key for done in (first, second, third)] == ["recovery:1", "recovery:1#1", "recovery:1#2"]
    assert len({done.transaction for done in (first, second, third)}) == 3
    assert [tx.nonce for tx in post.node.mined] == [0, 1, 2]


async def test_the_question_comes_after_the_journal_is_up_to_date(post: Post) -> None:
    """A transaction that was mined while nobody looked is known before anybody asks whether another is wanted."""
    await post.send(mining=False, timeout_s=0.5)
    post.node.mine()
    asked: list[int] = []

    async def ask() -> bool:
        asked.append(len(post.node.mined))
        return False

    done = await post.send(wanted=ask)
    assert asked == [1]
    assert not done.wanted
    assert len(post.node.accepted) == 1


async def test_a_node_that_refuses_for_now_is_tried_again(post: Post) -> None:
    refused = 0

    def refuse_twice(method: str) -> None:
        nonlocal refused
        if method == "send_raw" and refused < 2:
            refused += 1
            raise TemporaryError("the pool is full")

    post.node.before = refuse_twice
    done = await post.send()
    assert done.receipt is not None
    assert refused == 2


async def test_what_cannot_be_paid_for_is_refused(post: Post) -> None:
    post.node.funds = 1
    with pytest.raises(RejectedError, match="fund the address"):
        await post.send()
    assert post.node.accepted == []


async def test_what_no_node_ever_takes_is_told(post: Post) -> None:
    def refuse(method: str) -> None:
        if method == "send_raw":
            raise refusal("exceeds block gas limit")

    post.node.before = refuse
    with pytest.raises((RejectedError, TemporaryError)):
        await post.send(timeout_s=0.5)


async def test_a_chain_that_is_down_is_worth_another_try(post: Post) -> None:
    def down(method: str) -> None:
        raise TemporaryError("no answer")

    post.node.before = down
    with pytest.raises(TemporaryError):
        await post.send(timeout_s=0.5)


# ---- for a signer elsewhere ------------------------------------------------------------------------------------------


async def unsigned(post: Post, **changes: Any) -> dict[str, str]:
    return await unsigned_transaction(post.item, to=TO, data=b"\xab", gas=240_000, clock=SystemClock(), **changes)


async def test_an_unsigned_transaction_has_the_fees_of_the_moment(post: Post) -> None:
    made = await unsigned(post)
    assert made["type"] == "0x2"
    assert (made["chainId"], made["to"], made["data"], made["value"]) == ("0x7a69", TO, "0xab", "0x0")
    assert int(made["gas"], 16) == 240_000
    assert int(made["maxFeePerGas"], 16) > int(made["maxPriorityFeePerGas"], 16) > 0
    assert "nonce" not in made


async def test_with_its_signer_it_has_a_nonce(post: Post) -> None:
    made = await unsigned(post, sender=TO)
    assert (made["from"], made["nonce"]) == (TO, "0x0")


async def test_before_eip_1559_it_has_a_gas_price(post: Post) -> None:
    post.node.base_fee = None
    post.node.mine()
    made = await unsigned(post)
    assert made["type"] == "0x0"
    assert int(made["gasPrice"], 16) == GWEI
    assert "maxFeePerGas" not in made


# ---- the operator's key ----------------------------------------------------------------------------------------------


def settings(**parts: Any) -> Settings:
    return validate_settings(Settings, parts)


@asynccontextmanager
async def operator(wanted: Settings) -> AsyncIterator[Signer]:
    database = await open_database("sqlite://")
    try:
        async with open_operator(wanted, database=database, clock=FakeClock()) as signer:
            yield signer
    finally:
        await database.close()


async def test_the_operators_key_is_that_of_recovery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOVERY_KEY", KEY)
    async with operator(settings(recovery={"signer": {"private_key_env": "RECOVERY_KEY"}})) as signer:
        assert signer.address == RawKeySigner.from_hex(KEY).address


async def test_without_a_key_there_is_another_way() -> None:
    with pytest.raises(SettingsError, match=r"recovery\.signer: is not set") as caught:
        await operator(settings()).__aenter__()
    assert "--out" in caught.value.remedy


async def test_the_publishers_key_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", KEY)
    same = {"private_key_env": "KEY"}
    with pytest.raises(SettingsError, match="publisher's key"):
        await operator(settings(recovery={"signer": same}, oracle={"signer": same})).__aenter__()
    guarded = same | {"policy": {"max_per_minute": 5}}
    with pytest.raises(SettingsError, match="publisher's key"):
        await operator(settings(recovery={"signer": guarded}, oracle={"signer": same})).__aenter__()
