"""Logs that a node leaves out of a block: when its answer gives that away."""

from __future__ import annotations

import pytest

from seamark.core.ids import Address, Hash32
from seamark.evm.logs.bloom import bloom_of
from seamark.evm.types import BlockHeader, Log
from seamark.messages.protocols.op_interop.model import Rule, Status, Verdict
from seamark.messages.protocols.op_interop.rules import doubt, lacks_logs

BLOCK = Hash32("0x" + "b1" * 32)


def log(index: int, *, address: str = "0a", topics: tuple[str, ...] = ("01",)) -> Log:
    places = tuple(Hash32("0x" + item * 32) for item in topics)
    return Log(Address("0x" + address * 20), places, "0x", 7, BLOCK, Hash32("0x" + "cc" * 32), index)


LOGS = (log(0), log(1, address="0b"), log(2, topics=("01", "02")), log(3, topics=()))


def header(bloom: str) -> BlockHeader:
    return BlockHeader(7, BLOCK, Hash32("0x" + "b0" * 32), 1, bloom)


def true_bloom() -> str:
    return bloom_of(part for item in LOGS for part in (item.address, *item.topics))


def test_all_logs_explain_the_bloom() -> None:
    assert not lacks_logs(header(true_bloom()), LOGS)
    assert not lacks_logs(header(true_bloom()), tuple(reversed(LOGS))), "in any order"


@pytest.mark.parametrize("kept", [(), (0,), (0, 1), (0, 2), (1, 2, 3)])
def test_what_the_logs_do_not_explain_was_left_out(kept: tuple[int, ...]) -> None:
    assert lacks_logs(header(true_bloom()), [LOGS[index] for index in kept])


@pytest.mark.parametrize("bloom", ["", "0x", "0x" + "00" * 256, "0x" + "ff" * 256, "0x" + "0f" * 20])
def test_a_bloom_that_says_nothing_accuses_nobody(bloom: str) -> None:
    assert not lacks_logs(header(bloom), LOGS)
    assert not lacks_logs(header(bloom), ())


@pytest.mark.parametrize("bloom", ["", "0x" + "ff" * 256])
def test_but_a_gap_in_the_numbers_does(bloom: str) -> None:
    assert lacks_logs(header(bloom), [LOGS[0], LOGS[2]])


def test_a_log_more_than_the_bloom_tells_of_is_another_matter() -> None:
    """A bloom never hides a log, so that header is wrong; but nothing was left out."""
    assert not lacks_logs(header(bloom_of([LOGS[0].address, *LOGS[0].topics])), LOGS)


def test_an_empty_block() -> None:
    assert not lacks_logs(header("0x" + "00" * 256), ())


def test_an_accusation_from_such_a_block_is_no_verdict() -> None:
    found = doubt(Verdict(Status.INVALID, Rule.NO_LOG, "there is no log 1 of block 7", block_hash=BLOCK))
    assert (found.status, found.rule, found.block_hash) == (Status.UNKNOWN, Rule.DISPUTED, "")
    assert found.detail.startswith("a look said invalid (no_log)")
