"""The lead put together: backends by settings, the fence before the term, and which services follow it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from seamark.app.replicas import Replicas, open_replicas, stalled_after
from seamark.core.errors import SettingsError, TemporaryError
from seamark.core.ids import Address
from seamark.oracle.replica_settings import ReplicaSettings
from seamark.oracle.sources.adapter_server import AdapterServer
from seamark.runtime.http import make_session
from seamark.runtime.leadership import Led
from seamark.runtime.settings import validate_settings
from seamark.storage.database import Database, open_database
from seamark.storage.fencing import enter_term, newest_token
from tests.support.clock import FakeClock
from tests.support.kubernetes import KubernetesApi

SIGNER = Address("0x" + "Ab" * 20)
NAME = "publisher-0x" + "ab" * 20


class Stage:
    def __init__(self, database: Database, url: str, session: Any) -> None:
        self.database, self.url, self.session, self.clock = database, url, session, FakeClock()

    def open(self, *, url: str | None = None, **values: Any) -> Replicas:
        settings = validate_settings(ReplicaSettings, {"lease": "database", **values})
        return open_replicas(
            settings,
            signer=SIGNER,
            database=self.database,
            url=url or self.url,
            session=self.session,
            clock=self.clock,
            registry=CollectorRegistry(),
        )


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    url = f"sqlite:///{tmp_path}/seamark.db"
    database = await open_database(url)
    async with make_session() as session:
        yield Stage(database, url, session)
    await database.close()


async def test_a_lease_is_named_after_the_signer_and_its_holders_are_unique(stage: Stage) -> None:
    one, two = stage.open(identity="host"), stage.open(identity="host")
    assert one.elector.name == two.elector.name == NAME
    assert one.elector.identity != two.elector.identity
    assert one.elector.identity.startswith("host-")
    assert stage.open(name="feeds-of-ours").elector.name == "feeds-of-ours"


async def test_a_term_begins_with_the_fence_and_with_what_must_be_read_anew(stage: Stage) -> None:
    replicas = stage.open()
    tokens: list[int] = []

    async def look() -> None:
        tokens.append(await newest_token(stage.database, NAME))

    forgotten: list[int | None] = []
    replicas.prepare.append(lambda: forgotten.append(replicas.elector.token))
    await replicas.elector.stand()
    await look()
    assert tokens == [1]
    assert forgotten == [None], "before anybody hears that it leads"
    assert (await replicas.health()).detail == "leads in term 1"


async def test_only_the_leader_writes(stage: Stage) -> None:
    one, two = stage.open(), stage.open()
    await one.elector.stand()
    await two.elector.stand()
    assert await one.database.write(lambda _: "stored") == "stored"
    with pytest.raises(TemporaryError, match="leads; nothing was stored"):
        await two.database.write(lambda _: "stored")


async def test_who_was_overtaken_while_it_slept_finds_out_by_its_write(stage: Stage) -> None:
    one = stage.open()
    await one.elector.stand()
    await enter_term(stage.database, NAME, 2, "two")
    assert one.elector.token == 1, "its clock says nothing"
    with pytest.raises(TemporaryError, match="the newest is 2"):
        await one.database.write(lambda _: "stored")
    assert one.elector.token is None
    await one.elector.stand()
    assert one.elector.token == 3, "above what the fence knows"


class Other:
    name = "housekeeping"

    async def run(self) -> None:
        return


async def test_what_serves_answers_runs_everywhere_and_the_rest_by_the_leader(stage: Stage) -> None:
    replicas = stage.open()
    server = AdapterServer(feeds={}, host="127.0.0.1", port=0)
    assert replicas.led(server) is server
    led = replicas.led(Other())
    assert isinstance(led, Led)
    assert led.name == "housekeeping"


@pytest.mark.parametrize(
    ("url", "values", "problem"),
    [
        (None, {"lease": "postgresql_lock"}, "postgresql_lock needs PostgreSQL"),
        ("sqlite://", {"lease": "database"}, "in memory"),
        (None, {"lease": "kubernetes", "kubernetes": {"api": "https://k"}}, "namespace"),
    ],
)
async def test_a_backend_that_does_not_fit_is_named(
    stage: Stage, url: str | None, values: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        stage.open(url=url, **values)


async def test_a_lease_of_kubernetes(stage: Stage, tmp_path: Path) -> None:
    token = tmp_path / "token"
    async with KubernetesApi() as api:
        token.write_text(api.token)
        where = {"api": api.url, "namespace": api.namespace, "token_file": str(token)}
        replicas = stage.open(lease="kubernetes", name="ours", identity="pod", kubernetes=where)
        await enter_term(stage.database, "ours", 7, "somebody")
        await replicas.elector.stand()
        assert replicas.elector.token == 8, "a Lease that was deleted begins above the fence"
        assert api.lease("ours")["spec"]["holderIdentity"] == replicas.elector.identity
        await replicas.elector.close()
        assert api.lease("ours")["spec"]["holderIdentity"] == ""


def test_sessions_stand_still_for_less_than_a_lease() -> None:
    settings = validate_settings(ReplicaSettings, {"lease": "database"})
    still = stalled_after(settings)
    assert still is not None
    assert settings.renew < still < settings.duration
    assert stalled_after(None) is None
