"""Query parameters: which exist, and how their text becomes values that a reader takes.

A misspelt filter that is silently ignored answers another question than the one asked, so unknown and repeated
parameters are errors. What exists is read from the OpenAPI document itself: the contract and the check cannot differ.
"""

from __future__ import annotations

import difflib
import re
from datetime import UTC, datetime
from math import ceil
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import AfterValidator

from seamark.api.names import ChainName, ChainNames
from seamark.api.problems import ParameterError
from seamark.core.ids import Selector

__all__ = [
    "AddressFilter",
    "After",
    "HashFilter",
    "HashPrefix",
    "Limit",
    "MomentFilter",
    "find_chain",
    "refuse_unknown",
    "to_seconds",
]

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_CURSOR = 400
_MAX_SELECTOR = 2**64 - 1


def refuse_unknown(request: Request) -> None:
    """A dependency: every parameter of the query must be in the OpenAPI document, and scalars may come once."""
    known = _known_parameters(request)
    for name in dict.fromkeys(request.query_params.keys()):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known) or 'none'}"
            raise ParameterError(name[:60], f"unknown parameter; {hint}")
        if not known[name] and len(request.query_params.getlist(name)) > 1:
            raise ParameterError(name, "is given more than once")


def _known_parameters(request: Request) -> dict[str, bool]:
    """Name -> may be repeated; an operation's id is its function's name (`seamark.api.app`)."""
    wanted = request.scope["route"].name
    for operations in request.app.openapi()["paths"].values():
        found = next((item for item in operations.values() if item["operationId"] == wanted), None)
        if found is not None:
            parameters = found.get("parameters", [])
            return {item["name"]: _is_list(item["schema"]) for item in parameters if item["in"] == "query"}
    raise LookupError(f"{wanted} is not in the OpenAPI document")


def _is_list(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "array" or any(_is_list(part) for part in schema.get("anyOf", []))


def _matching(pattern: str, wanted: str) -> AfterValidator:
    form = re.compile(pattern, re.ASCII)

    def check(text: str) -> str:
        lowered = text.strip().lower()
        if not form.fullmatch(lowered):
            raise ValueError(f"must be {wanted}")
        return lowered

    return AfterValidator(check)


AddressFilter = Annotated[str, _matching(r"0x[0-9a-f]{40}", "an address: 0x and 40 hex digits")]
HashFilter = Annotated[str, _matching(r"0x[0-9a-f]{64}", "a hash: 0x and 64 hex digits")]
HashPrefix = Annotated[str, _matching(r"0x[0-9a-f]{4,64}", "0x and the first 4 to 64 hex digits of an id")]
MomentFilter = datetime
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")]
After = Annotated[str | None, Query(alias="cursor", max_length=MAX_CURSOR, description="`next` of the page before.")]


def to_seconds(moment: datetime | None) -> int | None:
    """Whole seconds since the epoch, rounded up: block times are whole, so "at or after" and "before" stay exact.

    A time without an offset is taken as UTC.
    """
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return ceil(aware.timestamp())


def find_chain(names: ChainNames, parameter: str, text: str | None) -> ChainName | None:
    """The chain that a person named.

    A selector that is in no settings is taken as it is: the tracker may know lanes that nobody named.

    Raises:
        ParameterError: Neither a known name nor a number.
    """
    if text is None:
        return None
    found = names.find(text)
    if found is not None:
        return found
    if text.isascii() and text.isdigit() and int(text) <= _MAX_SELECTOR:
        return ChainName(text, text, selector=Selector(int(text)))
    known = ", ".join(chain.key for chain in names.all)
    raise ParameterError(parameter, f"no chain is called {text[:40]!r}; known: {known or 'none'}, or any CCIP selector")
