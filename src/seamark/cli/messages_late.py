"""Which messages are late: those that are still in a stage though most of their lane got further in that time."""

from __future__ import annotations

from sqlalchemy import Connection

from seamark.messages.model import Stage
from seamark.messages.reports.rules import matures_after
from seamark.messages.reports.store import recent_totals, scope_lanes
from seamark.messages.store import LateRange
from seamark.settings import Settings

__all__ = ["late_ranges"]


def late_ranges(connection: Connection, _settings: Settings, now: int) -> list[LateRange]:
    """For the store's filter: each lane's stages with the time before which a send is late."""
    found = []
    for lane_id, lane in scope_lanes(connection).items():
        stages = [Stage.SENT]
        if lane.names.destination_watched:
            stages += [Stage.FINALIZED, Stage.COMMITTED]
        bound = matures_after(recent_totals(connection, lane_id))
        found += [LateRange(lane_id, stage, now - bound) for stage in stages]
    return found
