"""The story of a CCIP 2.0 message: verified off chain or not known, waiting for a hand, in parts of a fee."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import StringIO

import msgspec
import pytest
from rich.console import Console

from seamark.cli.messages_amounts import Tokens
from seamark.cli.messages_find import Found
from seamark.cli.messages_story import tell_message
from seamark.messages.judgement.limits import lane_profile
from seamark.messages.judgement.model import Learned
from seamark.messages.judgement.settings import JudgeSettings, LaneRule
from seamark.messages.model import Verified
from seamark.messages.protocol import Profile
from seamark.messages.store import find_message, record_verified
from tests.unit.messages.history import GENESIS_TIME, OUT, A, B, Told, World, executed, final, message_id, sent

NAME = message_id(OUT, 1)
CCV = "0x5c7c905b505f0cf40ab6600d05e677f717916f6b"
VERIFIED = Verified(
    NAME, GENESIS_TIME + 60, {"needed": 1, "verifiers": [{"ccv": CCV, "name": "committee", "time": GENESIS_TIME + 60}]}
)
V2 = Profile(600.0, commits=False, verifiers=True)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def send(world: World, *, by_hand: bool = False) -> None:
    told = sent(1)
    told = replace(told, version="2.0.0", body=msgspec.structs.replace(told.body, by_hand=by_hand))
    block = world.block(A, 1, [told])
    world.tell(A, block, final(block))


def told(world: World, profile: Profile = V2, *, after: int = 120) -> str:
    detail = find_message(world.connection, NAME)
    assert detail is not None
    lane = lane_profile(OUT, profile, Learned(), LaneRule(), JudgeSettings())
    found = Found(detail, Tokens(), {A: "alpha", B: "beta"}, profile=lane)
    console = Console(file=StringIO(), width=120, force_terminal=False)
    for part in tell_message(found, GENESIS_TIME + after):
        console.print(part)
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


def test_without_an_indexer_it_says_what_is_not_known(world: World) -> None:
    send(world)
    text = told(world)
    assert "final at alpha, not executed at beta yet" in text
    assert "its verifiers speak off chain: that they all have is not known" in text
    assert "committed" not in text


def test_verified(world: World) -> None:
    send(world)
    record_verified(world.connection, "ccip", world.protocol.names, [VERIFIED], 1)
    text = told(world)
    assert text.startswith("verified ")
    assert "verified off chain, not executed at beta yet" in text
    assert "✓  verified" in text
    assert "Verified off chain" in text
    assert "committee 0x5C7c905B505f0Cf40Ab6600d05e677F717916F6B" in text
    assert "to committed" not in text, "a step forward"
    assert "2023-11-14 22:14:20" in text
    assert "1 needed" in text


def test_executed_without_a_word_of_its_verifiers(world: World) -> None:
    send(world)
    world.tell(B, world.block(B, 5, [Told(OUT, 1, executed(1).body, NAME, version="2.0.0")]))
    text = told(world)
    assert "not seen when" in text
    assert "Verified off chain" not in text


def test_a_protocol_without_either_has_no_such_row(world: World) -> None:
    send(world)
    text = told(world, Profile(600.0, commits=False))
    assert "verified" not in text
    assert "committed" not in text
    assert "…  executed" in text, "that is what it waits for"


def test_it_waits_for_a_hand(world: World) -> None:
    send(world, by_hand=True)
    text = told(world, after=10**6)
    assert "nobody executes it by himself" in text
    assert f"Next: execute it when it suits you: seamark messages recover {NAME}" in text.replace(" \n", " ")


def test_a_strangers_attempt_is_waited_for(world: World) -> None:
    send(world)
    run = executed(1, good=False, reason="verification_failed")
    world.tell(B, world.block(B, 5, [Told(OUT, 1, run.body, NAME, version="2.0.0")]))
    assert "Next: wait: an honest attempt may follow" in told(world)
    assert "remove the cause" not in told(world)
