"""What the ledger tells recovery: cases, their roots and siblings, batches, heads of queues."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from seamark.core.errors import RejectedError
from seamark.core.ids import Address
from seamark.messages.model import Contract, LaneKey, Stage
from seamark.messages.recovery.store import find_cases, find_head, load_case, load_told
from seamark.messages.store import save_contracts
from tests.unit.messages.history import (
    BACK,
    OUT,
    RECEIVER,
    SENDER,
    A,
    B,
    World,
    committed,
    executed,
    final,
    message_id,
    reorg,
    root,
    sent,
)

OTHER = "0x" + "77" * 20
OFF_RAMP = Contract(chain_id=B, address=Address("0x" + "0f" * 20), role="offramp", version="1.6.0")


@pytest.fixture
def world() -> Iterator[World]:
    """Out: 1-4 under one root, 2 failed, 3 executed; 5 alone, untouched; 6 not committed; 7 retracted. Back: 1 sent."""
    world = World()
    ghost = world.block(A, 7, [sent(7)], fork="lost")
    blocks = [world.block(A, number, [sent(number, nonce=number)]) for number in range(1, 7)]
    world.tell(A, *blocks, ghost)
    world.tell(A, reorg(blocks[5], ghost), final(blocks[4]))
    world.tell(
        B,
        world.block(B, 10, [committed(1, 4), executed(2, good=False), executed(3), committed(5, 5)]),
        world.block(B, 11, [sent(1, BACK, sender=OTHER)]),
    )
    save_contracts(world.connection, "ccip", [OFF_RAMP])
    world.connection.commit()
    yield world
    world.close()


def test_a_case_is_all_that_is_known(world: World) -> None:
    case = load_case(world.connection, message_id(OUT, 2))
    assert (case.lane, case.sequence, case.stage) == (OUT, 2, Stage.FAILED)
    assert (case.source_name, case.destination_name) == ("alpha", "beta")
    assert (case.source_chain, case.destination_chain) == (A, B)
    assert (case.sender, case.receiver, case.nonce) == (SENDER, RECEIVER, 2)
    assert (case.reason, case.attempts) == ("receiver_reverted", 1)
    assert case.finalized
    assert not case.retracted
    assert case.contracts == (OFF_RAMP,)
    assert case.sent is not None
    assert case.sent.block_number == 2


def test_the_root_comes_with_the_places_of_its_sends(world: World) -> None:
    case = load_case(world.connection, message_id(OUT, 2))
    assert case.root is not None
    assert (case.root.first, case.root.last, case.root.root) == (1, 4, root(1, 4))
    assert {number: place.block_number for number, place in case.siblings.items()} == {1: 1, 2: 2, 3: 3, 4: 4}
    alone = load_case(world.connection, message_id(OUT, 5))
    assert list(alone.siblings) == [5]
    waiting = load_case(world.connection, message_id(OUT, 6))
    assert waiting.root is None
    assert waiting.siblings == {}


def test_what_left_the_chain_says_so(world: World) -> None:
    assert load_case(world.connection, message_id(OUT, 7)).retracted


def test_the_beginning_of_an_id_is_enough_if_it_is_the_only_one(world: World) -> None:
    whole = message_id(OUT, 2)
    assert load_case(world.connection, f" {whole.upper().replace('0X', '0x')} ").id == whole
    with pytest.raises(RejectedError, match="several messages begin with"):
        load_case(world.connection, whole[:10])


@pytest.mark.parametrize("text", ["", "0x", "0x12", "12345678", "nonsense"])
def test_what_is_no_id(world: World, text: str) -> None:
    with pytest.raises(RejectedError, match="no message id"):
        load_case(world.connection, text)


def test_an_unknown_id(world: World) -> None:
    with pytest.raises(RejectedError, match="knows no message") as caught:
        load_case(world.connection, "0x" + "99" * 32)
    assert "backfilled" in caught.value.remedy


@pytest.mark.parametrize(
    ("wanted", "sequences"),
    [
        ({}, [1, 2, 4, 5, 6, 1]),  # not 3, which is done, nor 7, which is gone
        ({"source": "alpha"}, [1, 2, 4, 5, 6]),
        ({"source": "11", "destination": "beta"}, [1, 2, 4, 5, 6]),
        ({"source": "beta"}, [1]),
        ({"sender": SENDER.upper().replace("0X", "0x")}, [1, 2, 4, 5, 6]),
        ({"sender": OTHER}, [1]),
        ({"sender": OTHER, "source": "alpha"}, []),
        ({"destination": "mars"}, []),
        ({"protocols": ["ccip", "other"]}, [1, 2, 4, 5, 6, 1]),
        ({"protocols": ["other"]}, []),
    ],
)
def test_a_batch_is_what_is_not_executed_in_order(world: World, wanted: dict[str, Any], sequences: list[int]) -> None:
    assert [case.sequence for case in find_cases(world.connection, **wanted)] == sequences


def test_a_batch_is_bounded(world: World) -> None:
    assert [case.sequence for case in find_cases(world.connection, limit=2)] == [1, 2]


def test_the_head_of_a_queue_is_the_one_with_that_nonce(world: World) -> None:
    case = load_case(world.connection, message_id(OUT, 5))
    head = find_head(world.connection, case, 4)
    assert head is not None
    assert (head.id, head.sequence, head.nonce, head.stage) == (message_id(OUT, 4), 4, 4, Stage.COMMITTED)
    assert find_head(world.connection, case, 3) is None  # done: whoever has that nonce to go is not known
    assert find_head(world.connection, case, 99) is None


def test_after_a_migration_the_head_may_be_on_the_lane_before(world: World) -> None:
    newer = LaneKey(OUT.protocol, OUT.source, "0x" + "a9" * 20, OUT.destination)
    world.tell(A, world.block(A, 8, [sent(1, newer, variant="n", nonce=7)]))
    case = load_case(world.connection, message_id(newer, 1, "n"))
    head = find_head(world.connection, case, 6)
    assert head is not None
    assert head.id == message_id(OUT, 6)


def test_what_was_kept_of_a_root_is_loaded_on_demand(world: World) -> None:
    case = load_case(world.connection, message_id(OUT, 2))
    assert case.told == {}
    told = load_told(world.connection, case)
    assert sorted(told) == [1, 2, 3, 4]
    kept = told[2]
    assert (kept.id, kept.sent.sender, kept.sent.fee_amount, kept.sent.details) == (
        case.id,
        SENDER,
        "5",
        {"data": "0x00"},
    )
    assert sorted(load_told(world.connection, load_case(world.connection, message_id(OUT, 6)))) == [6]
