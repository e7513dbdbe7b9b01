"""Binding, and errors of binding that name the setting."""

from __future__ import annotations

import asyncio
import signal
import socket

import aiohttp
import pytest

from seamark.api.service import ApiService, bind_socket
from seamark.api.settings import ApiSettings
from seamark.core.errors import SettingsError
from tests.support.browser import serving
from tests.unit.api.fakes import Story


def test_a_port_in_use_names_the_setting_and_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"api\.port: 127\.0\.0\.1:{port} is already in use; .*another port"):
            bind_socket(ApiSettings(port=port))


@pytest.mark.parametrize("host", ["not a host", "203.0.113.7"])
def test_a_host_that_is_not_ours_names_the_setting(host: str) -> None:
    with pytest.raises(SettingsError, match=r"^api\.host: "):
        bind_socket(ApiSettings(host=host, port=0))


def test_defaults_are_loopback_and_clear_of_the_other_ports() -> None:
    settings = ApiSettings()
    assert settings.host == "127.0.0.1"
    assert settings.port not in {8000, 8080, 8545, 8546}


async def test_it_tells_where_it_really_listens(story: Story, client: aiohttp.ClientSession) -> None:
    async with serving(story) as api:
        host, port = api.service.address
        assert host == "127.0.0.1"
        assert port > 0
        assert api.service.url == f"http://127.0.0.1:{port}/"
        async with client.get(f"{api.service.url}health/live") as response:
            assert response.status == 200


def test_the_address_is_unknown_before_it_is_bound() -> None:
    with pytest.raises(RuntimeError, match="not bound"):
        _ = ApiService(ApiSettings(), None).address  # type: ignore[arg-type]


async def test_the_process_keeps_its_signal_handlers(story: Story, client: aiohttp.ClientSession) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with serving(story) as api:
        async with client.get(f"{api.url}/health/live") as response:
            assert response.status == 200
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_it_can_be_run_again_on_the_same_port(story: Story, client: aiohttp.ClientSession) -> None:
    async with serving(story) as api:
        async with client.get(f"{api.url}/health/live") as response:
            assert response.status == 200
        port = api.service.address[1]
        await api.stop()
        async with serving(story, port=port) as again, client.get(f"{again.url}/health/live") as response:
            assert response.status == 200


async def test_the_same_service_can_be_started_again(story: Story, client: aiohttp.ClientSession) -> None:
    async with serving(story) as api:
        async with client.get(f"{api.url}/health/live") as response:
            assert response.status == 200
        await api.stop()
        task = asyncio.create_task(api.service.run())
        async with asyncio.timeout(5):
            while True:
                await asyncio.sleep(0.01)
                try:
                    async with client.get(f"{api.url}/health/live") as response:
                        assert response.status == 200
                        break
                except aiohttp.ClientConnectorError:
                    continue
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
