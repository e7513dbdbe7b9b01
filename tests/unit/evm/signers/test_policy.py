"""A policy reads the very bytes that would be signed, and lets nothing past that it does not allow."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.clock import FakeClock
from tests.support.key_services import SECRET

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address, ChainId
from seamark.core.times import DAY_MS
from seamark.evm.signer_settings import SignerPolicySettings
from seamark.evm.signers import PolicyRefused, PolicySigner, RawKeySigner
from seamark.evm.signers.payload import Payload, Report, read_payload
from seamark.evm.signers.spending import Cost, DaySpend
from seamark.evm.transactions.encoding import RlpItem, Unsigned, rlp_encode
from seamark.evm.transactions.model import Fees

GWEI = 10**9
ETHER = 10**18
CONTRACT = Address("0x" + "ab" * 20)
OTHER = Address("0x" + "cd" * 20)
KEY = RawKeySigner.from_hex(SECRET)
SUBMIT = "submit(uint256,int256)"


def transaction(
    nonce=7, *, to=CONTRACT, data=b"\x01\x02\x03\x04", value=0, gas=100_000, price=10 * GWEI, chain=138, legacy=False
):
    return Unsigned(ChainId(chain), nonce, to, data, value, gas, Fees(price, price if legacy else 1, legacy=legacy))


class Journal:
    """What a ledger would say; counts how often it is asked."""

    def __init__(self, costs=()):
        self.costs_by_nonce = dict(costs)
        self.asked = []

    async def costs(self, chain_id, signer, since_ms):
        self.asked.append((chain_id, signer, since_ms))
        return dict(self.costs_by_nonce)


def guarded(policy, *, inner=KEY, clock=None, ledger=None):
    settings = SignerPolicySettings(**policy)
    return PolicySigner(
        inner, settings, clock=clock or FakeClock(), ledger=ledger or Journal(), setting="oracle.signer.policy"
    )


async def refused(signer, what, rule) -> str:
    preimage = what.preimage() if isinstance(what, Unsigned) else what
    with pytest.raises(PolicyRefused) as caught:
        await signer.sign(preimage)
    assert caught.value.rule == rule
    assert str(caught.value).startswith(f"oracle.signer.policy.{rule} forbids it: ")
    return str(caught.value)


# ---- reading ---------------------------------------------------------------------------------------------------------

addresses = st.none() | st.binary(min_size=20, max_size=20).map(lambda raw: Address("0x" + raw.hex()))


@given(
    st.integers(1, 2**64),
    st.integers(0, 2**64 - 1),
    addresses,
    st.binary(max_size=400),
    st.integers(0, 2**256 - 1),
    st.integers(0, 2**64),
    st.integers(0, 2**128),
    st.booleans(),
)
def test_what_we_encode_is_read_back(chain, nonce, to, data, value, gas, price, legacy):  # noqa: PLR0917
    fees = Fees(price, price, legacy=legacy)
    read = read_payload(Unsigned(ChainId(chain), nonce, to, data, value, gas, fees).preimage())
    assert read == Payload(ChainId(chain), nonce, to, data, value, gas, price)


@given(st.binary(max_size=300))
def test_other_bytes_are_refused_or_read_strictly(raw):
    try:
        read = read_payload(raw)
    except RejectedError:
        return
    if isinstance(read, Report):
        assert len(raw) == 128
    else:
        fees = [Fees(read.price, read.price, legacy=legacy) for legacy in (True, False)]
        again = [Unsigned(read.chain_id, read.nonce, read.to, read.data, read.value, read.gas, one) for one in fees]
        assert len(raw) in {len(one.preimage()) for one in again} or raw[:1] == b"\x02"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x01" + transaction().preimage()[1:],  # EIP-2930
        b"\x03" + transaction().preimage()[1:],  # EIP-4844
        b"\x19Ethereum Signed Message:\n5hello",
        transaction().preimage() + b"\0",
        transaction().preimage()[:-1],
        rlp_encode([1, 2, 3, bytes(20), 0, b""]),  # legacy without a chain: valid everywhere
        rlp_encode([1, 2, 3, bytes(20), 0, b"", 138, 1, 0]),
        rlp_encode([1, 2, 3, bytes(19), 0, b"", 138, 0, 0]),
        rlp_encode([b"\x00\x01", 2, 3, bytes(20), 0, b"", 138, 0, 0]),  # a number with a leading zero
        b"\xf8\x02\x01\x01",  # a length in more bytes than it needs
        b"\xb9\x00\x01\x01",
        b"\xff" * 9,
        b"\x81\x01",  # one small byte as a string
    ],
)
async def test_what_is_no_transaction_is_not_signed(raw):
    with pytest.raises(RejectedError, match="no known transaction or report"):
        await guarded({}).sign(raw)


async def test_reports_are_signed_where_that_is_allowed():
    report = bytes(range(128))
    assert read_payload(report) == Report()
    await refused(guarded({}), report, "reports")
    assert await guarded({"reports": True}).sign(report) == await KEY.sign(report)
    await refused(guarded({"reports": True, "max_per_minute": 1, "allow": []}), transaction(value=1), "max_value")


# ---- calls and amounts -----------------------------------------------------------------------------------------------


async def test_what_is_allowed_is_signed_as_by_the_key_itself():
    for legacy in (False, True):
        preimage = transaction(legacy=legacy).preimage()
        assert await guarded({}).sign(preimage) == await KEY.sign(preimage)


async def test_only_allowed_chains_contracts_and_functions():
    signer = guarded(
        {
            "allow": [
                {"chain_id": 138, "contract": CONTRACT, "functions": [SUBMIT, "0xaabbccdd"]},
                {"chain_id": 139},
            ]
        }
    )
    selector = bytes.fromhex("aabbccdd")
    await signer.sign(transaction(data=selector + bytes(64)).preimage())
    await signer.sign(transaction(chain=139, to=OTHER, data=b"").preimage())
    for wrong in (
        transaction(data=b"\x01\x02\x03\x04"),
        transaction(data=selector[:3]),
        transaction(data=b""),
        transaction(to=OTHER, data=selector),
        transaction(to=None, data=selector),
        transaction(chain=1, data=selector),
    ):
        told = await refused(signer, wrong, "allow")
        assert f"chain {wrong.chain_id}" in told


async def test_a_function_may_be_named_by_its_signature():
    settings = SignerPolicySettings(allow=[{"functions": ["transfer(address, uint256)"]}])
    assert settings.allow[0].functions == ("0xa9059cbb",)


async def test_using_up_a_nonce_is_allowed_on_allowed_chains():
    signer = guarded({"allow": [{"chain_id": 138, "contract": CONTRACT, "functions": [SUBMIT]}], "max_fee": "1 ether"})
    await signer.sign(transaction(to=KEY.address, data=b"").preimage())
    await refused(signer, transaction(to=KEY.address, data=b"", chain=1), "allow")
    await refused(signer, transaction(to=KEY.address, data=b"\x01"), "allow")
    await refused(signer, transaction(to=KEY.address, data=b"", price=ETHER), "max_fee")


async def test_the_fee_is_the_most_that_it_may_be():
    signer = guarded({"max_fee": "0.001 ether"})
    await signer.sign(transaction(gas=100_000, price=10 * GWEI).preimage())
    told = await refused(signer, transaction(gas=100_001, price=10 * GWEI), "max_fee")
    assert "10 gwei" in told
    await refused(signer, transaction(gas=100_001, price=10 * GWEI, legacy=True), "max_fee")


async def test_a_tip_above_the_cap_counts_as_the_price():
    fields: list[RlpItem] = [138, 0, 50 * GWEI, GWEI, 100_000, bytes(20), 0, b"", []]
    await refused(guarded({"max_fee": "0.001 ether"}), b"\x02" + rlp_encode(fields), "max_fee")


async def test_nothing_is_carried_unless_that_is_said():
    await refused(guarded({}), transaction(value=1), "max_value")
    await guarded({"max_value": "1 gwei"}).sign(transaction(value=GWEI).preimage())
    await refused(guarded({"max_value": "1 gwei"}), transaction(value=GWEI + 1), "max_value")


async def test_signatures_per_minute():
    clock = FakeClock()
    signer = guarded({"max_per_minute": 2}, clock=clock)
    await signer.sign(transaction(1).preimage())
    await clock.sleep(30)
    await signer.sign(transaction(2).preimage())
    await refused(signer, transaction(3), "max_per_minute")
    await clock.sleep(31)
    await signer.sign(transaction(3).preimage())
    await refused(signer, transaction(4), "max_per_minute")


# ---- the day ---------------------------------------------------------------------------------------------------------

MILLI = ETHER // 1000  # what transaction() may cost


async def test_a_day_has_a_limit_on_each_chain():
    signer = guarded({"max_spend_per_day": "0.003 ether"})
    for nonce in (7, 8, 9):
        await signer.sign(transaction(nonce).preimage())
    told = await refused(signer, transaction(10), "max_spend_per_day")
    assert f"{3 * MILLI} wei of {3 * MILLI}" in told
    await signer.sign(transaction(10, chain=139).preimage())


async def test_values_count_too():
    signer = guarded({"max_spend_per_day": "0.003 ether", "max_value": "1 ether"})
    await signer.sign(transaction(7, value=2 * MILLI).preimage())
    await refused(signer, transaction(8, value=1), "max_spend_per_day")


async def test_a_replacement_adds_only_what_it_offers_beyond():
    signer = guarded({"max_spend_per_day": "0.003 ether"})
    await signer.sign(transaction(7, price=20 * GWEI).preimage())
    await signer.sign(transaction(7, price=30 * GWEI).preimage())
    await refused(signer, transaction(7, price=30 * GWEI + 1), "max_spend_per_day")
    await signer.sign(transaction(7, price=10 * GWEI).preimage())
    await refused(signer, transaction(8, price=1), "max_spend_per_day")


async def test_what_was_signed_a_day_ago_is_over():
    clock = FakeClock()
    signer = guarded({"max_spend_per_day": "0.002 ether"}, clock=clock)
    await signer.sign(transaction(7).preimage())
    await clock.sleep(12 * 3600)
    await signer.sign(transaction(8).preimage())
    await refused(signer, transaction(9), "max_spend_per_day")
    await clock.sleep(12 * 3600 + 1)
    await signer.sign(transaction(9).preimage())
    await refused(signer, transaction(10), "max_spend_per_day")


async def test_the_journal_counts_from_the_start():
    clock = FakeClock()
    now_ms = round(clock.now() * 1000)
    journal = Journal({5: Cost(now_ms - 1000, MILLI, settled=True), 6: Cost(now_ms - 500, MILLI)})
    signer = guarded({"max_spend_per_day": "0.003 ether"}, clock=clock, ledger=journal)
    await signer.sign(transaction(7).preimage())
    assert journal.asked == [(138, KEY.address, now_ms - DAY_MS)]
    await refused(signer, transaction(8), "max_spend_per_day")
    await signer.sign(transaction(6, price=10 * GWEI).preimage())
    await refused(signer, transaction(6, price=10 * GWEI + 1), "max_spend_per_day")
    assert len(journal.asked) == 1, "a limit that is reached asks the journal now and then, not each time"


async def test_what_was_really_paid_makes_room():
    clock = FakeClock()
    journal = Journal()
    signer = guarded({"max_spend_per_day": "0.002 ether"}, clock=clock, ledger=journal)
    await signer.sign(transaction(7).preimage())
    await signer.sign(transaction(8).preimage())
    journal.costs_by_nonce = {7: Cost(round(clock.now() * 1000), MILLI // 4, settled=True)}
    await refused(signer, transaction(9, gas=1), "max_spend_per_day")
    await clock.sleep(16)
    await signer.sign(transaction(9, gas=75_000).preimage())
    assert len(journal.asked) == 2
    await refused(signer, transaction(10, gas=1), "max_spend_per_day")


async def test_where_another_process_signed_in_between_the_journal_is_read():
    clock = FakeClock()
    journal = Journal()
    signer = guarded({"max_spend_per_day": "0.003 ether"}, clock=clock, ledger=journal)
    await signer.sign(transaction(7).preimage())
    journal.costs_by_nonce = {8: Cost(round(clock.now() * 1000), 2 * MILLI)}
    await refused(signer, transaction(9), "max_spend_per_day")


async def test_signatures_side_by_side_share_one_limit():
    signer = guarded({"max_spend_per_day": "0.003 ether"})
    jobs = [signer.sign(transaction(nonce).preimage()) for nonce in range(7, 17)]
    answers = await asyncio.gather(*jobs, return_exceptions=True)
    assert [isinstance(answer, PolicyRefused) for answer in answers] == [False] * 3 + [True] * 7


class Away:
    address = KEY.address

    async def sign(self, preimage):
        raise TemporaryError("the service is away")


async def test_what_could_not_be_signed_is_not_spent():
    signer = guarded({"max_spend_per_day": "0.001 ether"}, inner=Away())
    for _ in range(3):
        with pytest.raises(TemporaryError, match="away"):
            await signer.sign(transaction(7).preimage())
    signer._inner = KEY
    await signer.sign(transaction(8).preimage())
    await refused(signer, transaction(9), "max_spend_per_day")


steps = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 100), st.integers(0, DAY_MS // 3), st.booleans()), max_size=40
)


@given(steps)
def test_a_window_is_the_sum_of_the_newest_most_of_each_nonce(moves):
    day, now = DaySpend(), 0
    known: dict[int, Cost] = {}
    for nonce, wei, later, reload in moves:
        now += later
        day.expire(now)
        known = {key: cost for key, cost in known.items() if cost.at_ms > now - DAY_MS}
        expected = {**known, nonce: Cost(now, max(wei, known[nonce].wei if nonce in known else 0))}
        assert day.with_(nonce, wei) == sum(cost.wei for cost in expected.values())
        known = expected
        day.add(nonce, wei, now)
        if reload:
            day.load(known, now)
        assert day.total == sum(cost.wei for cost in known.values())


def test_it_needs_the_journal_for_a_day():
    settings = SignerPolicySettings(max_spend_per_day="1 ether")
    with pytest.raises(TypeError):
        PolicySigner(KEY, settings, clock=FakeClock(), ledger=None, setting="x")


def test_it_never_shows_the_key():
    assert SECRET not in repr(guarded({}))
