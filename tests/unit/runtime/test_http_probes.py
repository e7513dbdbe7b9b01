from __future__ import annotations

import socket

import pytest

from seamark.core.errors import SettingsError
from seamark.runtime.health import Health, HealthRegistry
from seamark.runtime.http import make_session
from seamark.runtime.http_probes import Listen, ProbeServer

HOST = "127.0.0.1"


def server(health: HealthRegistry | None = None, *, metrics_port: int = 0, health_port: int = 0) -> ProbeServer:
    return ProbeServer(
        metrics=lambda: b"oracle_updates_sent_total 3\n",
        health=health or HealthRegistry(),
        metrics_at=Listen(HOST, metrics_port, "metrics.port"),
        health_at=Listen(HOST, health_port, "health.port"),
    )


def registry(answer: Health) -> HealthRegistry:
    health = HealthRegistry()

    async def check() -> Health:
        return answer

    health.register("database", check)
    return health


async def get(port: int, path: str):
    async with make_session() as session, session.get(f"http://{HOST}:{port}{path}") as response:
        return response.status, response.content_type, await response.text()


async def test_metrics() -> None:
    async with server() as probes:
        status, kind, text = await get(probes.metrics_port, "/metrics")
        assert (status, kind, text) == (200, "text/plain", "oracle_updates_sent_total 3\n")
        assert probes.metrics_port != probes.health_port
        assert (await get(probes.metrics_port, "/health"))[0] == 404
        assert (await get(probes.health_port, "/metrics"))[0] == 404


@pytest.mark.parametrize(
    ("answer", "status", "word"),
    [(Health.ok(), 200, "ok"), (Health.degraded("slow"), 200, "degraded"), (Health.down("gone"), 503, "down")],
)
async def test_health(answer: Health, status: int, word: str) -> None:
    async with server(registry(answer)) as probes:
        assert (await get(probes.health_port, "/health/live"))[0] == 200
        for path in ("/health", "/health/ready"):
            got, kind, text = await get(probes.health_port, path)
            assert (got, kind) == (status, "application/json")
            assert f'"{word}"' in text
        assert "database" in (await get(probes.health_port, "/health"))[2]


async def test_one_port_for_both() -> None:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    async with server(metrics_port=port, health_port=port) as probes:
        assert probes.metrics_port == probes.health_port == port
        assert (await get(port, "/metrics"))[0] == 200
        assert (await get(port, "/health/live"))[0] == 200


@pytest.mark.parametrize("setting", ["metrics.port", "health.port"])
async def test_a_taken_port_names_its_setting(setting: str) -> None:
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        holder.listen()
        port = holder.getsockname()[1]
        ports = {"metrics_port": port} if setting == "metrics.port" else {"health_port": port}
        probes = server(**ports)
        with pytest.raises(SettingsError, match=f"{port} on {HOST} is taken; stop what listens there") as caught:
            await probes.start()
        assert caught.value.setting == setting
        assert not probes._runners, "nothing is left listening"


async def test_an_address_that_is_not_ours() -> None:
    probes = ProbeServer(
        metrics=lambda: b"",
        health=HealthRegistry(),
        metrics_at=Listen("192.0.2.1", 0, "metrics.host"),
        health_at=Listen(HOST, 0, "health.port"),
    )
    with pytest.raises(SettingsError, match=r"cannot listen on 192\.0\.2\.1"):
        await probes.start()


async def test_stopping_twice_is_fine() -> None:
    probes = server()
    await probes.start()
    await probes.stop()
    await probes.stop()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST.:8000", 200),
        ("127.0.0.1:9", 200),
        ("127.8.8.8", 200),
        ("[::1]:8000", 200),
        ("rebound.example", 421),
        ("127.0.0.1.rebound.example", 421),
        ("localhost.rebound.example:8000", 421),
        ("192.168.1.7", 421),
    ],
)
async def test_on_loopback_only_its_own_names_are_answered(host: str, status: int) -> None:
    async with server(registry(Health.ok())) as probes, make_session() as session:
        for port, path in ((probes.metrics_port, "/metrics"), (probes.health_port, "/health")):
            async with session.get(f"http://{HOST}:{port}{path}", headers={"Host": host}) as response:
                assert response.status == status


async def test_beyond_loopback_the_network_decides_who_asks() -> None:
    probes = ProbeServer(
        metrics=lambda: b"",
        health=registry(Health.ok()),
        metrics_at=Listen("0.0.0.0", 0, "metrics.port"),
        health_at=Listen("0.0.0.0", 0, "health.port"),
    )
    async with probes, make_session() as session:
        url = f"http://{HOST}:{probes.health_port}/health"
        async with session.get(url, headers={"Host": "10.42.0.7:8080"}) as response:
            assert response.status == 200
