"""A policy under a real sender: one refused intent stops nobody else, and the day's spend is in the journal."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.mempool import GWEI
from tests.support.sending import KEY, TO, Rig, price

from seamark.core.errors import TemporaryError
from seamark.core.ids import Address
from seamark.core.times import DAY_MS
from seamark.evm.ports import TxState
from seamark.evm.signer_settings import SignerPolicySettings
from seamark.evm.signers import PolicyRefused, PolicySigner, RawKeySigner
from seamark.evm.signers.store import JournalLedger, costs_since
from seamark.evm.transactions import FeePolicy, Sender, SenderSettings
from seamark.evm.transactions.fees import Hold
from seamark.evm.transactions.ports import Held, Replaced

STRANGER = Address("0x" + "33" * 20)


@pytest.fixture
async def rig():
    one = await Rig.open(SenderSettings(fees=FeePolicy(ceiling=500 * GWEI)))
    yield one
    await one.close()


def start(rig, inner=None, **policy):
    """A new process with a policy in front of the key."""
    signer = PolicySigner(
        inner or RawKeySigner.from_hex(KEY),
        SignerPolicySettings(**policy),
        clock=rig.clock,
        ledger=JournalLedger(rig.database),
        setting="oracle.signer.policy",
    )
    rig.sender = Sender(
        chain=rig.node,
        signer=signer,
        database=rig.database,
        clock=rig.clock,
        settings=rig.settings,
        observer=rig.events.append,
    )
    return rig.sender


async def journal(rig):
    since = round(rig.clock.now() * 1000) - DAY_MS
    return await rig.database.read(lambda c: costs_since(c, rig.node.chain_id, rig.sender.address, since))


async def total(rig) -> int:
    return sum(cost.wei for cost in (await journal(rig)).values())


async def test_a_refused_intent_takes_no_nonce_and_stops_nobody(rig):
    sender = start(rig, allow=[{"contract": TO}])
    wanted = [price(number, to=STRANGER if number in (0, 2, 5) else TO) for number in range(8)]
    answers = await asyncio.gather(*(sender.submit(one) for one in wanted), return_exceptions=True)
    refused = [number for number, answer in enumerate(answers) if isinstance(answer, PolicyRefused)]
    assert refused == [0, 2, 5]
    assert sorted(answer.nonce for answer in answers if not isinstance(answer, BaseException)) == [0, 1, 2, 3, 4]
    rig.node.mine()
    assert {tx.to for tx in rig.node.mined} == {TO}
    assert len(rig.node.mined) == 5
    await sender.look()
    assert (await sender.submit(price(9))).nonce == 5


async def test_the_journal_knows_what_was_paid_and_what_may_be(rig):
    sender = start(rig)
    await sender.submit(price(1))
    await sender.submit(price(2))
    offered = await journal(rig)
    caps = {entry.nonce: entry.last.fees.cap for entry in (sender._crew.book.find(f"price-{n}") for n in (1, 2))}
    assert {nonce: cost.wei for nonce, cost in offered.items()} == {nonce: 60_000 * cap for nonce, cap in caps.items()}
    rig.node.mine(100)
    await rig.look(1)
    assert await rig.state(1) is TxState.CONFIRMED
    paid = await journal(rig)
    assert all(cost.settled for cost in paid.values())
    assert 0 < sum(cost.wei for cost in paid.values()) < sum(cost.wei for cost in offered.values())
    rig.clock.advance(DAY_MS / 1000 + 1)
    assert await journal(rig) == {}


async def test_a_limit_survives_a_restart(rig):
    await start(rig).submit(price(1))
    one = await total(rig)
    sender = start(rig, max_spend_per_day=f"{2 * one + one // 2} wei")
    await sender.submit(price(2))
    sender = start(rig, max_spend_per_day=f"{2 * one + one // 2} wei")
    with pytest.raises(PolicyRefused, match="max_spend_per_day"):
        await sender.submit(price(3))
    assert await sender.find("price-3") is None


async def test_a_limit_holds_for_higher_offers_and_says_so_once(rig):
    await start(rig).submit(price(1))
    one = await total(rig)
    rig.node.base_fee *= 40
    sender = start(rig, max_spend_per_day=f"{one + one // 2} wei")
    await sender.look()
    for _ in range(4):
        rig.node._append((), ())
        await rig.look(60)
    assert not rig.told(Replaced)
    assert [event.reason for event in rig.told(Held)] == [Hold.SIGNER]
    assert await total(rig) == one
    sender = start(rig, max_spend_per_day=f"{100 * one} wei")
    for _ in range(2):
        rig.node._append((), ())
        await rig.look(60)
    assert rig.told(Replaced)
    assert one < await total(rig) <= 100 * one


class Flaky:
    """A service that is away at times."""

    def __init__(self):
        self._key = RawKeySigner.from_hex(KEY)
        self.address = self._key.address
        self.away = False

    async def sign(self, preimage):
        if self.away:
            raise TemporaryError("oracle.signer.aws_kms: no answer within 3 s")
        return await self._key.sign(preimage)


async def test_a_service_that_is_away_delays_and_loses_nothing(rig):
    service = Flaky()
    sender = start(rig, service)
    await sender.submit(price(1))
    service.away = True
    with pytest.raises(TemporaryError, match="aws_kms"):
        await sender.submit(price(2))
    rig.node.mine()
    await sender.look()
    assert await rig.state(1) in (TxState.MINED, TxState.CONFIRMED), "what was sent is followed all the same"
    service.away = False
    assert (await sender.submit(price(2))).nonce == 1
