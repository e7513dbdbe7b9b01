"""Circles among messages of one timestamp.

Messages may depend on logs of their own timestamp, also back and forth between chains. Nodes check that this has an
order: every log comes after the one before it in its block, and every executing message after the log it names. A log
that has no place in that order is part of a circle (op-supervisor, `cross/cycle.go`: Kahn's algorithm over logs).

Logs that neither execute nor are named do not matter to the order, so only the others are nodes here.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

__all__ = ["Link", "Place", "circular"]


class Place(NamedTuple):
    """A log. All are of one timestamp."""

    chain_id: int
    block_number: int
    log_index: int


class Link(NamedTuple):
    """An executing log and the log it names."""

    executing: Place
    initiating: Place


def circular(links: Iterable[Link]) -> frozenset[Place]:
    """The executing logs that are part of a circle, or stand between two of them."""
    links = list(links)
    after: defaultdict[Place, set[Place]] = defaultdict(set)
    for link in links:
        after[link.initiating].add(link.executing)
    places = sorted({place for link in links for place in link})
    for earlier, later in pairwise(places):
        if earlier[:2] == later[:2]:
            after[earlier].add(later)
    rest = _peeled(set(places), after)
    before: defaultdict[Place, set[Place]] = defaultdict(set)
    for place, nexts in after.items():
        for item in nexts:
            before[item].add(place)
    rest = _peeled(rest, before)
    return frozenset(link.executing for link in links if link.executing in rest)


def _peeled(places: set[Place], after: Mapping[Place, set[Place]]) -> set[Place]:
    """What is left when whatever nothing leads to is taken away, again and again."""
    incoming = dict.fromkeys(places, 0)
    for place in places:
        for item in after.get(place, ()):
            if item in incoming:
                incoming[item] += 1
    free = deque(place for place, count in incoming.items() if not count)
    left = set(places)
    while free:
        place = free.popleft()
        left.discard(place)
        for item in after.get(place, ()):
            if item in incoming:
                incoming[item] -= 1
                if not incoming[item]:
                    free.append(item)
    return left
