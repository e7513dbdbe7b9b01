import asyncio

import pytest

from seamark.runtime import health as module
from seamark.runtime.health import Health, HealthRegistry, Status


def answering(answer: Health):
    async def check() -> Health:
        return answer

    return check


async def test_ready_when_every_required_check_is_not_down() -> None:
    registry = HealthRegistry()
    registry.register("database", answering(Health.ok("sqlite")))
    registry.register("node", answering(Health.degraded("20 blocks behind")))
    report = await registry.report()
    assert report["ready"] is True
    assert report["status"] is Status.DEGRADED
    assert report["checks"]["node"] == {"status": "degraded", "detail": "20 blocks behind", "required": True}


@pytest.mark.parametrize(("required", "ready", "status"), [(True, False, Status.DOWN), (False, True, Status.DEGRADED)])
async def test_only_required_checks_deny_readiness(required: bool, ready: bool, status: Status) -> None:
    registry = HealthRegistry()
    registry.register("venues", answering(Health.down("no venue answers")), required=required)
    report = await registry.report()
    assert (report["ready"], report["status"]) == (ready, status)


async def test_a_check_that_raises_is_down_and_says_why() -> None:
    async def check() -> Health:
        raise ConnectionRefusedError("nobody listens")

    registry = HealthRegistry()
    registry.register("node", check)
    report = await registry.report()
    assert report["checks"]["node"]["detail"] == "ConnectionRefusedError: nobody listens"
    assert report["ready"] is False


async def test_a_check_that_hangs_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> Health:
        await asyncio.Event().wait()
        return Health.ok()

    monkeypatch.setattr(module, "CHECK_TIMEOUT_S", 0.01)
    registry = HealthRegistry()
    registry.register("node", check)
    assert (await registry.report())["checks"]["node"]["status"] == Status.DOWN


async def test_nothing_registered_is_well() -> None:
    assert await HealthRegistry().report() == {"status": Status.OK, "ready": True, "checks": {}}
