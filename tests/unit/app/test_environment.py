from collections.abc import Callable

import pytest

from seamark.app import environment
from seamark.app.environment import settings_from_environment
from seamark.core.errors import SettingsError
from seamark.core.ids import ChainId
from seamark.core.units import Seconds
from seamark.oracle.settings import ENVIRONMENT_CHAIN
from seamark.runtime.clock import Clock
from tests.support.clock import FakeClock

FEED = {
    "RPC_URL": "https://user:hunter2@node.example/v3/key",
    "AGGREGATOR_ADDRESS": "0x5fbdb2315678afecb367f032d93f642f64180aa3",
    "PRIVATE_KEY": "0x" + "11" * 32,
    "HEARTBEAT": "3600",
    "DEVIATION_THRESHOLD": "0.5%",
}
ROUTER = "0xdc64a140aa3e981100a9beca4e685f962f0cf6c9"
MONITOR = {"RPC_URL": "http://node", "CCIP_ROUTER_ADDRESS": ROUTER, "MONITORING_INTERVAL": "20"}


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """A node of chain 138; who asked it, with how much patience."""
    asked: list[tuple[str, float]] = []

    async def chain_id(url: str, limit_s: float, clock: Clock) -> ChainId:
        asked.append((url, limit_s))
        return ChainId(138)

    monkeypatch.setattr(environment, "_chain_id", chain_id)
    return asked


async def test_five_variables_are_a_publisher(node: list[tuple[str, float]]) -> None:
    found = await settings_from_environment(["oracle"], FEED, clock=FakeClock())
    settings = found.settings
    (feed,) = settings.oracle.feeds
    assert (feed.chain, str(feed.aggregator)) == (ENVIRONMENT_CHAIN, FEED["AGGREGATOR_ADDRESS"])
    assert feed.heartbeat == Seconds(3600)
    assert settings.chains[ENVIRONMENT_CHAIN].chain_id == 138
    assert settings.oracle.signer is not None
    assert settings.oracle.signer.private_key_env == "PRIVATE_KEY"
    assert node == [(FEED["RPC_URL"], 15.0)]
    assert found.names["oracle.feeds[0].aggregator"] == "AGGREGATOR_ADDRESS"
    assert found.names[f"chains.{ENVIRONMENT_CHAIN}.rpc"] == "RPC_URL"
    assert "hunter2" not in repr(found)


async def test_three_variables_are_a_monitor(node: list[tuple[str, float]]) -> None:
    found = await settings_from_environment(["ccip-monitor"], MONITOR, clock=FakeClock())
    (item,) = found.settings.ccip.chains
    assert (item.chain, item.router, item.start_block) == ("chain-138", ROUTER, None)
    assert found.settings.chains["chain-138"].poll_interval == Seconds(20)
    assert found.names["ccip.chains[0].router"] == "CCIP_ROUTER_ADDRESS"
    assert found.names["chains.chain-138.selector"] == "CCIP_CHAIN_SELECTOR"


async def test_both_in_one_process(node: list[tuple[str, float]]) -> None:
    variables = {**MONITOR, **FEED, "CCIP_CHAIN_SELECTOR": "13801380138013801380", "CCIP_START_BLOCK": "7"}
    settings = (await settings_from_environment(["oracle", "ccip-monitor"], variables, clock=FakeClock())).settings
    assert set(settings.chains) == {ENVIRONMENT_CHAIN, "chain-138"}
    assert settings.chains["chain-138"].selector == 13801380138013801380
    assert settings.ccip.chains[0].start_block == 7


async def test_the_api_needs_nothing_and_takes_what_is_general(node: list[tuple[str, float]]) -> None:
    general = {
        "SEAMARK_DATABASE": "sqlite://",
        "START_TIMEOUT": "1m",
        "API_HOST": "0.0.0.0",
        "API_PORT": "1",
        "METRICS_PORT": "2",
        "METRICS_HOST": "::1",
        "HEALTH_HOST": "h",
        "HEALTH_PORT": "3",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "debug",
    }
    settings = (await settings_from_environment(["api"], general)).settings
    assert (settings.database, settings.start_timeout) == ("sqlite://", Seconds(60))
    assert (settings.api.host, settings.api.port) == ("0.0.0.0", 1)
    assert (settings.metrics.host, settings.metrics.port) == ("::1", 2)
    assert (settings.health.host, settings.health.port) == ("h", 3)
    assert (settings.logs.form, settings.logs.level) == ("json", "debug")
    assert (await settings_from_environment(["api"], {})).settings.api.port == 8400
    assert node == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"METRICS_PORT": "eight"}, "METRICS_PORT: is no whole number; write digits alone"),
        ({"HEALTH_PORT": "99999"}, "HEALTH_PORT: must be less than or equal to 65535"),
        ({"START_TIMEOUT": "15"}, "START_TIMEOUT: "),
        ({"CCIP_CHAIN_SELECTOR": "x"}, "CCIP_CHAIN_SELECTOR: 'x' is no chain selector; write a decimal uint64"),
        ({"CCIP_START_BLOCK": "-1"}, "CCIP_START_BLOCK: "),
        ({"CCIP_ROUTER_ADDRESS": ""}, "CCIP_ROUTER_ADDRESS: is not set; export CCIP_ROUTER_ADDRESS="),
        ({"RPC_URL": " "}, "RPC_URL: is not set; export RPC_URL=http://127.0.0.1:8545"),
        ({"RPC_URL": "wss://u:hunter2@node"}, "RPC_URL: 'wss://node' is no node address; write http://host:port"),
    ],
)
async def test_what_is_malformed_is_told_without_asking_the_node(
    node: list[tuple[str, float]], change: dict[str, str], line: str
) -> None:
    with pytest.raises(SettingsError) as error:
        await settings_from_environment(["ccip-monitor"], {**MONITOR, **change})
    assert str(error.value).startswith(line)
    assert node == []


def malformed() -> None:
    raise SettingsError("HEARTBEAT", "is wrong")


async def test_errors_that_already_name_the_variable_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    reader: Callable[..., None] = lambda _: malformed()  # noqa: E731
    monkeypatch.setattr(environment, "oracle_from_environment", reader)
    with pytest.raises(SettingsError, match=r"^HEARTBEAT: is wrong$"):
        await settings_from_environment(["oracle"], FEED)
