"""One message in words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.evm.address import to_checksum
from seamark.messages.judgement import Curse, LaneProfile, explain, is_late
from seamark.messages.judgement.limits import lane_profile
from seamark.messages.judgement.model import Learned, Percentiles
from seamark.messages.judgement.settings import LaneRule
from seamark.messages.model import LaneKey, Stage
from seamark.messages.protocol import Profile
from seamark.messages.store import MessageView, Seconds
from tests.unit.messages.judgement.scene import settings

SENT = 1_700_000_000
MINUTE = 60
KEY = LaneKey("ccip", "11", "0x" + "a1" * 20, "22")
ID = "0x" + "ab" * 32


def view(stage: Stage, **changes: Any) -> MessageView:
    plain: dict[str, Any] = {
        "id": ID,
        "protocol": "ccip",
        "version": "1.6.0",
        "source": "11",
        "destination": "22",
        "source_name": "alpha",
        "destination_name": "beta",
        "source_chain": 1,
        "destination_chain": 2,
        "source_watched": True,
        "destination_watched": True,
        "channel": KEY.channel,
        "sequence": 7,
        "stage": stage.value,
        "retracted": stage is Stage.RETRACTED,
        "finalized": stage not in (Stage.SENT, Stage.RETRACTED),
        "time": SENT,
        "sender": "0x" + "5e" * 20,
        "receiver": "0x" + "4e" * 20,
        "size": 3,
        "fee_token": "",
        "fee_amount": "0",
        "fee_juels": None,
        "sent_tx": "0x1",
        "sent_block": 5,
        "sent_time": SENT,
        "finalized_time": None,
        "committed_tx": None,
        "committed_time": None,
        "executed_tx": None,
        "executed_time": None,
        "attempts": 0,
        "reason": "",
        "error": "",
        "callback": None,
        "manual": None,
        "conflicting": False,
        "seconds": Seconds(),
    }
    return MessageView(**(plain | changes))


def profile(*, learned: bool = True, **default: Any) -> LaneProfile:
    spans = Percentiles(4 * MINUTE, 10 * MINUTE, 20 * MINUTE, 321)
    known = Learned(messages=321, commit=spans, total=spans) if learned else Learned()
    return lane_profile(KEY, Profile(600.0, **default), known, LaneRule(), settings())


def text(message: MessageView, known: LaneProfile | None = None, *, after: int = MINUTE, **more: Any) -> str:
    lines = explain(message, known, SENT + after, **more)
    assert all(line and not line.endswith(".") for line in lines)
    return "\n".join(lines)


def test_on_its_way() -> None:
    told = text(view(Stage.FINALIZED, seconds=Seconds(finality=600)), profile(), after=12 * MINUTE)
    assert "number 7 on alpha → beta (ccip 1.6.0), sent 12m ago" in told
    assert "final at alpha, not committed at beta yet" in told
    assert "final within 10m" in told
    assert "normal here, from 321 messages: half of them committed within 4m, 95 of 100 within 10m" in told
    assert "on time: it should be committed within 30m of its send (learned from this lane), 18m from now" in told
    assert "next:" not in told


def test_late() -> None:
    told = text(view(Stage.FINALIZED), profile(), after=40 * MINUTE)
    assert "late by 10m: it should be committed within 30m" in told
    assert "next: see whether the whole lane is held up: seamark messages list --source 'alpha'" in told


def test_a_lane_without_commits() -> None:
    told = text(view(Stage.FINALIZED), profile(commits=False), after=40 * MINUTE)
    assert "final at alpha, not executed at beta yet" in told
    assert "it should be executed within 30m" in told


def test_late_by_a_default() -> None:
    told = text(view(Stage.SENT), profile(learned=False), after=20 * MINUTE)
    assert "late by 4m: it should be final within 16m of its send (by the source chain's finality)" in told
    assert "too few messages are known" in told


def test_delivered() -> None:
    spans = Seconds(finality=600, commit=700, execution=50, total=750)
    told = text(view(Stage.EXECUTED, callback=True, attempts=1, seconds=spans), profile())
    assert "delivered at beta" in told
    assert (
        "final within 10m, committed within 11m40s, executed within 50s of the commit, delivered within 12m30s" in told
    )
    assert "late" not in told
    assert "next:" not in told


def test_failed_says_why_and_what_to_do() -> None:
    told = text(view(Stage.FAILED, reason="receiver_reverted", error="the receiver reverted: Paused()"), profile())
    assert "its execution at beta failed" in told
    assert "why: the receiver reverted: Paused() (receiver_reverted)" in told
    assert f"seamark messages recover {ID}" in told


def test_a_bad_attempt_where_anybody_may_try() -> None:
    message = view(Stage.FAILED, version="2.0.0", reason="verification_failed", error="the proof was refused")
    told = text(message, profile(commits=False))
    assert "the attempt failed, not the message: anybody may try" in told
    assert f"next: wait: an honest attempt may follow; if none does: seamark messages recover {ID}" in told
    late = text(message, profile(commits=False), after=40 * MINUTE)
    assert "no honest one has followed in time" in late
    assert f"next: execute it by hand: seamark messages recover {ID}" in late
    lasting = text(view(Stage.FAILED, version="2.0.0", reason="receiver_reverted"), profile(commits=False))
    assert "next: remove the cause" in lasting
    assert "next: remove the cause" in text(view(Stage.FAILED, reason="verification_failed"))


def test_verified_off_chain() -> None:
    known = profile(commits=False, verifiers=True)
    waits = text(view(Stage.FINALIZED, version="2.0.0"), known)
    assert "its verifiers speak off chain: that they all have is not known" in waits
    told = text(view(Stage.COMMITTED, verified=True, seconds=Seconds(commit=60)), known, after=40 * MINUTE)
    assert "verified off chain, not executed at beta yet" in told
    assert "verified within 1m" in told
    assert "late by 10m: it should be executed within 30m" in told
    assert "speak off chain" not in told
    assert "committed at" not in told
    assert "committed within" not in told
    spans = Seconds(commit=60, execution=30, total=90)
    done = text(view(Stage.EXECUTED, verified=True, seconds=spans), known)
    assert "verified within 1m, executed within 30s of the last word, delivered within 1m30s" in done


@pytest.mark.parametrize("stage", [Stage.SENT, Stage.FINALIZED, Stage.COMMITTED])
def test_what_waits_for_a_hand_is_never_late(stage: Stage) -> None:
    message = view(stage, by_hand=True)
    assert not is_late(message, profile(commits=False), SENT + 99 * 3600)
    told = text(message, profile(commits=False), after=99 * 3600)
    assert "its sender paid no executor: nobody executes it by himself" in told
    assert "late" not in told
    assert "on time" not in told
    recover = f"next: execute it when it suits you: seamark messages recover {ID}"
    assert (recover in told) is (stage is not Stage.SENT)


def test_recovered() -> None:
    assert "delivered at beta by hand, 2 attempts" in text(view(Stage.RECOVERED, manual=True, attempts=2))
    assert "delivered at beta after a failed attempt" in text(view(Stage.RECOVERED, manual=False, attempts=2))


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (90 * MINUTE, "it may be executed by hand from 40m from now on"),
        (131 * MINUTE, "next: it may be executed by hand"),
    ],
)
def test_by_hand_when_the_contract_lets_anybody(after: int, words: str) -> None:
    message = view(Stage.COMMITTED, committed_time=SENT + 10 * MINUTE)
    assert words in text(message, profile(manual_after_s=120 * MINUTE), after=after)


def test_by_hand_where_nobody_knows_from_when_on() -> None:
    message = view(Stage.COMMITTED, committed_time=SENT + 10 * MINUTE)
    assert "next:" not in text(message, profile(), after=20 * MINUTE)
    assert f"seamark messages recover {ID}" in text(message, profile(), after=60 * MINUTE)


def test_retracted() -> None:
    told = text(view(Stage.RETRACTED, sent_time=None), profile())
    assert "its send has left alpha in a reorg" in told
    assert "send it again" in told


def test_delivered_though_retracted() -> None:
    told = text(view(Stage.EXECUTED, retracted=True), profile())
    assert "the two chains disagree" in told
    assert "compare the balances" in told


def test_delivered_in_silence() -> None:
    told = text(view(Stage.EXECUTED, callback=False), profile())
    assert "the receiver's code did not run" in told
    assert to_checksum("0x" + "4e" * 20) in told
    assert "did not run" not in text(view(Stage.EXECUTED, callback=False, size=0)), "there was nothing to call with"


def test_a_contradiction() -> None:
    assert "told of another lane or number" in text(view(Stage.SENT, conflicting=True))


@pytest.mark.parametrize(
    ("chain", "subject", "stops"),
    [(2, "11", True), (2, "*", True), (1, "22", True), (1, "*", True), (2, "33", False), (3, "*", False)],
)
def test_cursed(chain: int, subject: str, stops: bool) -> None:
    curse = Curse(chain, "gamma", subject, "alpha", SENT)
    told = text(view(Stage.COMMITTED), profile(), curses=[curse])
    assert ("gamma is cursed" in told) is stops
    assert "cursed" not in text(view(Stage.EXECUTED), profile(), curses=[curse])


def test_ends_that_are_not_watched() -> None:
    away = view(Stage.FINALIZED, destination_watched=False)
    told = text(away, profile(), after=10**6)
    assert "beta is not watched: what happens to it there is not known" in told
    assert "late" not in told
    assert not is_late(away, profile(), SENT + 10**6)
    arrived = view(Stage.EXECUTED, source_watched=False, sent_time=None)
    told = text(arrived, profile())
    assert "alpha is not watched" in told
    assert "first seen" in told


def test_nothing_is_known_of_the_lane() -> None:
    told = text(view(Stage.FINALIZED), None, after=10**6)
    assert "late" not in told
    assert not is_late(view(Stage.FINALIZED), None, SENT + 10**6)


@given(st.sampled_from(Stage), st.integers(0, 10**7), st.booleans(), st.booleans())
def test_every_message_has_words(stage: Stage, after: int, known: bool, watched: bool) -> None:
    message = view(stage, destination_watched=watched, committed_time=SENT + 5)
    found = profile(manual_after_s=3600) if known else None
    told = text(message, found, after=after)
    assert ("late by" in told) == is_late(message, found, SENT + after)
