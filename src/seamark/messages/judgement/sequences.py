"""Sequence numbers that lack; pure.

A lane's source contract counts its messages without a gap. So a number that is missing between two final sends is a log
that some node has left out: what did not happen is found as surely as what did. Numbers before the first one that was
seen prove nothing; the monitor may have started there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from seamark.messages.judgement.model import SequenceCheck

__all__ = ["advanced", "holes", "refilled"]

MAX_GAPS = 1_000
"""Ranges that are remembered. More are a filter that is wrong, not logs that were lost; the check stays before them."""


def holes(first: int, last: int, present: Iterable[int]) -> Iterator[tuple[int, int]]:
    """What lacks of first..last, as ranges; `present` is sorted."""
    expected = first
    for number in present:
        if number > expected:
            yield expected, min(number - 1, last)
        expected = max(expected, number + 1)
    if expected <= last:
        yield expected, last


def advanced(check: SequenceCheck, found: Sequence[int]) -> SequenceCheck:
    """The check with the next numbers above `upto`, sorted."""
    gaps, upto = list(check.gaps), check.upto
    for number in found:
        if number > upto + 1:
            if len(gaps) >= MAX_GAPS:
                break
            gaps.append((upto + 1, number - 1))
        upto = max(upto, number)
    return SequenceCheck(check.first, upto, tuple(gaps))


def refilled(check: SequenceCheck, found: Sequence[int]) -> SequenceCheck:
    """The check without numbers that came after all; sorted, and all of them within one gap."""
    if not found:
        return check
    gaps: list[tuple[int, int]] = []
    for first, last in check.gaps:
        if first <= found[0] <= last:
            gaps.extend(holes(first, last, found))
        else:
            gaps.append((first, last))
    return SequenceCheck(check.first, check.upto, tuple(gaps))
