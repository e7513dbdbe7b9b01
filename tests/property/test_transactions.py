"""Whatever crashes, reorgs, drops and fee storms happen in whatever order: no nonce gap, no key mined twice, and every
intent that reached the journal is mined in the end. And our bytes are those that eth-account makes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from eth_account import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import text

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address, ChainId
from seamark.evm.address import to_checksum
from seamark.evm.ports import Intent, TxState
from seamark.evm.signers import RawKeySigner
from seamark.evm.transactions import CannotReplace, FeePolicy, Sender, SenderSettings
from seamark.evm.transactions.encoding import Unsigned
from seamark.evm.transactions.fees import Hold, Market, next_fees, quote
from seamark.evm.transactions.model import Fees
from seamark.evm.transactions.rules import next_nonce, plan_recovery
from seamark.storage.database import open_database
from tests.support.clock import FakeClock
from tests.support.crashes import Crash, CrashingDatabase, Fuse
from tests.support.mempool import GWEI, MemoryNode
from tests.support.pools import FAMILIES, PAID, Offer
from tests.support.sending import KEY, TO, price, stop_all_tasks

T = TypeVar("T")
DEEPEST_REORG = 3
DEAREST = 100 * GWEI
ROUNDS_TO_SETTLE = 60

uint256 = st.integers(0, 2**256 - 1)
uint64 = st.integers(0, 2**64 - 1)
addresses = st.binary(min_size=20, max_size=20).map(lambda raw: Address("0x" + raw.hex()))


# ---- encoding --------------------------------------------------------------------------------------------------------


@given(
    chain_id=st.integers(1, 2**53),
    nonce=uint64,
    to=st.none() | addresses,
    data=st.binary(max_size=200) | st.binary(min_size=56, max_size=70_000),
    value=uint256,
    gas=uint64,
    cap=uint256,
    tip=uint256,
    legacy=st.booleans(),
    secret=st.integers(1, 2**255).map(lambda number: number.to_bytes(32, "big")),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow])
def test_the_bytes_are_those_of_eth_account(*, chain_id, nonce, to, data, value, gas, cap, tip, legacy, secret):
    fees = Fees(cap, cap, legacy=True) if legacy else Fees(cap, tip)
    unsigned = Unsigned(ChainId(chain_id), nonce, to, data, value, gas, fees)
    raw = unsigned.signed(*asyncio.run(RawKeySigner(secret).sign(unsigned.preimage())))
    fields: dict[str, Any] = {"chainId": chain_id, "nonce": nonce, "data": data, "value": value, "gas": gas}
    fields |= {"gasPrice": cap} if legacy else {"maxFeePerGas": cap, "maxPriorityFeePerGas": tip, "type": 2}
    fields |= {"to": to_checksum(to)} if to else {}
    assert raw == Account.sign_transaction(fields, secret).raw_transaction


# ---- rules ----------------------------------------------------------------------------------------------------------

markets = st.builds(Market, st.none() | st.integers(0, 10**13), st.integers(0, 10**12), st.integers(0, 10**13))
policies = st.builds(FeePolicy, st.integers(0, 10**13), st.integers(0, 10**10), st.integers(0, 10**12))


@given(market=markets, policy=policies)
def test_a_first_offer_keeps_the_ceiling_and_is_well_formed(market, policy):
    fees = quote(market, policy)
    assert 0 <= fees.tip <= fees.cap <= policy.ceiling


@given(
    previous=st.tuples(st.integers(1, 10**13), st.integers(0, 10**13)),
    market=markets,
    policy=policies,
    later=st.floats(0, 1.26),
    count=st.integers(1, 5),
)
def test_a_replacement_passes_every_pool_and_the_ceiling(*, previous, market, policy, later, count):
    legacy = market.next_base is None
    old = Fees(max(previous), max(previous), legacy=True) if legacy else Fees(max(previous), min(previous))
    new = next_fees(old, market, policy)
    if isinstance(new, Hold):
        return
    assert new.legacy is legacy
    assert new.tip <= new.cap <= policy.ceiling
    base = None if market.next_base is None else int(market.next_base * later)
    before, after = Offer(old.cap, old.tip, legacy), Offer(new.cap, new.tip, legacy)
    for name in PAID:
        assert FAMILIES[name].replaces(before, after, base, count), name


@given(st.sets(st.integers(0, 60)), st.integers(0, 60), st.integers(0, 60))
def test_after_recovery_no_nonce_is_missing(open_nonces, latest, pending):
    plan = plan_recovery(open_nonces, latest, pending)
    first_free = max(latest, pending)
    after = set(plan.fill) | open_nonces
    top = max(open_nonces, default=-1)
    assert all(nonce in after for nonce in range(first_free, top + 1))
    assert not set(plan.fill) & open_nonces
    assert sorted([*plan.resend, *plan.settle]) == sorted(open_nonces)
    assert all(nonce < latest for nonce in plan.settle)
    assert next_nonce(top if open_nonces else None, latest, pending) > max(top, latest - 1, pending - 1)


# ---- the whole sender ----------------------------------------------------------------------------------------------


class Sending(RuleBasedStateMachine):
    """One signer, one node, one journal; the process may die at any step."""

    foreigners = False
    confirmations = 1

    @initialize(rule_name=st.sampled_from(PAID), keeps_gaps=st.booleans())
    def start(self, rule_name, keeps_gaps):
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda _loop, _context: None)  # tasks killed by a crash have nobody to tell
        self.fuse = Fuse()
        self.clock = FakeClock()
        self.node = MemoryNode(rule=rule_name, keeps_gaps=keeps_gaps)
        self.node.before = lambda method: self._around(f"before {method}")
        self.node.after = lambda method: self._around(f"after {method}")
        self.lost: str | None = None
        self.database = self._run(open_database("sqlite://"))
        self.keys = 0
        self._new_process()

    def _around(self, point: str) -> None:
        self.fuse.pass_by(point)
        if point == self.lost:
            self.lost = None
            raise TemporaryError("time-out")

    def _new_process(self) -> None:
        self.fuse.disarm()
        self._run(stop_all_tasks())
        self.sender = Sender(
            chain=self.node,
            signer=RawKeySigner.from_hex(KEY),
            database=CrashingDatabase(self.database, self.fuse),
            clock=self.clock,
            settings=SenderSettings(confirmations=self.confirmations),
        )

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def _attempt(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run one call of ours; if the process dies, a new one takes over."""
        try:
            self._run(work)
        except (Crash, asyncio.CancelledError):  # a task that dies takes those along that wait for it
            self._new_process()
        except (TemporaryError, CannotReplace):
            pass

    def _intent(self) -> Intent:
        self.keys += 1
        return price(self.keys)

    points = st.sampled_from(["before write", "after write", "before send_raw", "after send_raw", "before receipts"])

    @rule(count=st.integers(1, 3))
    def submit(self, count):
        async def many():
            await asyncio.gather(*(self.sender.submit(intent) for intent in intents))

        intents = [self._intent() for _ in range(count)]
        self._attempt(many())

    @precondition(lambda self: self.keys)
    @rule(number=st.integers(0, 40))
    def submit_again(self, number):
        self._attempt(self.sender.submit(price(1 + number % self.keys)))

    @precondition(lambda self: self.keys)
    @rule(back=st.integers(0, 3))
    def replace(self, back):
        old = max(1, self.keys - back)
        self._attempt(self.sender.replace(f"price-{old}", self._intent()))

    @rule(point=points, passes=st.integers(0, 2))
    def arm(self, point, passes):
        self.fuse.arm(point, passes)

    @rule(point=st.sampled_from(["before send_raw", "after send_raw", "before receipts", "before nonce"]))
    def lose_a_request(self, point):
        self.lost = point

    @rule()
    def kill(self):
        self._new_process()

    @rule()
    def look(self):
        self._attempt(self.sender.look())

    @rule(count=st.integers(1, 3))
    def mine(self, count):
        self.node.mine(count)

    @rule()
    def mine_and_look(self):
        self.node.mine()
        self.look()

    @rule(depth=st.integers(1, DEEPEST_REORG), keep=st.booleans())
    def reorg(self, depth, keep):
        self.node.reorg(depth, keep=keep)

    @rule()
    def drop_pool(self):
        self.node.drop_pool()

    @rule(seconds=st.sampled_from([1, 6, 31, 70]))
    def wait(self, seconds):
        self.clock.advance(seconds)

    @rule(base=st.sampled_from([1, GWEI, 7 * GWEI, 60 * GWEI]))
    def fees_change(self, base):
        self.node.base_fee = base

    @precondition(lambda self: self.foreigners)
    @rule()
    def somebody_uses_the_key(self):
        self.node.mine_foreign(self.sender.address)

    @precondition(lambda self: self.foreigners)
    @rule()
    def somebody_uses_the_key_and_is_orphaned(self):
        self.node.mine_foreign(self.sender.address)
        self.look()
        self.submit(1)
        self.node.reorg(1)

    @invariant()
    def no_key_is_mined_twice(self):
        if not hasattr(self, "node"):
            return
        mined = [tx.data for tx in self.node.mined if tx.data]
        assert len(mined) == len(set(mined))

    def teardown(self):
        if not hasattr(self, "node"):
            return
        try:
            self._settle()
        finally:
            self._new_process()
            self._run(self.database.close())
            self.loop.close()

    def _settle(self) -> None:
        self._new_process()
        self.lost = None
        self.node.base_fee = DEAREST  # so whatever was offered before has to be raised
        for _ in range(ROUNDS_TO_SETTLE):
            self._attempt(self.sender.look())
            self.node.mine()
            self.clock.advance(31)
        rows = self._run(
            self.database.read(
                lambda c: c.execute(text("SELECT key, nonce, state, data FROM evm_transaction ORDER BY id")).all()
            )
        )
        self.no_key_is_mined_twice()
        mined = {tx.nonce: tx.data for tx in self.node.mined}
        winners = {row.nonce: bytes.fromhex(row.data) for row in rows if row.state == TxState.CONFIRMED}
        assert {row.state for row in rows} <= {TxState.CONFIRMED, TxState.REPLACED, TxState.FOREIGN}
        assert winners == mined, "the journal knows who won each nonce"
        assert {row.nonce for row in rows if row.state == TxState.REPLACED} <= winners.keys()
        assert not self.node.pool, "nothing waits behind a gap"
        if not self.foreigners:
            assert sorted(winners) == list(range(len(winners))), "no gap"
            assert all(row.state != TxState.FOREIGN for row in rows)


class SendingWithForeigners(Sending):
    """Somebody else signs with the same key; reorgs are never deeper than what counts as confirmed."""

    foreigners = True
    confirmations = DEEPEST_REORG + 1


_PACE = settings(max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
TestSending = Sending.TestCase
TestSending.settings = _PACE
TestSendingWithForeigners = SendingWithForeigners.TestCase
TestSendingWithForeigners.settings = _PACE


def test_a_rejected_intent_leaves_no_trace():
    """The state machine never reverts; this is the other branch."""

    async def scenario() -> None:
        database = await open_database("sqlite://")
        node = MemoryNode(revert=RejectedError("execution reverted: stale round"))
        sender = Sender(chain=node, signer=RawKeySigner.from_hex(KEY), database=database, clock=FakeClock())
        with pytest.raises(RejectedError, match="stale round"):
            await sender.submit(Intent("price-1", TO, b"\x01\x02\x03\x04"))
        assert await sender.find("price-1") is None
        assert not node.accepted
        await database.close()

    asyncio.run(scenario())
