"""May a round be sent again, and would the far end take it?"""

from __future__ import annotations

from typing import Any

import pytest

from seamark.core.ids import Selector
from seamark.evm import artifacts
from seamark.oracle.resend import Carrier, Facts, judge_resend, resend_call


def facts(**changes: Any) -> Facts:
    values: dict[str, Any] = {"round": 7, "latest": 7}
    return Facts(**values | changes)


@pytest.mark.parametrize(
    ("known", "possible", "useful", "words"),
    [
        (facts(), True, True, "no message is known to carry it"),
        (facts(far_round=6), True, True, "can be sent again"),
        (facts(round=5), True, True, "The newest is 7"),
        (facts(latest=0, round=0), False, False, "no round yet"),
        (facts(round=8), False, False, "There is no round 8"),
        (facts(round=0), False, False, "There is no round 0"),
        (facts(paused=True), False, False, "paused"),
        (facts(enabled=False), False, False, "switched off"),
        (facts(problem="reverted: FeeAboveCap(9, 1)"), False, False, "FeeAboveCap"),
        (facts(far_round=7), True, False, "has it"),
        (facts(far_round=9), True, False, "at round 9 already"),
        (facts(carriers=(Carrier("0xab", "failed"),)), True, False, "failed on arrival"),
        (facts(carriers=(Carrier("0xab", "committed"),)), True, False, "on its way"),
        (facts(carriers=(Carrier("0xab", "retracted"),)), True, True, "reorg"),
        (facts(carriers=(Carrier("0xab", "executed"),), far_round=6), True, True, "ignored or parked"),
        (facts(carriers=(Carrier("0xab", "recovered"),), far_round=6), True, True, "ignored or parked"),
    ],
)
def test_the_answer(known: Facts, possible: bool, useful: bool, words: str) -> None:
    answer = judge_resend(known)
    assert (answer.possible, answer.useful) == (possible, useful)
    assert words in answer.text


@pytest.mark.parametrize(
    ("problem", "remedy"),
    [
        ("reverted: AccessControlUnauthorizedAccount(0x1, 0x2)", "operator's role"),
        ("reverted: InsufficientFunds(0x0, 1, 2)", "fund"),
        ("reverted: FeeAboveCap(9, 1)", "maxFee"),
        ("reverted: UnknownDestination(5)", "add the destination"),
        ("reverted: somehow", ""),
    ],
)
def test_a_refusal_comes_with_a_remedy(problem: str, remedy: str) -> None:
    told = judge_resend(facts(problem=problem)).remedy
    assert remedy in told
    assert bool(told) is bool(remedy)


def test_a_failed_message_is_to_be_recovered_not_sent_again() -> None:
    carriers = (Carrier("0xdone", "retracted"), Carrier("0xab", "failed"))
    assert "seamark messages recover 0xab" in judge_resend(facts(carriers=carriers)).remedy


def test_the_calldata_is_the_contracts_own() -> None:
    function = artifacts.load("OracleWithCCIP").abi.function("resend")
    assert tuple(function.decode_call(resend_call(7, Selector(2**63 + 1)))) == (7, 2**63 + 1)
