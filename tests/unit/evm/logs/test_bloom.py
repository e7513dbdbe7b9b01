"""The bloom filter, by its one law: it never hides what is there. (A real header's: see the integration test.)"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.evm.crypto import keccak256
from seamark.evm.logs.bloom import bloom_of, may_contain
from seamark.evm.types import LogFilter
from tests.support.fake_chain import address, topic

NOTHING = "0x" + "0" * 512
EVERYTHING = "0x" + "f" * 512


def test_bits_follow_the_yellow_paper() -> None:
    """Bit i is the low 11 bits of byte pair (2k, 2k+1) of the hash, for k = 0, 1, 2."""
    item = address(7)
    digest = keccak256(bytes.fromhex(item[2:]))
    expected = {(digest[2 * k] << 8 | digest[2 * k + 1]) & 0x7FF for k in range(3)}
    bits = int(bloom_of([item]), 16)
    assert {index for index in range(2048) if bits >> index & 1} == expected


def test_a_bloom_is_256_bytes_of_hex() -> None:
    assert bloom_of([]) == NOTHING
    assert len(bloom_of([address(1)])) == len(NOTHING)


@given(st.lists(st.integers(0, 500), max_size=30), st.integers(0, 500), st.integers(501, 900))
def test_what_is_there_is_never_hidden(others: list[int], emitter: int, first: int) -> None:
    items = [address(number) for number in [*others, emitter]] + [topic(first)]
    assert may_contain(bloom_of(items), LogFilter((address(9999), address(emitter)), (topic(first), topic(9999))))


def test_address_and_topic_are_both_needed() -> None:
    wanted = LogFilter((address(1),), (topic(1),))
    assert not may_contain(bloom_of([address(1)]), wanted)
    assert not may_contain(bloom_of([topic(1)]), wanted)
    assert may_contain(bloom_of([address(1), topic(1)]), wanted)


@pytest.mark.parametrize("bloom", ["", "0x", NOTHING, EVERYTHING])
def test_blooms_that_say_nothing_promise_nothing(bloom: str) -> None:
    assert not may_contain(bloom, LogFilter((address(1),), (topic(1),)))
