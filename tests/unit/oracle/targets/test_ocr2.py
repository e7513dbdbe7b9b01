"""The words of an OCR2 contract. The contract itself: tests/integration/test_reporting_aggregator.py."""

import pytest

from seamark.core.errors import RejectedError
from seamark.evm.abi import Error
from seamark.evm.rpc.errors import CallReverted, InsufficientFunds
from seamark.evm.transactions import OverBudget
from seamark.oracle.model import ContractKind
from seamark.oracle.reporting.codec import Report, ReportContext, Transmission
from seamark.oracle.targets.ocr2 import Ocr2Target, refusal
from seamark.oracle.targets.target import Verdict
from tests.unit.oracle.fakes import FEED, SIGNER, FakeChain, FakeClock

REASON = Error.parse("error Error(string reason)")
WORDS = [
    ("stale report", "stale_report", Verdict.DONE),
    ("configDigest mismatch", "config_changed", Verdict.DONE),
    ("unauthorized transmitter", "not_transmitter", Verdict.BROKEN),
    ("wrong number of signatures", "bad_report", Verdict.BROKEN),
    ("signature error", "bad_signature", Verdict.BROKEN),
    ("duplicate signer", "bad_signature", Verdict.BROKEN),
    ("too few values to trust median", "bad_report", Verdict.BROKEN),
    ("median is out of min-max range", "out_of_range", Verdict.BROKEN),
    ("calldata length mismatch", "bad_report", Verdict.BROKEN),
    ("report length mismatch", "bad_report", Verdict.BROKEN),
    ("signatures out of registration", "bad_report", Verdict.BROKEN),
    ("num observations out of bounds", "bad_report", Verdict.BROKEN),
    ("observations not sorted", "bad_report", Verdict.BROKEN),
    ("insufficient gas", "insufficient_gas", Verdict.RETRY),
]


@pytest.mark.parametrize(("words", "kind", "verdict"), WORDS, ids=[word for word, _, _ in WORDS])
@pytest.mark.parametrize("in_data", [True, False], ids=["revert data", "message alone"])
def test_what_the_contract_says_and_what_we_do(words, kind, verdict, in_data):
    error = CallReverted("x", data=REASON.encode(words)) if in_data else RejectedError(f"reverted: {words}")
    found = refusal(error)
    assert (found.kind, found.verdict) == (kind, verdict)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InsufficientFunds("no"), "no_funds"),
        (OverBudget("no"), "over_budget"),
        (RejectedError("insufficient funds for gas * price + value"), "no_funds"),
        (RejectedError("anything else"), "rejected"),
        (CallReverted("stale report", data=b"\x01\x02\x03\x04"), "rejected"),  # the data is what the contract said
    ],
)
def test_what_the_chain_says(error, kind):
    assert (refusal(error).kind, refusal(error).verdict) == (kind, Verdict.RETRY)


def test_the_call_is_the_transmission():
    target = Ocr2Target(FakeChain(FakeClock()), FEED, SIGNER)
    report = Report(5, (1, 0), (7, 8), 0)
    call = Transmission(ReportContext(bytes(32), 1, 2, bytes(32)), report.encode(), (1, 2), (3, 4), (0, 1))
    assert target.kind is ContractKind.OCR2
    assert target.encode(9, call) == call.encode()
    assert target.encode(9, call)[:4].hex() == "b1dc65a4"


async def test_its_state_is_that_of_any_feed():
    chain = FakeChain(FakeClock())
    chain.feed.rounds[3] = (7, 10, 11)
    state = await Ocr2Target(chain, FEED, SIGNER).read()
    assert (state.round, state.answer, state.next_round, state.turn) == (3, 7, 4, None)
