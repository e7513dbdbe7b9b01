"""The collector runs seldom, and still runs."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from seamark.runtime.process import YOUNG, calm_collector, settle_heap


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


class Node:
    """Part of a cycle."""

    def __init__(self) -> None:
        self.other = self


def test_cycles_are_still_collected() -> None:
    calm_collector()
    lost = weakref.ref(Node())
    kept = [[] for _ in range(2 * YOUNG)]  # type: list[list[int]]
    assert lost() is None
    assert len(kept) == 2 * YOUNG


def test_a_few_thousand_objects_do_not_wake_it() -> None:
    calm_collector()
    gc.collect()
    before = gc.get_stats()[0]["collections"]
    kept = [[] for _ in range(YOUNG // 2)]  # type: list[list[int]]
    assert gc.get_stats()[0]["collections"] == before
    assert len(kept) == YOUNG // 2


def test_what_was_there_at_the_start_is_left_alone_and_what_came_later_is_not() -> None:
    lost_before, kept = weakref.ref(Node()), Node()
    settle_heap()
    assert lost_before() is None
    assert gc.get_freeze_count() > 0
    assert not any(item is kept for item in gc.get_objects())
    lost_after = weakref.ref(Node())
    gc.collect()
    assert lost_after() is None
