"""Leaders and turns: vectors of Go 1.19."""

import pytest

from seamark.oracle.reporting.schedule import Schedule, permutation

SECRET = bytes.fromhex("0102030405060708") * 2
DIGEST = bytes.fromhex("0001" + "22" * 30)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (bytes(16), [0, 2, 3, 1]),
        (bytes(range(16)), [4, 2, 3, 6, 1, 5, 0]),
        (bytes(range(16)), [15, 9, 10, 5, 11, 8, 7, 13, 6, 4, 2, 12, 1, 3, 14, 0]),
    ],
)
def test_permutations_are_those_of_go(key, expected):
    assert permutation(len(expected), key) == expected


@pytest.mark.parametrize("n", [0, 1, 2, 31])
def test_every_number_comes_once(n):
    assert sorted(permutation(n, b"0123456789abcdef")) == list(range(n))


def test_keys_and_leaders():
    schedule = Schedule.from_secret(SECRET, 4)
    assert schedule.leader_key.hex() == "91554b03f11148695c0043b969497b5c"
    assert schedule.order_key.hex() == "6082a56a2138fdb22d3ad518dffd1dad"
    assert [schedule.leader(epoch) for epoch in range(1, 11)] == [1, 0, 1, 1, 3, 3, 0, 3, 1, 3]
    assert "91554b" not in repr(schedule)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ((1, 1), {3: 0, 0: 10, 1: 20, 2: 20}),
        ((1, 2), {2: 0, 0: 10, 3: 20, 1: 20}),
        ((2, 1), {1: 0, 3: 10, 2: 20, 0: 20}),
    ],
)
def test_turns_to_transmit(at, expected):
    assert Schedule.from_secret(SECRET, 4).delays(DIGEST, at[0], at[1], [1, 1, 2], 10) == expected


def test_stages_that_are_too_few_leave_nodes_out_and_too_many_are_nobody():
    schedule = Schedule.from_secret(SECRET, 4)
    assert schedule.delays(DIGEST, 1, 1, [1], 10) == {3: 0}
    assert schedule.delays(DIGEST, 1, 1, [], 10) == {}
    assert schedule.delays(DIGEST, 1, 1, [2**31, 2**31], 10) == dict.fromkeys(range(4), 0)
    assert schedule.delays(DIGEST, 1, 1, [3, 0, 5], 10) == {3: 0, 0: 0, 1: 0, 2: 20}
