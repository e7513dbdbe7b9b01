"""Which messages are late: still in a stage after the limit that the judge has learned or was told for their lane."""

from __future__ import annotations

from sqlalchemy import Connection

from seamark.messages.judgement import LaneProfile, limit_of, read_profiles
from seamark.messages.model import Stage
from seamark.messages.reports.rules import matures_after
from seamark.messages.reports.store import recent_totals, scope_lanes
from seamark.messages.store import LateRange

__all__ = ["late_ranges"]


def late_ranges(connection: Connection, now: int) -> list[LateRange]:
    """For the store's filter: each lane's stages with the time before which a send is late.

    A lane that the judge has not looked at yet is measured by its own newest deliveries.
    """
    found = []
    profiles: dict[int, LaneProfile] = {}
    lanes = scope_lanes(connection)
    for protocol in {lane.key.protocol for lane in lanes.values()}:
        profiles |= read_profiles(connection, protocol)
    for lane_id, lane in lanes.items():
        stages = [Stage.SENT]
        if lane.names.destination_watched:
            stages += [Stage.FINALIZED, Stage.COMMITTED]
        profile = profiles.get(lane_id)
        usual = None if profile else matures_after(recent_totals(connection, lane_id))
        for stage in stages:
            limit = limit_of(profile, stage) if profile else None
            bound = limit.warn if limit else usual
            if bound is not None:
                found.append(LateRange(lane_id, stage, now - int(bound)))
    return found
