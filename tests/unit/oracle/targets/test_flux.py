"""A FluxAggregator as one of its oracles sees it; tests/integration/test_flux.py has the real one."""

from decimal import Decimal

import pytest

from seamark.core.errors import RejectedError, SettingsError, TemporaryError
from seamark.core.ids import Address
from seamark.core.units import Ppb
from seamark.evm.abi import Error
from seamark.evm.rpc.errors import CallReverted, RpcTimeout
from seamark.oracle.model import Answer, ContractKind, FeedState, Turn
from seamark.oracle.targets.find import find_target, make_target, probe
from seamark.oracle.targets.flux import ABI, GAS_LIMIT, FluxTarget
from seamark.oracle.targets.target import Verdict, Where
from tests.unit.oracle.fakes import FEED, SIGNER, START, FakeChain, FakeClock, FakeFeed, words

from .flux_chain import OTHER, FakeFlux

STRANGER = Address("0x" + "0e" * 20)
AT = Where("oracle.feeds[0].contract", "oracle.signer")
REASON = Error.parse("error Error(string reason)")


@pytest.fixture
def chain() -> FakeChain:
    made = FakeChain(FakeClock())
    made.feeds[FEED] = FakeFlux()
    return made


def target(chain: FakeChain, account: Address = SIGNER) -> FluxTarget:
    return FluxTarget(chain, FEED, account)


async def read(chain: FakeChain) -> tuple[FeedState, Turn]:
    """The state, and our turn in it."""
    state = await target(chain).read()
    assert state.turn is not None
    return state, state.turn


# ---- the state ------------------------------------------------------------------------------------------------------


async def test_before_the_first_round_we_may_begin_it(chain):
    state, turn = await read(chain)
    assert (state.round, state.next_round, state.price) == (0, 1, None)
    assert (turn.eligible, turn.joins, turn.why, turn.closes_at) == (True, False, "", None)
    assert (state.min_answer, state.max_answer, state.gas_limit) == (1, 10**18, GAS_LIMIT)
    assert (state.decimals, state.description, state.paused, state.parked) == (8, "ETH / USD", False, None)
    assert (state.block_number, state.block_time) == (1, int(START))


async def test_a_round_that_another_began_is_ours_to_join(chain):
    chain.feed.take(OTHER, 1, 500, 1000)
    state, turn = await read(chain)
    assert (state.round, state.next_round) == (0, 1)
    assert turn.joins
    assert (turn.started_at, turn.closes_at) == (1000, 1060)


async def test_a_round_without_a_timeout_never_closes(chain):
    chain.feed.timeout = 0
    chain.feed.take(OTHER, 1, 500, 1000)
    assert (await read(chain))[1].closes_at is None


async def test_having_answered_we_wait_for_the_others(chain):
    chain.feed.take(SIGNER, 1, 500, 1000)
    state, turn = await read(chain)
    assert (state.next_round, turn.eligible, turn.joins) == (1, False, False)
    assert turn.why == "round 1 is answered by us, or closed"
    assert not state.asks_for(1)
    chain.feed.take(OTHER, 1, 502, 1001)
    state, turn = await read(chain)
    assert (state.round, state.answer, state.started_at, state.updated_at) == (1, 501, 1000, 1001)
    assert (state.next_round, turn.eligible) == (2, True)
    assert state.asks_for(2)
    assert not state.asks_for(1)


async def test_who_must_not_begin_yet_is_told_so(chain):
    chain.feed.take(SIGNER, 1, 500, 1000)
    chain.feed.take(OTHER, 1, 500, 1000)
    chain.feed.delayed = True
    state, turn = await read(chain)
    assert (state.next_round, turn.eligible) == (2, False)
    assert turn.why == "round 2 is for another oracle to begin"


@pytest.mark.parametrize(
    ("funds", "payment", "eligible", "unpaid"),
    [
        (0, 0, True, ""),  # nobody is paid
        (40, 10, True, ""),  # two rounds of two oracles
        (39, 10, True, "the contract can pay for 3 more submissions: fund it with LINK"),
        (9, 10, False, "the contract can pay for 0 more submissions: fund it with LINK"),
    ],
)
async def test_whether_the_contract_can_pay(chain, funds, payment, eligible, unpaid):
    chain.feed.funds, chain.feed.payment = funds, payment
    _, turn = await read(chain)
    assert (turn.eligible, turn.unpaid, turn.why) == (eligible, unpaid, "" if eligible else unpaid)


async def test_all_reads_are_of_one_block(chain):
    blocks: set[object] = set()
    original = chain.calls

    async def spy(wanted):
        blocks.update(call.block for call in wanted)
        return await original(wanted)

    chain.calls, chain.height = spy, 77
    await target(chain).read()
    assert blocks == {77}


async def test_a_contract_of_another_kind_cannot_be_read_as_one(chain):
    chain.feeds[FEED] = FakeFeed()
    with pytest.raises(RejectedError, match="does not answer minSubmissionValue"):
        await target(chain).read()


async def test_a_submission_is_the_round_and_the_value(chain):
    answer = Answer(-7, 8, Decimal("-0.00000007"), int(START), (), (), Ppb(0))
    assert target(chain).encode(3, answer) == ABI.function("submit").selector + words(3, -7)


# ---- before anything is published -----------------------------------------------------------------------------------


async def test_who_is_no_oracle_is_told_before_it_tries(chain):
    await target(chain).check(AT)
    with pytest.raises(SettingsError, match=r"oracle.signer: 0x.* is no oracle of 0x.*changeOracles"):
        await target(chain, STRANGER).check(AT)


async def test_a_contract_without_room_for_a_price(chain):
    chain.feed.low = chain.feed.high = 0
    with pytest.raises(SettingsError, match=r"oracle.feeds\[0\].contract: .* accepts values from 0 to 0 only"):
        await target(chain).check(AT)


async def test_a_contract_that_is_none(chain):
    chain.feeds[FEED] = FakeFeed()
    with pytest.raises(SettingsError, match="is no FluxAggregator"):
        await target(chain).check(AT)


async def test_the_kind_is_found_out(chain):
    assert await probe(chain, FEED, SIGNER) is ContractKind.FLUX
    assert await find_target(None, chain, FEED, SIGNER, AT) is ContractKind.FLUX
    assert await find_target(ContractKind.FLUX, chain, FEED, SIGNER, AT) is ContractKind.FLUX
    chain.feeds[FEED] = FakeFeed()
    assert await probe(chain, FEED, SIGNER) is ContractKind.AGGREGATOR
    assert await find_target(None, chain, FEED, SIGNER, AT) is ContractKind.AGGREGATOR


async def test_another_kind_than_written_is_an_error(chain):
    with pytest.raises(SettingsError, match=r"oracle.feeds\[0\].contract: is aggregator, but 0x.* answers as flux"):
        await find_target(ContractKind.AGGREGATOR, chain, FEED, SIGNER, AT)


async def test_a_node_that_does_not_answer_proves_nothing(chain):
    async def calls(wanted):
        return [CallReverted("reverted"), RpcTimeout("no answer")]

    chain.calls = calls
    with pytest.raises(TemporaryError):
        await probe(chain, FEED, SIGNER)


async def test_a_rehearsal_needs_no_account(chain):
    nobody = Address("0x" + "00" * 20)
    assert await find_target(None, chain, FEED, nobody, AT) is ContractKind.FLUX


async def test_without_an_account_there_is_no_turn(chain):
    chain.feed.take(OTHER, 1, 500, 1000)
    chain.feed.take(SIGNER, 1, 500, 1000)
    state = await target(chain, Address("0x" + "00" * 20)).read()
    assert (state.turn, state.round, state.next_round) == (None, 1, 2)


def test_reports_have_no_target_for_answers(chain):
    with pytest.raises(RejectedError, match="takes reports of a network"):
        make_target(ContractKind.OCR2, chain, FEED, SIGNER)


# ---- refusals -------------------------------------------------------------------------------------------------------

WORDS = [
    ("not enabled oracle", "not_oracle", Verdict.BROKEN),
    ("not yet enabled oracle", "not_yet_oracle", Verdict.RETRY),
    ("no longer allowed oracle", "not_oracle", Verdict.BROKEN),
    ("cannot report on previous rounds", "already_answered", Verdict.DONE),
    ("invalid round to report", "round_over", Verdict.DONE),
    ("previous round not supersedable", "round_open", Verdict.DONE),
    ("round not accepting submissions", "round_closed", Verdict.DONE),
    ("value below minSubmissionValue", "out_of_range", Verdict.BROKEN),
    ("value above maxSubmissionValue", "out_of_range", Verdict.BROKEN),
    ("SafeMath: subtraction overflow", "unfunded", Verdict.RETRY),
    ("something of another version", "rejected", Verdict.RETRY),
]


@pytest.mark.parametrize(("words_", "kind", "verdict"), WORDS, ids=[word for word, _, _ in WORDS])
@pytest.mark.parametrize("in_data", [True, False], ids=["revert data", "message alone"])
def test_what_the_contract_says_and_what_we_do(chain, words_, kind, verdict, in_data):
    error = CallReverted("x", data=REASON.encode(words_)) if in_data else CallReverted(f"execution reverted: {words_}")
    refusal = target(chain).refusal(error)
    assert (refusal.kind, refusal.verdict) == (kind, verdict)
