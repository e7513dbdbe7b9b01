"""The failsafe: once per incident, tried again where it failed, never against a person's will."""

from __future__ import annotations

import pytest

from seamark.core.errors import RejectedError, TemporaryError
from seamark.messages.protocols.op_interop.failsafe import Failsafe
from seamark.messages.protocols.op_interop.store import close_incident, list_incidents
from tests.support.interop import Bed, executing, initiating


class Endpoint:
    def __init__(self, label: str) -> None:
        self.label = label
        self.enabled = False
        self.calls = 0
        self.failures: list[Exception] = []

    async def set_failsafe(self, *, enabled: bool) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.calls += 1
        self.enabled = enabled

    async def get_failsafe(self) -> bool:
        return self.enabled


def service(bed: Bed, *endpoints: Endpoint) -> Failsafe:
    return Failsafe(endpoints, trigger=True, database=bed.database, metrics=bed.metrics, clock=bed.clock, interval_s=1)


async def bad_message(bed: Bed, payload: bytes = b"x") -> None:
    bed[902].mine(executing(bed[901].mine(initiating(payload)), log_index=9))
    await bed.follow()


async def close(bed: Bed) -> None:
    await bed.database.write(lambda c: close_incident(c, "ada", "dealt with", now_ms=bed.now_ms))


async def test_every_endpoint_is_called_once_however_often_it_is_looked_at() -> None:
    bed, one, two = Bed(901, 902), Endpoint("a"), Endpoint("b")
    await bad_message(bed)
    failsafe = service(bed, one, two)
    for _ in range(5):
        await failsafe.look()
    assert (one.calls, two.calls) == (1, 1)


async def test_nor_again_after_a_restart() -> None:
    bed, endpoint = Bed(901, 902), Endpoint("a")
    await bad_message(bed)
    await service(bed, endpoint).look()
    await service(bed, endpoint).look()
    assert endpoint.calls == 1


async def test_further_messages_join_the_open_incident() -> None:
    bed, endpoint = Bed(901, 902), Endpoint("a")
    failsafe = service(bed, endpoint)
    for payload in (b"one", b"two", b"three"):
        await bad_message(bed, payload)
        await failsafe.look()
    (incident,) = list_incidents(bed.database.connection)
    assert (incident.jobs, endpoint.calls, list(incident.calls)) == (3, 1, ["a"])


@pytest.mark.parametrize("error", [TemporaryError("no answer"), RejectedError("not allowed")])
async def test_one_that_fails_is_tried_again_and_the_other_is_not(error: Exception) -> None:
    bed, good, bad = Bed(901, 902), Endpoint("good"), Endpoint("bad")
    bad.failures = [error, error]
    await bad_message(bed)
    failsafe = service(bed, good, bad)
    for _ in range(4):
        await failsafe.look()
    assert (good.calls, bad.calls) == (1, 1)


async def test_a_person_who_switches_it_off_is_not_overruled() -> None:
    bed, endpoint = Bed(901, 902), Endpoint("a")
    await bad_message(bed)
    failsafe = service(bed, endpoint)
    await failsafe.look()
    endpoint.enabled = False
    await failsafe.look()
    assert not endpoint.enabled


async def test_after_closing_only_a_new_message_opens_another_incident() -> None:
    bed, endpoint = Bed(901, 902), Endpoint("a")
    failsafe = service(bed, endpoint)
    await bad_message(bed)
    await failsafe.look()
    await close(bed)
    await bed.safe(902, 1)
    await bed.finalize()
    await failsafe.look()
    assert endpoint.calls == 1, "the same message, looked at again, is the same incident"
    await bad_message(bed, b"another")
    await failsafe.look()
    assert (endpoint.calls, len(list_incidents(bed.database.connection))) == (2, 2)


async def test_closing_twice_does_nothing() -> None:
    bed = Bed(901, 902)
    await bad_message(bed)
    await close(bed)
    await close(bed)
    (incident,) = list_incidents(bed.database.connection)
    assert (incident.closed_by, incident.why) == ("ada", "dealt with")


async def test_health_tells_what_is_silent() -> None:
    class Silent(Endpoint):
        async def get_failsafe(self) -> bool:
            raise TemporaryError("no answer")

    bed = Bed(901, 902)
    failsafe = service(bed, Silent("a"), Endpoint("b"))
    assert "armed" in (await failsafe.health()).detail
    await failsafe.look()
    assert (await failsafe.health()).detail == "a: no answer"
