"""Final reports are repeated by everybody to everybody, in the same bytes: each is worth reading and answering once.

Who has sent us an echo needs none from us, and one that was read already says nothing new, whoever repeats it. That
leaves half of the n^2 messages of a round, and a thirtieth of the work on them. It is a memory of bytes, nothing is
decided by it: what it forgets, or is made to forget by a flood, is sent and read once more.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Echoes"]

REMEMBERED: Final = 16  # reports; the echoes of one are all over within a round or two


class Echoes:
    """Of one configuration."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, _Echo] = {}

    def arrived(self, data: bytes, sender: int) -> bool:
        """Note who sent it; whether it has been read already."""
        echo = self._of(data)
        echo.senders.add(sender)
        return echo.read

    def read(self, data: bytes) -> bool:
        """Note that it is read now; false where it was before."""
        echo = self._of(data)
        first = not echo.read
        echo.read = True
        return first

    def who_has(self, data: bytes) -> frozenset[int] | set[int]:
        """The nodes that need none from us."""
        echo = self._known.get(data)
        return frozenset() if echo is None else echo.senders

    def _of(self, data: bytes) -> _Echo:
        echo = self._known.get(data)
        if echo is None:
            if len(self._known) >= REMEMBERED:
                del self._known[next(iter(self._known))]
            echo = self._known[data] = _Echo()
        return echo


class _Echo:
    __slots__ = ("read", "senders")

    def __init__(self) -> None:
        self.read = False
        self.senders: set[int] = set()
