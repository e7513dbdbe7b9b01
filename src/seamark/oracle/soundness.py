"""Whether a feed's settings make sense together: what can never come to an answer, what is weaker than it looks. Pure.

`check_votes` refuses, because it could only fail later, in silence. `remarks` tells what a person may well have meant
otherwise: settings without effect, and how many lying venues the feed bears.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from seamark.core.errors import SettingsError
from seamark.core.units import format_duration
from seamark.oracle.aggregation.filters import MIN_FOR_OUTLIERS
from seamark.oracle.model import Method, OutlierFilter
from seamark.oracle.settings import FeedSettings
from seamark.oracle.sources.adapters import AdapterSource
from seamark.oracle.sources.ccxt_quotes import CcxtSource
from seamark.oracle.sources.cross import CrossSource
from seamark.oracle.sources.outlet import AnySource
from seamark.oracle.sources.source import Source
from seamark.oracle.sources.streams import StreamSource

__all__ = ["check_votes", "remarks", "venue_weights"]

_OF_FILTERS: Final = frozenset({"outlier_filter", "outlier_factor", "quartile_factor", "outlier_floor"})


def venue_weights(sources: Sequence[AnySource]) -> dict[str, int]:
    """What each venue may weigh: it has one vote, its newest quote's."""
    weights: dict[str, int] = {}
    for source in sources:
        weights[source.venue] = max(source.weight, weights.get(source.venue, 0))
    return weights


def check_votes(settings: FeedSettings, sources: Sequence[AnySource], min_venues: int, *, at: str) -> None:
    """Refuse what no quotes could ever satisfy.

    Raises:
        SettingsError: Names the setting below `at`, and the remedy.
    """
    weights = venue_weights(sources)
    voters, weight = len(weights), sum(weights.values())
    if min_venues > voters:
        problem = f"{min_venues} venues are needed and {voters} configured"
        raise SettingsError(f"{at}.min_venues", problem, remedy="lower it or add sources")
    if (settings.min_weight or 0) > weight:
        problem = f"a weight of {settings.min_weight} is needed, and all venues together have {weight}"
        raise SettingsError(f"{at}.min_weight", problem, remedy="lower it, or raise the weight of sources")
    if (settings.agreeing_venues or 0) > voters:
        problem = f"{settings.agreeing_venues} venues are to agree and {voters} are configured"
        raise SettingsError(f"{at}.agreeing_venues", problem, remedy="lower it or add sources")
    _check_volumes(settings, sources, min_venues, at)
    _check_pace(settings, sources, at)


def _check_volumes(settings: FeedSettings, sources: Sequence[AnySource], min_venues: int, at: str) -> None:
    telling = {source.venue for source in sources if _tells_volume(source)}
    if settings.method is Method.VWAP and len(telling) < min_venues:
        problem = f"vwap needs volumes, and {len(telling)} of the {min_venues} venues needed tell one"
        raise SettingsError(f"{at}.method", problem, remedy="use median or twap, or add sources with a volume")


def _check_pace(settings: FeedSettings, sources: Sequence[AnySource], at: str) -> None:
    asked = [source for source in sources if isinstance(source, (Source, AdapterSource, CcxtSource))]
    short = [source for source in asked if (source.max_age or settings.max_age) < settings.poll_interval]
    if short:
        lasts = format_duration(short[0].max_age or settings.max_age)
        problem = (
            f"{short[0].name} is asked every {format_duration(settings.poll_interval)}, and its price lasts {lasts}"
        )
        raise SettingsError(f"{at}.poll_interval", problem, remedy="lower poll_interval or raise max_age")


def _tells_volume(source: AnySource) -> bool:
    if isinstance(source, (Source, StreamSource)):
        return source.fields.volume is not None
    if isinstance(source, CrossSource):
        return _tells_volume(source.legs[0].source)
    return isinstance(source, CcxtSource)


def remarks(settings: FeedSettings, sources: Sequence[AnySource], min_venues: int) -> tuple[str, ...]:
    """What has no effect or protects less than it seems to, one line each with what to do."""
    return (*_without_effect(settings), *_weak(settings, sources, min_venues))


def _without_effect(settings: FeedSettings) -> list[str]:
    given, found = settings.model_fields_set, []
    idle = {
        "window": settings.method is Method.MEDIAN,
        "median": settings.method is Method.VWAP,
        "quartile_factor": settings.outlier_filter is not OutlierFilter.IQR,
        "outlier_factor": settings.outlier_filter is not OutlierFilter.MAD,
        "outlier_floor": settings.outlier_filter is OutlierFilter.NONE,
        "confirm_within": settings.max_step is None,
    }
    because = {
        "window": "the method is median, of the newest prices; set method: twap or vwap",
        "median": "the method is vwap; set method: median or twap",
        "quartile_factor": f"outlier_filter is {settings.outlier_filter}; set outlier_filter: iqr",
        "outlier_factor": f"outlier_filter is {settings.outlier_filter}; set outlier_filter: mad",
        "outlier_floor": "outlier_filter is none; set outlier_filter: mad or iqr",
        "confirm_within": "nothing is held without a limit; set max_step",
    }
    for name, is_idle in idle.items():
        if is_idle and name in given:
            found.append(f"{name} has no effect: {because[name]}, or leave {name} out")
    return found


def _weak(settings: FeedSettings, sources: Sequence[AnySource], min_venues: int) -> list[str]:
    weights, found = venue_weights(sources), []
    total = sum(weights.values())
    heaviest = max(weights, key=lambda venue: weights[venue], default="")
    if min_venues < 3:  # noqa: PLR2004 - 2f + 1 with f = 1
        found.append(
            f"min_venues is {min_venues}: one lying venue can move the answer; with 3 it takes two, with 5 three"
        )
    if len(weights) > 1 and 2 * weights[heaviest] > total:
        found.append(f"{heaviest} has {weights[heaviest]} of a weight of {total}: it decides alone; lower its weight")
    if settings.method is Method.VWAP:
        found.append("vwap follows whoever tells the most volume: a venue that invents volume moves the answer")
    silent = sorted(source.name for source in sources if not _tells_volume(source))
    if settings.method is Method.VWAP and silent:
        found.append(f"{', '.join(silent)} tell no volume and are left out by vwap; remove them, or use median")
    if settings.max_step is None:
        found.append("max_step is not set: a jump of any size is published at once; set it, such as max_step: 10%")
    if len(weights) < MIN_FOR_OUTLIERS and settings.model_fields_set & _OF_FILTERS:
        found.append(
            f"outlier_filter needs {MIN_FOR_OUTLIERS} venues to tell who is wrong, and {len(weights)} are configured"
        )
    return found
