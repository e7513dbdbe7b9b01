"""How the lead among replicas is shown, and what its settings allow."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from seamark.core.errors import SettingsError
from seamark.oracle.leadership import LeadershipMetrics, leadership_health
from seamark.oracle.replica_settings import Lease, ReplicaSettings
from seamark.oracle.settings import OracleSettings
from seamark.runtime.health import Status
from seamark.runtime.leadership import Elector, RegisterCandidate, Terms
from seamark.runtime.settings import validate_settings
from tests.support.replicas import HostClock, MemoryRegister, MemoryStore, World

TERMS = Terms(duration=6.0, renew=1.5)


class Stage:
    def __init__(self) -> None:
        self.world, self.store, self.registry = World(), MemoryStore(), CollectorRegistry()
        self.one, self.two = self.elector("one"), self.elector("two")
        self.metrics = LeadershipMetrics(self.registry, self.one)
        self.one.observer = self.metrics

    def elector(self, name: str) -> Elector:
        clock = HostClock(self.world)
        candidate = RegisterCandidate(name, MemoryRegister(self.store), terms=TERMS, clock=clock)
        return Elector("publisher", candidate, terms=TERMS, clock=clock)

    def value(self, name: str) -> float | None:
        return self.registry.get_sample_value(f"oracle_{name}", {"lease": "publisher"})


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_metrics_follow_the_lead(stage: Stage) -> None:
    assert stage.value("leader") == 0
    assert stage.value("lease_seconds") == 6
    await stage.one.stand()
    assert (stage.value("leader"), stage.value("leader_token"), stage.value("leader_terms_total")) == (1, 1, 1)
    stage.world.time += 2.0
    assert stage.value("leaderless_seconds") == 0
    stage.world.time += 4.0
    assert stage.value("leader") == 0, "by the clock, without a word from anybody"
    assert stage.value("leaderless_seconds") == 6.0
    await stage.one.stand()
    assert (stage.value("leader_token"), stage.value("leader_terms_total")) == (2, 2)


async def test_refusals_of_the_fence_are_counted(stage: Stage) -> None:
    assert stage.value("fence_refusals_total") == 0
    stage.metrics.refused()
    assert stage.value("fence_refusals_total") == 1


async def test_health_says_who_leads(stage: Stage) -> None:
    assert leadership_health(stage.one).detail == "standby; nobody yet leads"
    await stage.one.stand()
    await stage.two.stand()
    assert leadership_health(stage.one).detail == "leads in term 1"
    health = leadership_health(stage.two)
    assert (health.status, health.detail) == (Status.OK, "standby; one leads")


async def test_a_standby_that_sees_no_leader_for_long_is_not_well(stage: Stage) -> None:
    stage.world.time += 3 * TERMS.duration + 1
    health = leadership_health(stage.two)
    assert (health.status, health.detail) == (Status.DEGRADED, "standby; nobody was seen to lead for 19 s")


# ---- settings --------------------------------------------------------------------------------------------------------


def test_one_word_is_enough() -> None:
    settings = validate_settings(ReplicaSettings, {"lease": "database"})
    assert (settings.lease, settings.duration, settings.renew, settings.name) == (Lease.DATABASE, 6.0, 1.5, None)


def test_without_it_there_is_one_publisher() -> None:
    assert OracleSettings().replicas is None


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"lease": "redis"}, "lease"),
        ({"lease": "database", "duration": "500ms"}, "duration"),
        ({"lease": "database", "duration": "2m"}, "duration"),
        ({"lease": "database", "duration": "4s", "renew": "2s"}, "three renewals must fit into duration"),
        ({"lease": "kubernetes", "name": "Publisher"}, "name"),
        ({"lease": "kubernetes", "kubernetes": {"namespace": "a b"}}, "namespace"),
        ({"lease": "database", "holder": "me"}, "holder"),
    ],
)
def test_what_cannot_work_is_refused(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        validate_settings(ReplicaSettings, values)


def test_a_takeover_must_fit_into_every_heartbeat() -> None:
    feed = {"chain": "home", "aggregator": "0x" + "11" * 20, "deviation": "1%", "heartbeat": "10s"}
    values: dict[str, Any] = {
        "signer": {"private_key_env": "K"},
        "feeds": [feed],
        "replicas": {"lease": "database", "duration": "6s"},
    }
    with pytest.raises(SettingsError, match=r"too long for the heartbeat of feeds\[0\]"):
        validate_settings(OracleSettings, values)
    values["replicas"]["duration"] = "5s"
    assert validate_settings(OracleSettings, values).replicas is not None
