"""Two monitors of one protocol on one database, each with chains of its own: neither takes back what the other says."""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry

from seamark.app.alerts import Alerts, HealthWatch
from seamark.app.judging import open_judging
from seamark.core.ids import ChainId, Selector
from seamark.messages.judgement.settings import JudgeSettings
from seamark.messages.metrics import MessageMetrics
from seamark.messages.protocols.ccip import CcipProtocol
from seamark.messages.protocols.ccip.protocol import CcipChain
from seamark.messages.protocols.op_interop.settings import InteropSettings
from seamark.messages.protocols.op_interop.store import list_jobs, undecided
from seamark.messages.protocols.op_interop.watch import Watch
from seamark.monitoring.alerts import store
from seamark.monitoring.alerts.model import Scope
from seamark.runtime.events import Signal
from seamark.runtime.health import Health, HealthRegistry
from seamark.settings import Settings
from seamark.storage.database import open_database
from tests.support.clock import FakeClock
from tests.support.interop import Bed, executing, initiating

ROUTER = "0x" + "11" * 20


def beside(bed: Bed, *chain_ids: int) -> Bed:
    """Another monitor's chains, on the same database."""
    other = Bed(*chain_ids)
    other.database.connection.close()
    other.database, other.clock = bed.database, bed.clock
    other.start()
    return other


def watch(bed: Bed) -> Watch:
    alerts = Alerts(Settings().alerts.policy(), bed.clock, [])
    scope = Scope.of({str(chain): f"l2-{chain}" for chain in bed.read})
    return Watch(
        network=bed.network,
        settings=InteropSettings(),
        chains=bed.read,
        database=bed.database,
        metrics=bed.metrics,
        report=partial(alerts.report, scope=scope),
        failsafe=None,
        clock=bed.clock,
    )


async def subjects(bed: Bed) -> list[str]:
    return sorted(alert.subject for alert in await bed.database.read(store.open_alerts))


async def test_interop_monitors_tell_of_their_own_chains_alone() -> None:
    first = Bed(901, 902)
    second = beside(first, 903, 904)
    for bed, here, there in ((first, 901, 902), (second, 903, 904)):
        bed[there].mine(executing(bed[here].mine(initiating()), log_index=4))
        await bed.follow()
    await watch(first).look()
    await watch(second).look()
    await watch(first).look()
    assert await subjects(first) == ["902:901:no_log:unsafe", "904:903:no_log:unsafe"]
    first[902].rollback(1)
    first[902].mine()
    await first.follow()
    await watch(first).look()
    await watch(second).look()
    assert await subjects(first) == ["904:903:no_log:unsafe"]


async def test_what_points_to_the_other_monitor_s_chain_is_decided_there() -> None:
    first = Bed(901, 902, read=[901])
    second = Bed(901, 902, read=[902])
    second.chains = first.chains
    second.database.connection.close()
    second.database = first.database
    second.start()
    first[902].mine(executing(first[901].mine(initiating())))
    await first.follow()
    await second.tell(902)
    await second.check()
    await first.check()
    (job,) = await first.database.read(list_jobs)
    assert job.status == "valid", "its own monitor does not read 901, and left it to the one that does"
    assert await first.database.read(lambda c: undecided(c, before_ms=10**15)) == []


async def test_judges_report_under_the_names_of_their_chains() -> None:
    database = await open_database("sqlite://")
    clock = FakeClock()
    alerts = Alerts(Settings().alerts.policy(), clock, [])
    for number, name in ((1, "besu"), (2, "anvil")):
        protocol = CcipProtocol([CcipChain(ChainId(number), Selector(number), name, ROUTER, None, "ccip.chains[0]")])  # type: ignore[arg-type]
        registry = CollectorRegistry()
        judging = open_judging(
            protocol,
            settings=JudgeSettings(),
            readers={},
            messages=MessageMetrics(protocol, registry),
            alerts=alerts,
            database=database,
            registry=registry,
            signal=Signal(),
            clock=clock,
        )
        await judging.judge.look()
    assert [item.name for item in await database.read(store.list_sources)] == [
        "ccip-judge on anvil",
        "ccip-judge on besu",
    ]
    await database.close()


async def test_the_health_of_two_processes_is_two_things() -> None:
    database = await open_database("sqlite://")
    clock = FakeClock()
    alerts = Alerts(Settings().alerts.policy(), clock, [])
    for answer, chain in ((Health.down("no"), "besu"), (Health.ok(), "anvil")):
        health = HealthRegistry()

        async def ask(answer: Health = answer) -> Health:
            return answer

        health.register(f"ccip-monitor:{chain}", ask)
        scope = Scope.of({chain: chain})
        chains = {"besu": 1, "anvil": 2}
        one = HealthWatch(
            ["ccip-monitor"], alerts, health=health, chains=chains, database=database, clock=clock, scope=scope
        )
        await one.turn()
    clock.advance(121)
    await database.write(lambda c: store.settle_due(c, round(clock.now() * 1000), policy=alerts.policy))
    assert [alert.subject for alert in await database.read(store.open_alerts)] == ["ccip-monitor:besu"]
    await database.close()
