"""Reading feeds of all kinds, and receipts."""

from dataclasses import replace

import pytest

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address
from seamark.evm.abi import Error
from seamark.evm.artifacts import load
from seamark.evm.rpc.errors import CallReverted, InsufficientFunds, RpcTimeout
from seamark.evm.types import Receipt
from seamark.oracle.targets import receipts
from seamark.oracle.targets.aggregator import (
    ABI,
    PUBLISHER_ROLE,
    AggregatorTarget,
    encode_submit,
    has_role,
    read_state,
    read_states,
)
from seamark.oracle.targets.reads import FEED_ABI, read_round
from seamark.oracle.targets.receipts import ParkedLog, PublishedLog, read_receipt
from tests.unit.oracle.fakes import FEED, SIGNER, START, FakeChain, FakeClock, FakeFeed, hash_of, to_log, words

OTHER = Address("0x" + "0b" * 20)


@pytest.fixture
def chain() -> FakeChain:
    return FakeChain(FakeClock())


class BareFeed(FakeFeed):
    """Only what any published feed has; refuses the rest without a word, or returns nothing."""

    refusal: Exception | None = CallReverted("reverted without a reason")

    def read(self, data: bytes) -> bytes:
        known = ("latestRoundData", "getRoundData", "decimals", "description")
        if data[:4] in [FEED_ABI.function(name).selector for name in known]:
            return super().read(data)
        if self.refusal is not None:
            raise self.refusal
        return b""


def test_our_abi_is_the_contracts():
    real = load("OracleWithCCIP").abi
    for function in (*ABI.functions, *FEED_ABI.functions):
        theirs = real.function(function.name)
        assert theirs.selector == function.selector
        assert [param.type for param in theirs.outputs] == [param.type for param in function.outputs]
    for event in [item for item in receipts.ABI.events if item.name != "SubmissionReceived"]:
        assert [(item.type, item.indexed) for item in real.event(event.name).inputs] == [
            (item.type, item.indexed) for item in event.inputs
        ]
    for error in ABI.errors:
        assert real.error(error.name).selector == error.selector


async def test_everything_that_an_aggregator_says(chain):
    chain.feeds[FEED] = FakeFeed(
        min_answer=-5, max_answer=7, max_step_bps=1000, paused=True, gas_limit=900_000, rounds={3: (6, 11, 12)}
    )
    chain.feed.parked = (4, 7, 13, SIGNER, 1)
    state = await read_state(chain, FEED)
    assert (state.round, state.answer, state.started_at, state.updated_at) == (3, 6, 11, 12)
    assert (state.decimals, state.description) == (8, "ETH / USD")
    assert (state.min_answer, state.max_answer, state.max_step_bps) == (-5, 7, 1000)
    assert (state.paused, state.gas_limit) == (True, 900_000)
    assert (state.block_number, state.block_time) == (1, int(START))
    assert state.parked is not None
    assert (state.parked.round, state.parked.answer, state.parked.observed_at) == (4, 7, 13)
    assert state.parked.publisher == SIGNER


@pytest.mark.parametrize("refusal", [CallReverted("reverted without a reason"), None])
async def test_a_feed_without_our_additions_is_read_too(chain, refusal):
    feed = BareFeed(rounds={1: (-6, 11, 12)})
    feed.refusal = refusal
    chain.feeds[FEED] = feed
    state = await read_state(chain, FEED)
    assert (state.round, state.answer) == (1, -6)
    assert (state.min_answer, state.max_answer, state.max_step_bps, state.parked) == (None, None, 0, None)
    assert (state.paused, state.gas_limit) == (False, None)


@pytest.mark.parametrize(
    "refusal",
    [
        CallReverted("execution reverted: No data present"),
        CallReverted("reverted", data=Error.parse("error Error(string reason)").encode("No data present")),
    ],
)
async def test_a_feed_before_its_first_round(chain, refusal):
    class Empty(FakeFeed):
        def read(self, data: bytes) -> bytes:
            if data[:4] == FEED_ABI.function("latestRoundData").selector:
                raise refusal
            return super().read(data)

    chain.feeds[FEED] = Empty()
    state = await read_state(chain, FEED)
    assert (state.round, state.price) == (0, None)


async def test_a_feed_that_refuses_us_is_not_taken_for_empty(chain):
    class Closed(FakeFeed):
        def read(self, data: bytes) -> bytes:
            if data[:4] == FEED_ABI.function("latestRoundData").selector:
                raise CallReverted("reverted: No access")
            return super().read(data)

    chain.feeds[FEED] = Closed()
    with pytest.raises(RejectedError, match="does not answer latestRoundData"):
        await read_state(chain, FEED)


async def test_one_bad_contract_does_not_hide_the_others(chain):
    good, bad = await read_states(chain, [FEED, OTHER])
    assert not isinstance(good, RejectedError)
    assert isinstance(bad, RejectedError)


async def test_half_an_answer_is_no_answer(chain):
    """A node that times out on one of many calls must not pass for a contract without that function."""

    class Flaky(FakeFeed):
        pass

    async def calls(wanted):
        answers = [await chain.call(call) for call in wanted[:-1]]
        return [*answers, RpcTimeout("no answer")]

    chain.feeds[FEED] = Flaky(rounds={1: (1, 2, 3)}, gas_limit=5)
    chain.calls = calls
    with pytest.raises(TemporaryError, match="submitGasLimit"):
        await read_state(chain, FEED)


async def test_a_chain_without_blocks_is_temporary(chain):
    async def nothing(_):
        return None

    chain.header = nothing
    with pytest.raises(TemporaryError, match="no newest block"):
        await read_state(chain, FEED)


async def test_all_reads_are_of_one_block(chain):
    blocks: set[object] = set()
    original = chain.calls

    async def spy(wanted):
        blocks.update(call.block for call in wanted)
        return await original(wanted)

    chain.calls = spy
    chain.height = 77
    await read_states(chain, [FEED, OTHER])
    assert blocks == {77}


async def test_roles_and_rounds(chain):
    chain.feed.rounds[1] = (-5, 1, 2)
    assert await has_role(chain, FEED, PUBLISHER_ROLE, SIGNER)
    assert not await has_role(chain, FEED, bytes(32), SIGNER)
    assert await read_round(chain, FEED, 1) == -5
    with pytest.raises(RejectedError):
        await read_round(chain, FEED, 2)


# ---- receipts -------------------------------------------------------------------------------------------------------


def receipt(*logs) -> Receipt:
    return Receipt(hash_of(1), 5, hash_of(5), True, 1, 1, tuple(logs))


def test_a_published_round():
    logs = [to_log("NewRound", (3, SIGNER, 100), 5), to_log("AnswerUpdated", (-7, 3, 105), 5)]
    assert read_receipt(receipt(*logs), FEED) == PublishedLog(3, -7, 100, 105)


def test_a_parked_answer():
    told = read_receipt(receipt(to_log("AnswerParked", (3, -7, 100, SIGNER), 5)), FEED)
    assert isinstance(told, ParkedLog)
    assert (told.parked.round, told.parked.answer, told.parked.publisher) == (3, -7, SIGNER)


def test_logs_of_others_mean_nothing():
    log = to_log("AnswerUpdated", (7, 3, 105), 5)
    elsewhere = type(log)(OTHER, log.topics, log.data, 5, log.block_hash, log.transaction_hash, 0)
    strange = type(log)(FEED, (), log.data, 5, log.block_hash, log.transaction_hash, 0)
    unknown = type(log)(FEED, (hash_of(9),), log.data, 5, log.block_hash, log.transaction_hash, 0)
    malformed = type(log)(FEED, log.topics[:2], log.data, 5, log.block_hash, log.transaction_hash, 0)
    assert read_receipt(receipt(elsewhere, strange, unknown, malformed), FEED) is None


def test_an_answer_without_its_round_event_counts_from_its_block():
    assert read_receipt(receipt(to_log("AnswerUpdated", (7, 3, 105), 5)), FEED) == PublishedLog(3, 7, 105, 105)


def test_calldata():
    data = encode_submit(2, -3, 4)
    assert data[4:] == words(2, -3, 4)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InsufficientFunds("insufficient funds for gas * price + value"), "no_funds"),
        (RejectedError("insufficient funds for gas * price + value"), "no_funds"),
        (CallReverted("x", data=ABI.error("UnexpectedRound").encode(2, 3)), "round_taken"),
        (CallReverted("x", data=ABI.error("ObservationInFuture").encode(2, 3)), "observation_future"),
        (CallReverted("x", data=ABI.error("ObservationTooOld").encode(2, 1)), "observation_too_old"),
        (CallReverted("x", data=ABI.error("EnforcedPause").encode()), "contract_paused"),
        (CallReverted("x", data=b"\x01\x02\x03\x04"), "rejected"),
        (CallReverted("reverted: AnswerOutOfRange(1, 2, 3)"), "out_of_range"),
        (RejectedError("anything else"), "rejected"),
    ],
)
def test_the_class_of_a_refusal(error, kind):
    chain = FakeChain(FakeClock())
    assert AggregatorTarget(chain, FEED, SIGNER).refusal(error).kind == kind


def test_fakes_refuse_like_the_contract(chain):
    feed = replace(chain.feed, rounds={1: (5, 10, 10)})
    with pytest.raises(CallReverted, match="ObservationNotNewer"):
        feed.submit(SIGNER, encode_submit(2, 5, 10), 2, 11)
    with pytest.raises(CallReverted, match="ObservationTooOld"):
        feed.submit(SIGNER, encode_submit(2, 5, 11), 2, 912)
