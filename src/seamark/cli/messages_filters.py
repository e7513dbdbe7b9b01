"""What a person types to choose messages, turned into a filter of the store. Pure.

A time is a span back from now ("2h"), a date, or ISO 8601; without an offset it is UTC, as everything here. A chain is
named as the settings do, as lists show it, or by its number: the protocol's (a CCIP selector) or the chain id.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from seamark.core.errors import SettingsError
from seamark.core.units import parse_duration
from seamark.evm.settings import ChainSettings
from seamark.messages.model import Stage
from seamark.messages.reports.model import ChainEnd

__all__ = ["find_chain", "parse_moment", "parse_stages"]

IN_FLIGHT = (Stage.SENT, Stage.FINALIZED, Stage.COMMITTED)
_SHORTHANDS: Mapping[str, Sequence[Stage]] = {"open": IN_FLIGHT, "in-flight": IN_FLIGHT}
_EARLIEST_EPOCH = 100_000_000  # 1973: a bare number this large is seconds since the epoch, a smaller one is a mistake


def parse_moment(option: str, text: str | None, now: int) -> int | None:
    """Seconds since the epoch.

    Raises:
        SettingsError: Not a time; names the option.
    """
    if text is None:
        return None
    wanted = text.strip()
    if wanted.isascii() and wanted.isdigit() and int(wanted) >= _EARLIEST_EPOCH:
        return int(wanted)
    try:
        return now - int(parse_duration(wanted.removesuffix(" ago")))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(wanted)
    except ValueError:
        remedy = "write a span back from now (90m, 2h, 7d), a date (2026-11-20) or ISO 8601 (2026-11-20T08:30:00Z)"
        raise SettingsError(option, f"{text[:40]!r} is not a time", remedy=remedy) from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp())


def parse_stages(given: Collection[str]) -> list[Stage]:
    """Stages, where "open" stands for all that are on their way.

    Raises:
        SettingsError: There is no such stage.
    """
    found: list[Stage] = []
    for text in (part.strip().lower() for item in given for part in item.split(",")):
        if text in _SHORTHANDS:
            found += _SHORTHANDS[text]
        elif text in {stage.value for stage in Stage}:
            found.append(Stage(text))
        else:
            known = ", ".join([*(stage.value for stage in Stage), "open"])
            raise SettingsError("--stage", f"there is no stage {text[:40]!r}", remedy=f"one of {known}")
    return list(dict.fromkeys(found))


def find_chain(
    option: str, text: str | None, ends: Collection[ChainEnd], chains: Mapping[str, ChainSettings]
) -> str | None:
    """The chain that a person means, by the name that lanes of every protocol have for it.

    Raises:
        SettingsError: No lane has such an end; lists what there is.
    """
    if text is None:
        return None
    wanted = text.strip().casefold()
    for end in ends:
        if wanted in _names(end, chains):
            return end.name
    names = ", ".join(sorted({end.name for end in ends})) or "none yet"
    raise SettingsError(option, f"no lane has a chain {text[:60]!r}", remedy=f"known: {names}")


def _names(end: ChainEnd, chains: Mapping[str, ChainSettings]) -> set[str]:
    same = {key: chain for key, chain in chains.items() if chain.chain_id == end.chain_id}
    labels = [chain.label for chain in same.values() if chain.label]
    numbers = [end.number] if end.chain_id is None else [end.number, str(end.chain_id)]
    return {name.casefold() for name in (end.name, *same, *labels, *numbers)}
