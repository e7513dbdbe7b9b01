"""Named tuples for structs, results and events: as cheap as tuples, readable by the names in the contract."""

from __future__ import annotations

import keyword
from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

from seamark.evm.abi.types import Param

__all__ = ["make_record"]

Record = Callable[[tuple[Any, ...]], tuple[Any, ...]]


def make_record(params: Sequence[Param], title: str = "Record") -> Record | None:
    """What turns a plain tuple into one with the parameters' names; None where no parameter has a name.

    A leading underscore is dropped and a Python keyword gets a trailing one (`_value` -> `value`, `from` -> `from_`); a
    parameter without a usable name is called by its position (`_0`).
    """
    names = tuple(_clean(param.name) for param in params)
    return _record(names, title) if any(names) else None


@lru_cache(maxsize=4096)
def _record(names: tuple[str, ...], title: str) -> Record:
    title = title if title.isidentifier() else "Record"
    # The names are known at run time only, which rules the typed form out.
    kind = namedtuple(title, names, rename=True)  # type: ignore[misc]  # noqa: PYI024
    return partial(tuple.__new__, kind)


def _clean(name: str) -> str:
    bare = name.lstrip("_")
    return f"{bare}_" if keyword.iskeyword(bare) else bare
