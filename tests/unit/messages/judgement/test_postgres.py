"""The judge and the reconciler on PostgreSQL: every statement runs there, and finds the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from seamark.core.findings import Finding
from seamark.messages.judgement import read_curses, read_profile
from seamark.messages.model import NoticeKind
from seamark.storage.database import Database, open_database
from tests.support.postgres import new_database
from tests.unit.messages.history import BACK, OUT, A, B, Noticed, committed, executed, final, reorg, revoked, sent
from tests.unit.messages.judgement.scene import Scene, settings
from tests.unit.messages.test_reconcile import ROLE_A, ROLE_B, Counting, Desk

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(60)]

HOUR = 3600


async def everything_goes_wrong(database: Database) -> list[tuple[str, str, str, int]]:
    """A bit of all, and what is said of it."""
    scene = Scene(database, settings=settings(min_messages=5, min_rated=2, silence="30m"))
    await scene.begin()
    try:
        sends = [scene.block(A, number * 60, sent(number)) for number in range(1, 13)]
        base, lost = scene.block(A, 900), scene.block(A, 912, sent(40), fork="x")
        await scene.tell(A, *sends, final(sends[-1]), base, lost)
        await scene.tell(A, scene.block(A, 924, sent(15), sent(16)), final(base))
        await scene.tell(B, scene.block(B, 12, sent(1, BACK)), scene.block(B, 780, committed(1, 9), committed(40, 40)))
        runs = executed(1), executed(2, callback=False), executed(3, good=False), executed(4, manual=True), executed(40)
        await scene.tell(B, scene.block(B, 792, *runs, *(executed(number) for number in range(5, 9))))
        await scene.tell(A, reorg(base, lost), scene.block(A, 912))
        details = {"sender": "0x" + "5e" * 20, "source": OUT.source}
        notices = Noticed(NoticeKind.CURSED, "77"), Noticed(NoticeKind.NONCE_SKIPPED, "s", details)
        await scene.tell(B, scene.block(B, 816, *notices, revoked(40, 40)))
        await scene.tell(A, final(scene.block(A, 924)))
        found: Sequence[Finding] = ()
        for hour in (1, 2, 30):
            scene.at(hour * HOUR)
            found = await scene.judge.look()
        assert await database.read(lambda c: read_profile(c, OUT)) is not None
        assert len(await database.read(lambda c: read_curses(c, "ccip"))) == 1
        return sorted((item.kind, item.subject, item.severity.value, item.count) for item in found)
    finally:
        scene.world.close()


async def test_the_same_is_found_on_both_engines() -> None:
    lite = await open_database("sqlite://")
    expected = await everything_goes_wrong(lite)
    await lite.close()
    kinds = {kind for kind, *_ in expected}
    assert {"message_stuck", "message_failed", "cursed", "reorged_after_delivery", "sequence_gap"} <= kinds
    async with new_database() as url:
        server = await open_database(url)
        assert await everything_goes_wrong(server) == expected
        await server.close()


async def test_healing() -> None:
    async with new_database() as url:
        database = await open_database(url)
        scene = Scene(database, protocol=Counting())
        await scene.begin()
        desk = Desk(scene)
        await desk.happens(A, 12, sent(1), sent(2), sent(3))
        await desk.happens(A, 24, sent(4), seen=False)
        desk.counted(A, "sent", 4)
        await desk.goes_on(A, 36)
        await desk.happens(B, 12, committed(1, 1))
        await desk.happens(B, 24, committed(2, 2), seen=False)
        await desk.happens(B, 36, committed(3, 3))
        await desk.check(ROLE_A, times=2)
        await desk.check(ROLE_B, times=2)
        assert await desk.stages() == {"committed": 3, "finalized": 1}
        assert desk.value("ccip_log_gap_healed_total") == 1
        scene.world.close()
        await database.close()
