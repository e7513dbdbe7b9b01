"""The whole of a settings file: what refers to what, defaults, and the examples that we ship."""

from pathlib import Path

import pytest

from seamark.core.errors import SettingsError
from seamark.runtime.settings import SettingsProblems
from seamark.settings import Settings, load

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "deploy" / "examples").glob("*.yaml"))
ADDRESS = "0x5fbdb2315678afecb367f032d93f642f64180aa3"
CHAINS = "chains:\n  home: {chain_id: 138, rpc: [http://node], selector: 1}\n"
FEED = f"{{chain: CHAIN, aggregator: '{ADDRESS}', heartbeat: 1h, deviation: 1%}}"


@pytest.fixture
def read(tmp_path: Path):
    def run(text: str, **environment: str) -> Settings:
        file = tmp_path / "seamark.yaml"
        file.write_text(text)
        return load(file, environment)

    return run


def test_defaults_listen_on_loopback_alone(read) -> None:
    settings = read("")
    assert {settings.api.host, settings.metrics.host, settings.health.host} == {"127.0.0.1"}
    assert (settings.api.port, settings.metrics.port, settings.health.port) == (8400, 8000, 8080)
    assert settings.database == "sqlite:///.seamark/seamark.db"
    assert settings.logs.form == "auto"


@pytest.mark.parametrize(
    ("part", "setting"),
    [
        (f"oracle: {{signer: {{private_key_env: K}}, feeds: [{FEED}]}}", "oracle.feeds[0].chain"),
        (f"oracle: {{watch: [{{name: A, chain: CHAIN, address: '{ADDRESS}'}}]}}", "oracle.watch[0].chain"),
        (f"ccip: {{chains: [{{chain: CHAIN, router: '{ADDRESS}'}}]}}", "ccip.chains[0].chain"),
    ],
)
def test_a_chain_is_named_where_it_is_defined(read, tmp_path: Path, part: str, setting: str) -> None:
    assert "home" in read(CHAINS + part.replace("CHAIN", "home")).chains
    with pytest.raises(SettingsError) as error:
        read(CHAINS + part.replace("CHAIN", "hoem"))
    assert str(error.value) == f"{tmp_path}/seamark.yaml: {setting}: there is no chain 'hoem'; chains: home"
    with pytest.raises(SettingsError, match="chains: none is defined"):
        read(part.replace("CHAIN", "home"))


def test_secrets_come_from_the_environment_and_are_not_shown(read) -> None:
    text = (
        CHAINS.replace("http://node", "'${NODE}'") + "database: ${DATABASE}\noracle: {signer: {private_key: '${KEY}'}}"
    )
    settings = read(
        text, NODE="https://u:nodepass@node/v3/pathkey", DATABASE="postgresql://u:dbpass@h/n", KEY="0xsecretkey"
    )
    assert settings.database == "postgresql://u:dbpass@h/n"
    shown = repr(settings) + str(settings) + settings.model_dump_json(exclude={"database"})
    assert not [secret for secret in ("nodepass", "pathkey", "dbpass", "secretkey") if secret in shown]


def test_every_mistake_of_a_file_is_found_at_once(read) -> None:
    with pytest.raises(SettingsProblems) as error:
        read("api: {port: x}\nmetrics: {prot: 1}\nchains: {a: {chain_id: 0, rpc: [nowhere]}}")
    assert [problem.setting for problem in error.value.problems] == [
        "api.port", "metrics.prot", "chains.a.chain_id", "chains.a.rpc[0]",
    ]  # fmt: skip


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_our_examples_are_right(file: Path) -> None:
    environment = {
        "NODE_URL": "https://node.example/key",
        "REMOTE_NODE_URL": "https://other.example",
        "DATABASE_URL": "sqlite://",
    }
    settings = load(file, environment)
    assert settings.chains
    assert settings.oracle.feeds or settings.ccip.chains


def test_there_are_examples() -> None:
    assert {file.stem for file in EXAMPLES} == {"publisher", "monitor", "all-in-one"}
