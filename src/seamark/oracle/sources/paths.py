"""A path into a JSON document, small on purpose: no filters, no wildcards over many values, no arithmetic.

    last                    a member
    result.list[0].price    members and indexes (from 0)
    result.*.c[0]           `*` is the only member or element there; more or fewer is an error
    volume["24h"]           any key, quoted

A path names exactly one value or fails, so a venue that changes its shape is noticed and never misread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["JsonPath", "PathError"]

_STEP: Final = re.compile(
    r'(?P<dot>\.)?(?:(?P<key>[A-Za-z0-9_-]+)|(?P<only>\*))|\[(?P<index>\d{1,6})\]|\["(?P<quoted>[^"]+)"\]'
)


class PathError(ValueError):
    """The document has no such value."""


@dataclass(frozen=True, slots=True)
class _Only:
    """The step `*`."""


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A parsed path; `str()` gives it as written."""

    text: str
    steps: tuple[str | int | _Only, ...]

    @classmethod
    def parse(cls, text: str) -> JsonPath:
        """Read a path.

        Raises:
            ValueError: Not a path in this language.
        """
        steps: list[str | int | _Only] = []
        position = 0
        while position < len(text):
            found = _STEP.match(text, position)
            if found is None or not _is_joined(found, position):
                raise ValueError(
                    f"{text!r} is not a JSON path; write names joined by dots and [n], such as data[0].last"
                )
            steps.append(_to_step(found))
            position = found.end()
        if not steps:
            raise ValueError("an empty JSON path; write names joined by dots and [n], such as data[0].last")
        return cls(text, tuple(steps))

    def find(self, document: Any) -> Any:
        """The value there.

        Raises:
            PathError: There is none, or `*` stands for more than one.
        """
        value = document
        for step in self.steps:
            # Members first: they are nearly all steps, and a source takes some ten of them with every tick.
            value = value[step] if type(value) is dict and step in value else self._descend(value, step)
        return value

    def _descend(self, value: Any, step: str | int | _Only) -> Any:
        if isinstance(step, str) and isinstance(value, dict) and step in value:
            return value[step]
        if isinstance(step, int) and isinstance(value, list) and step < len(value):
            return value[step]
        if isinstance(step, _Only) and isinstance(value, (dict, list)) and len(value) == 1:
            return next(iter(value.values())) if isinstance(value, dict) else value[0]
        raise PathError(f"no value at {self.text}")

    def __str__(self) -> str:
        return self.text


def _is_joined(found: re.Match[str], position: int) -> bool:
    """A name needs a dot before it, except the first; brackets need none."""
    named = found["key"] is not None or found["only"] is not None
    return not named or (found["dot"] is not None) == (position > 0)


def _to_step(found: re.Match[str]) -> str | int | _Only:
    if found["index"] is not None:
        return int(found["index"])
    return _Only() if found["only"] is not None else found["key"] or found["quoted"]
