"""The table of what nodes must not forget: one writer at a time, damage is told, old configurations go."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from seamark.core.errors import StopError
from seamark.oracle.reporting.machine import Pending, Saved
from seamark.oracle.reporting.messages import Final
from seamark.oracle.reporting.signatures import AttestedReport, ReportSignature
from seamark.oracle.reporting.store import Claim, Place, claim, forget_superseded, load, save
from seamark.storage.database import open_database
from tests.support.postgres import new_database

CONTRACT = "31337:0x5fbdb2315678afecb367f032d93f642f64180aa3"
PLACE = Place(CONTRACT, bytes(32), 2)
FINAL = Final(7, 3, bytes(32), AttestedReport(b"report", ((1, ReportSignature(1, 5, 6)),)))
MEMORY = Saved(7, 8, (7, 8, 9, 0), (7, 2), (Pending(FINAL, 1_700_000_000_000_000_000),))
NEWER = Saved(7, 9, (7, 8, 9, 0), (7, 3), ())


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.timeout(60)])])
async def database(request):
    if request.param == "sqlite":
        opened = await open_database("sqlite://")
        yield opened
        await opened.close()
        return
    async with new_database() as url:
        opened = await open_database(url)
        yield opened
        await opened.close()


async def test_a_node_begins_with_nothing_and_goes_on_with_what_it_stored(database):
    first, saved = await database.write(lambda c: claim(c, PLACE))
    assert (first, saved) == (Claim(PLACE, 1), None)
    await database.write(lambda c: save(c, first, MEMORY))
    assert await database.read(lambda c: load(c, PLACE)) == MEMORY
    await database.write(lambda c: save(c, first, NEWER, MEMORY.pending))
    assert await database.write(lambda c: claim(c, PLACE)) == (Claim(PLACE, 2), NEWER)


async def test_each_node_and_each_configuration_has_its_own(database):
    others = [Place(CONTRACT, bytes(32), 3), Place(CONTRACT, b"\1" * 32, 2), Place("1:0x01", bytes(32), 2)]
    for place in (PLACE, *others):
        made, _ = await database.write(lambda c, place=place: claim(c, place))
        assert made.life == 1
    await database.write(lambda c: save(c, Claim(PLACE, 1), MEMORY))
    for place in others:
        assert await database.read(lambda c, place=place: load(c, place)) is None


async def test_an_older_life_stores_nothing_more(database):
    old, _ = await database.write(lambda c: claim(c, PLACE))
    new, _ = await database.write(lambda c: claim(c, PLACE))
    with pytest.raises(StopError, match="another process runs as node 2"):
        await database.write(lambda c: save(c, old, NEWER))
    await database.write(lambda c: save(c, new, MEMORY))
    assert await database.read(lambda c: load(c, PLACE)) == MEMORY


async def test_damage_is_told_and_stops_the_node(database):
    made, _ = await database.write(lambda c: claim(c, PLACE))
    await database.write(lambda c: save(c, made, MEMORY))
    await database.write(lambda c: c.execute(text("UPDATE oracle_reporting SET saved = substr(saved, 1, 40)")))
    with pytest.raises(StopError, match=r"oracle_reporting\*: what node 2 of 31337:.* is damaged: the seal is broken"):
        await database.write(lambda c: claim(c, PLACE))
    life = await database.read(lambda c: c.execute(text("SELECT life FROM oracle_reporting")).scalar())
    assert life == 1, "a life that did not begin is not counted"


def waiting(number, due=5):
    return Pending(replace(FINAL, round=number), due)


async def reports(database):
    rows = "SELECT node, round FROM oracle_reporting_pending ORDER BY 1, 2"
    return [tuple(row) for row in await database.read(lambda c: c.execute(text(rows)).all())]


async def test_of_the_reports_that_wait_only_what_changes_is_written(database):
    made, _ = await database.write(lambda c: claim(c, PLACE))
    other, _ = await database.write(lambda c: claim(c, Place(CONTRACT, bytes(32), 3)))
    one = replace(NEWER, pending=(waiting(1), waiting(2)))
    await database.write(lambda c: save(c, made, one))
    await database.write(lambda c: save(c, other, one))
    two = replace(NEWER, pending=(waiting(2), waiting(3)))
    await database.write(lambda c: save(c, made, two, one.pending))
    assert await reports(database) == [(2, 2), (2, 3), (3, 1), (3, 2)]
    assert await database.read(lambda c: load(c, PLACE)) == two

    await database.write(lambda c: c.execute(text("DELETE FROM oracle_reporting_pending WHERE round = 2")))
    await database.write(lambda c: save(c, made, two, two.pending))
    assert await reports(database) == [(2, 3), (3, 1)], "what is said to be there is not written again"
    later = replace(NEWER, pending=(waiting(3, due=9),))
    await database.write(lambda c: save(c, made, later, two.pending))
    assert await database.read(lambda c: load(c, PLACE)) == later


async def test_a_damaged_report_that_waits_is_told(database):
    made, _ = await database.write(lambda c: claim(c, PLACE))
    await database.write(lambda c: save(c, made, MEMORY))
    await database.write(lambda c: c.execute(text("UPDATE oracle_reporting_pending SET report = substr(report, 2)")))
    with pytest.raises(StopError, match="is damaged: the seal is broken"):
        await database.write(lambda c: claim(c, PLACE))


async def test_what_is_superseded_goes_and_its_node_says_no_more(database):
    other = Place("1:0x01", b"\1" * 32, 0)
    newer = Place(CONTRACT, b"\2" * 32, 2)
    old = (await database.write(lambda c: claim(c, PLACE)))[0]
    await database.write(lambda c: save(c, old, MEMORY))
    kept = (await database.write(lambda c: claim(c, other)))[0]
    await database.write(lambda c: save(c, kept, MEMORY))
    made = (await database.write(lambda c: claim(c, newer)))[0]
    assert await database.write(lambda c: forget_superseded(c, CONTRACT, newer.digest)) == 1
    assert await database.write(lambda c: forget_superseded(c, CONTRACT, newer.digest)) == 0
    with pytest.raises(StopError):
        await database.write(lambda c: save(c, old, MEMORY))
    await database.write(lambda c: save(c, made, MEMORY))
    rows = await database.read(lambda c: c.execute(text("SELECT contract FROM oracle_reporting ORDER BY 1")).all())
    assert [row[0] for row in rows] == ["1:0x01", CONTRACT]
    assert await database.read(lambda c: load(c, other)) == MEMORY
    assert await reports(database) == [(0, 3), (2, 3)]
