"""The decisions, one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.core.ids import BlockRef
from seamark.evm.logs import rules
from seamark.evm.logs.errors import InconsistentReplyError
from seamark.evm.logs.model import Position, Rescan, Told
from seamark.evm.ports import Block
from seamark.evm.types import BlockHeader, Log, LogFilter
from tests.support.fake_chain import Event, FakeChain, address, digest, topic

WANTED = LogFilter((address(1), address(2)), (topic(1), topic(2)))


def log(number: int = 5, index: int = 0, *, emitter: int = 1, first: int = 1, block: str = "a") -> Log:
    return Log(address(emitter), (topic(first),), "0x", number, digest(block), digest(f"tx{number}"), index)


def ref(number: int) -> BlockRef:
    return BlockRef(number, digest(f"b{number}"), digest(f"b{number - 1}"), number)


def position(first: int, told: int, finalized: int, *rescans: Rescan) -> Position:
    return Position(WANTED, tuple(Told(ref(number)) for number in range(first, told + 1)), finalized, rescans, 7)


# ---- links ----------------------------------------------------------------------------------------------------------


def headers(count: int = 5) -> list[BlockHeader]:
    chain = FakeChain()
    chain.empty(count)
    return [block.header for block in chain.path]


def test_linked_headers_pass() -> None:
    rules.check_linked(headers())


@pytest.mark.parametrize("gap", [2, 3])
def test_a_missing_header_is_no_link(gap: int) -> None:
    broken = headers()
    del broken[gap]
    with pytest.raises(InconsistentReplyError, match="names parent"):
        rules.check_linked(broken)


def test_headers_of_two_forks_are_no_chain() -> None:
    one, other = headers(3), FakeChain()
    other.mine([Event()], [], [])
    with pytest.raises(InconsistentReplyError):
        rules.check_linked([*one[:2], BlockHeader(2, digest("x"), digest("not one"), 0)])


# ---- logs against headers -------------------------------------------------------------------------------------------


def test_logs_are_put_in_order_and_told_once() -> None:
    logs = [log(6, 1), log(5, 0), log(6, 0), log(6, 1)]
    checked = rules.check_logs(logs, WANTED, 5, 6, {})
    assert [(item.block_number, item.log_index) for item in checked] == [(5, 0), (6, 0), (6, 1)]


@pytest.mark.parametrize(
    "stranger",
    [log(4), log(7), log(emitter=3), log(first=3), Log(address(1), (), "0x", 5, digest("a"), digest("t"), 0)],
    ids=["before", "after", "address", "topic", "no topic"],
)
def test_logs_nobody_asked_for_are_refused(stranger: Log) -> None:
    with pytest.raises(InconsistentReplyError, match="not asked for"):
        rules.check_logs([log(), stranger], WANTED, 5, 6, {})


def test_a_log_of_another_block_with_that_number_is_refused() -> None:
    with pytest.raises(InconsistentReplyError, match="but the header says"):
        rules.check_logs([log(5, block="a")], WANTED, 5, 6, {5: digest("b")})


def test_logs_of_two_blocks_with_one_number_are_refused() -> None:
    with pytest.raises(InconsistentReplyError, match="two different blocks 5"):
        rules.check_logs([log(5, 0, block="a"), log(5, 1, block="b")], WANTED, 5, 6, {})


def test_logs_are_grouped_by_block() -> None:
    groups = rules.group_by_block([log(5, 0), log(5, 1), log(8, 0)])
    assert [(group.number, len(group.logs)) for group in groups] == [(5, 2), (8, 1)]
    assert rules.group_by_block([]) == []


def test_a_block_that_promises_logs_and_shows_none_is_suspect() -> None:
    chain = FakeChain()
    chain.mine([Event()], [Event(address=3)], [Event()], [])
    found = [block.header for block in chain.path]
    shown = chain.path[3].logs
    assert [header.number for header in rules.suspects(found, shown, WANTED)] == [1]


# ---- fingerprints ---------------------------------------------------------------------------------------------------


@given(st.permutations([log(5, index) for index in range(6)]))
def test_a_fingerprint_does_not_depend_on_order(logs: list[Log]) -> None:
    assert rules.fingerprint(ref(5), logs) == rules.fingerprint(ref(5), sorted(logs, key=lambda item: item.log_index))


@given(st.integers(0, 6))
def test_fingerprints_of_parts_add_up(cut: int) -> None:
    logs = [log(5, index) for index in range(6)]
    whole = rules.fingerprint(ref(5), logs)
    assert rules.fingerprint(ref(5), logs[:cut]).with_more(rules.fingerprint(ref(5), logs[cut:])) == whole


def test_late_blocks_show_more_or_other_logs_than_were_told() -> None:
    told = [rules.fingerprint(ref(number), [log(number, 0)]) for number in (1, 2, 3, 4)]
    seen = {1: (log(1, 0),), 2: (log(2, 0), log(2, 1)), 3: (log(3, 9),)}
    late = rules.late_blocks(told, seen)
    assert late == [Block(ref(2), seen[2]), Block(ref(3), seen[3])]
    assert rules.short_answer(told, seen) == 1


# ---- filters --------------------------------------------------------------------------------------------------------

_filters = st.builds(
    LogFilter,
    st.lists(st.integers(1, 4).map(address), min_size=1, unique=True).map(tuple),
    st.lists(st.integers(1, 4).map(topic), min_size=1, unique=True).map(tuple),
)


def pairs(wanted: LogFilter) -> set[tuple[str, str]]:
    return {(one, two) for one in wanted.addresses for two in wanted.topics}


@given(_filters, _filters)
def test_unread_is_exactly_what_is_new_each_pair_once(known: LogFilter, wanted: LogFilter) -> None:
    parts = [pairs(part) for part in rules.unread(known, wanted)]
    assert set().union(*parts) == pairs(wanted) - pairs(known)
    assert sum(map(len, parts)) == len(pairs(wanted) - pairs(known))


def test_extending_splits_open_blocks_from_final_ones_and_puts_them_first() -> None:
    wanted = LogFilter((address(9),), WANTED.topics)
    before = Rescan(WANTED, 0, 3)
    grown = rules.extend(position(5, 20, 10, before), wanted, 2)
    new = LogFilter((address(9),), WANTED.topics)
    assert grown.rescans == (Rescan(new, 11, 20), before, Rescan(new, 2, 10))
    assert grown.wanted == wanted
    assert grown.revision == 7


@pytest.mark.parametrize(("start", "ranges"), [(15, [(15, 20)]), (21, []), (0, [(11, 20), (0, 10)])])
def test_extending_reads_only_passed_blocks_from_the_one_named(start: int, ranges: list[tuple[int, int]]) -> None:
    grown = rules.extend(position(5, 20, 10), LogFilter((address(9),), WANTED.topics), start)
    assert [(scan.first, scan.last) for scan in grown.rescans] == ranges


def test_extending_by_what_is_known_changes_nothing() -> None:
    assert rules.extend(position(5, 20, 10), WANTED, 0) == position(5, 20, 10)


# ---- what to do next ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "finalized", "action"),
    [
        (Position(WANTED), 0, rules.Action.CATCH_UP),
        (position(5, 20, 20), 31, rules.Action.CATCH_UP),
        (position(5, 20, 20), 30, rules.Action.FOLLOW),
        (position(5, 20, 19), 31, rules.Action.SETTLE),
        (position(5, 20, 10), 20, rules.Action.FOLLOW),
        (position(5, 20, 10), 3, rules.Action.FOLLOW),
        (position(5, 20, 10, Rescan(WANTED, 11, 20)), 99, rules.Action.FOLLOW),
        (position(5, 20, 20, Rescan(WANTED, 2, 20)), 99, rules.Action.CATCH_UP),
    ],
)
def test_next_action(where: Position, finalized: int, action: rules.Action) -> None:
    assert rules.next_action(where, finalized, 10) is action


@pytest.mark.parametrize(
    ("span", "logs", "expected"),
    [(100, 1000, 100), (100, 4000, 25), (1, 10**9, 1), (100, 400, 200), (100, 500, 100), (900, 0, 1000)],
)
def test_next_span_follows_the_density_of_logs(span: int, logs: int, expected: int) -> None:
    assert rules.next_span(span, logs, 1000, 1000) == expected


@given(st.lists(st.integers(0, 9)), st.integers(1, 20))
def test_pieces_keep_everything_in_order_and_end_at_the_limit(counts: list[int], limit: int) -> None:
    blocks = [Block(ref(number), tuple(log(number, i) for i in range(n))) for number, n in enumerate(counts, 1)]
    groups = rules.pieces(blocks, limit)
    assert [block for group in groups for block in group] == blocks
    for group in groups:
        assert sum(len(block.logs) for block in group[:-1]) < limit
    for group in groups[:-1]:
        assert sum(len(block.logs) for block in group) >= limit


# ---- positions ------------------------------------------------------------------------------------------------------


def test_a_reference_is_found_by_its_number() -> None:
    where = position(5, 20, 10)
    assert where.at(5) == Told(ref(5))
    assert where.at(20) == Told(ref(20))
    assert where.at(4) is None
    assert where.at(21) is None
    assert Position(WANTED).at(0) is None
    assert (where.told, where.tail) == (20, ref(20))
    assert (Position(WANTED).told, Position(WANTED).tail) == (-1, None)


def test_rewinding_drops_blocks_and_what_would_be_read_of_them() -> None:
    rescans = (Rescan(WANTED, 11, 20), Rescan(WANTED, 16, 20), Rescan(WANTED, 0, 10))
    back = position(5, 20, 10, *rescans).rewound(15)
    assert back.told == 15
    assert back.finalized == 10
    assert [(scan.first, scan.last) for scan in back.rescans] == [(11, 15), (0, 10)]
    assert position(5, 20, 10).rewound(7).finalized == 7


def test_settling_prunes_what_is_kept_below() -> None:
    fixed = Told(ref(12), 3, 9)
    done = position(5, 20, 10).settled(15, 4, (fixed,))
    assert [item.ref.number for item in done.chain] == list(range(11, 21))
    assert done.at(12) == fixed
    assert done.finalized == 15


def test_a_rescan_moves_on_and_ends() -> None:
    where = position(5, 20, 20, Rescan(WANTED, 0, 10), Rescan(WANTED, 3, 4))
    assert where.rescanned(6).rescans[0] == Rescan(WANTED, 7, 10)
    assert where.rescanned(10).rescans == (Rescan(WANTED, 3, 4),)


def test_history_leaves_one_reference() -> None:
    jumped = position(5, 20, 20).jumped(ref(90))
    assert jumped.chain == (Told(ref(90)),)
    assert jumped.finalized == 90
