"""What a process joins: the port for producers, health checks as findings, receivers of the settings."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from seamark.app.alerts import Alerts, HealthWatch, health_findings, links_of, open_alerting
from seamark.core.errors import SettingsError
from seamark.core.findings import Severity
from seamark.monitoring.alerts import store
from seamark.monitoring.notifications.service import Notifier
from seamark.runtime.events import Signal
from seamark.runtime.health import Health, HealthRegistry
from seamark.runtime.http import make_session
from seamark.settings import Settings
from seamark.storage.database import Database, open_database
from tests.support.clock import FakeClock
from tests.unit.monitoring.makers import finding

CHAINS = {"besu": 138, "anvil": 31337}


def check(status: str, detail: str = "", *, required: bool = True) -> dict[str, Any]:
    return {"status": status, "detail": detail, "required": required}


def settings(**values: Any) -> Settings:
    chains = {name: {"chain_id": number, "rpc": ["http://127.0.0.1:1"]} for name, number in CHAINS.items()}
    return Settings.model_validate({"chains": chains, **values})


async def open_it(
    database: Database, wanted: list[str], registry: CollectorRegistry | None = None, **values: Any
) -> Alerts:
    async with make_session() as session:
        return await open_alerting(
            settings(**values),
            wanted,
            database=database,
            session=session,
            registry=registry or CollectorRegistry(),
            health=HealthRegistry(),
            signal=Signal(),
            clock=FakeClock(),
            environment={"OPS": "http://127.0.0.1:1/x"},
        )


def test_what_is_well_is_no_finding() -> None:
    assert health_findings({"database": check("ok"), "chain besu": check("ok")}, CHAINS) == []


def test_a_chain_that_no_endpoint_reads() -> None:
    (found,) = health_findings({"chain besu": check("down", "no endpoint answers")}, CHAINS)
    assert (found.kind, found.subject, found.severity) == ("chain_unreachable", "138", Severity.CRITICAL)
    assert (found.group, dict(found.labels)) == ("chain besu", {"chain": "besu"})
    assert "chains.besu.rpc" in found.remedy


def test_other_checks_are_named_as_health_names_them() -> None:
    checks = {
        "database": check("down", "disk full"),
        "ccip-monitor:anvil": check("degraded", "12 blocks behind"),
        "oracle": check("down", "no answer", required=False),
        "chain anvil": check("degraded", "1 of 2 endpoints"),
    }
    found = {item.subject: item for item in health_findings(checks, CHAINS)}
    assert {name: item.kind for name, item in found.items()} == {
        "database": "service_down",
        "ccip-monitor:anvil": "service_degraded",
        "oracle": "service_down",
        "chain anvil": "service_degraded",
    }
    assert found["database"].severity is Severity.CRITICAL
    assert found["oracle"].severity is Severity.WARNING, "the process is ready without it"
    assert found["ccip-monitor:anvil"].labels == {"chain": "anvil"}
    assert found["database"].text == "disk full"


async def test_the_watch_reports_what_the_checks_say() -> None:
    database = await open_database("sqlite://")
    clock, health = FakeClock(), HealthRegistry()
    alerts = Alerts(Settings().alerts.policy(), clock, [])
    answers = [Health.down("no endpoint answers"), Health.ok()]

    async def ask() -> Health:
        return answers[0]

    health.register("chain besu", ask)
    watch = HealthWatch(["oracle"], alerts, health=health, chains=CHAINS, database=database, clock=clock)
    await watch.turn()
    assert await database.read(store.open_alerts) == [], "a restart of a node is no alert"
    clock.advance(61)
    await watch.turn()
    await database.write(lambda c: store.settle_due(c, round(clock.now() * 1000), policy=alerts.policy))
    (alert,) = await database.read(store.open_alerts)
    assert alert.kind == "chain_unreachable"
    answers.pop(0)
    await watch.turn()
    assert await database.read(store.open_alerts) == []
    (source,) = await database.read(store.list_sources)
    assert (source.name, source.every_ms) == ("health of oracle", 15_000)
    await database.close()


async def test_the_port_is_part_of_the_caller_s_unit_of_work() -> None:
    database = await open_database("sqlite://")
    alerts = await open_it(database, ["oracle"])

    def fails(connection: Any) -> None:
        alerts.report(connection, "judge", [finding()])
        raise KeyError

    with pytest.raises(KeyError):
        await database.write(fails)
    assert await database.read(store.open_alerts) == []
    await database.write(lambda c: alerts.report(c, "judge", [finding()], every_s=10))
    assert len(await database.read(store.open_alerts)) == 1
    await database.close()


async def test_every_process_has_a_notifier_and_those_with_services_a_watch() -> None:
    database = await open_database("sqlite://")
    registry = CollectorRegistry()
    assert [service.name for service in (await open_it(database, [])).services] == ["alerts"]
    alerts = await open_it(database, ["oracle"], registry)
    assert [service.name for service in alerts.services] == ["alerts", "health-watch"]
    notifier = alerts.services[0]
    assert isinstance(notifier, Notifier)
    await notifier.turn()
    assert "seamark_notifier_leads 1.0" in generate_latest(registry).decode()
    await database.close()


async def test_a_receiver_that_cannot_work_stops_the_start() -> None:
    database = await open_database("sqlite://")
    wrong = {"receivers": [{"name": "ops", "webhook": {"env": "MISSING"}}]}
    with pytest.raises(SettingsError, match=r"alerts\.receivers\[0\]\.webhook\.env: the variable MISSING"):
        await open_it(database, [], alerts=wrong)
    right = {"receivers": [{"name": "ops", "webhook": {"env": "OPS"}}]}
    assert (await open_it(database, [], alerts=right)).services
    await database.close()


def test_links_lead_to_the_page_unless_it_is_served_elsewhere() -> None:
    assert links_of(settings()).portal == "http://127.0.0.1:8400"
    assert links_of(settings(alerts={"portal": "https://p.example"})).alert(7) == "https://p.example/#/alerts/7"
    assert links_of(settings()).section("cursed") == "docs/runbooks/alerts.md#cursed"
