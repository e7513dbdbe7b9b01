"""The careless operator: every mistake is one line that names what was written and what to do, and an exit code.

They call the command inside this process, against real chains; test_process_errors.py starts processes.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from eth_account import Account

from seamark.app import SERVICES
from seamark.cli.main import main
from seamark.demo import PUBLISHER_KEY
from seamark.evm.address import to_checksum
from tests.e2e.conftest import KEY, STRANGER_KEY, RunningDevnet

pytestmark = pytest.mark.timeout(60)

SETTINGS, FAILED = 2, 1
NOBODY = "0x000000000000000000000000000000000000dEaD"
Values = dict[str, Any]


@dataclass(frozen=True)
class Ended:
    """How a command ended. `lines` is what a person reads on standard error: logs are not among them."""

    code: int
    lines: list[str]
    everything: str

    @property
    def line(self) -> str:
        assert len(self.lines) == 1, self.lines
        return self.lines[0]


@pytest.fixture
def seamark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Ended]]:
    """`seamark(*arguments, **environment)`, in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name not in ("PATH", "HOME"):
            monkeypatch.delenv(name)

    def run(*arguments: str, **environment: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["seamark", *arguments])
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        lines = [line for line in printed.err.splitlines() if not line.startswith("{")]
        assert "Traceback" not in printed.err
        return Ended(int(end.value.code or 0), lines, printed.out + printed.err)

    yield run
    structlog.reset_defaults()


def write(values: Values | str, name: str = "seamark.yaml") -> Path:
    file = Path(name)
    file.write_text(values if isinstance(values, str) else yaml.safe_dump(values, sort_keys=False))
    return file


# ---- the file -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("chians: {}", "seamark.yaml:1: chians: unknown setting; did you mean chains?"),
        ("api:\n  prot: 1", "seamark.yaml:2: api.prot: unknown setting; did you mean port?"),
        ("api: {port: eight}", "seamark.yaml:1: api.port: is no whole number; write digits alone"),
        ("api: {port: 70000}", "seamark.yaml:1: api.port: must be less than or equal to 65535"),
        ("api: 8400", "seamark.yaml:1: api: must be a mapping; write below it: host, port, allowed_hosts"),
        (
            "api: {port: 1}\nmetrics: {port: 2}\napi: {port: 3}",
            "seamark.yaml:3: api: is given twice; remove one of them",
        ),
        (
            "database: ${NOWHERE}",
            "seamark.yaml:1: database: the environment variable NOWHERE is not set; export NOWHERE=…",
        ),
        ("start_timeout: 15", "seamark.yaml:1: start_timeout: 15 has no unit: write 250ms, 30s, 5m, 1h30m or 1d"),
        ("start_timeout: -5s", "seamark.yaml:1: start_timeout: '-5s' is negative; a time span is zero or more"),
        ("logs: {level: loud}", "seamark.yaml:1: logs.level: must be 'debug', 'info', 'warning' or 'error'"),
        (
            "- oracle\n- api",
            "seamark.yaml: is no mapping of settings; begin lines with the name of a setting, such as chains:",
        ),
        ("api: {port: [1, 2}", "seamark.yaml:1: not valid YAML: "),
        (
            "api: {port: ${PORT}}",
            (
                "seamark.yaml:1: not valid YAML: expected ',' or '}', but got '{'; "
                'write "${NAME}" in quotes inside [ ] and { }'
            ),
        ),
        ("api:\n\tport: 1", "seamark.yaml:2: not valid YAML: "),
        ("database: 2024-13-45", "seamark.yaml: not valid YAML: "),
        ("a: &a [*a, *a]", "seamark.yaml: is nested too deeply; is this the right file?"),
        pytest.param(
            "a: " + "[" * 5000 + "]" * 5000, "seamark.yaml: is nested too deeply; is this the right file?", id="deep"
        ),
        ("database: '\0'", "seamark.yaml: not valid YAML: special characters are not allowed"),
    ],
)
def test_a_wrong_file_is_one_line_with_its_place(seamark: Callable[..., Ended], text: str, line: str) -> None:
    write(text)
    ended = seamark("run", "api")
    assert ended.code == SETTINGS
    assert ended.line.startswith(f"seamark: {line}")


def test_aliases_cannot_blow_up(seamark: Callable[..., Ended]) -> None:
    laughs = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    laughs += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    write("\n".join(laughs))
    ended = seamark("run", "api")
    assert (ended.code, "more than 100000 values" in ended.line) == (SETTINGS, True)


def test_a_binary_file(seamark: Callable[..., Ended]) -> None:
    Path("seamark.yaml").write_bytes(bytes(range(256)) * 10)
    ended = seamark("run", "api")
    assert ended.code == SETTINGS
    assert "seamark.yaml: is not UTF-8 text; is this the right file?" in ended.line


def test_a_huge_file(seamark: Callable[..., Ended]) -> None:
    write("# " + "x" * 1_000_001)
    ended = seamark("run", "api")
    assert ended.code == SETTINGS
    assert "is larger than 1000000 bytes; is this the right settings file?" in ended.line


def test_an_empty_file_lacks_feeds(seamark: Callable[..., Ended]) -> None:
    write("")
    ended = seamark("run", "oracle")
    assert ended.code == SETTINGS
    assert ended.line.startswith("seamark: oracle.feeds: is empty; add a feed to publish")
    assert "ccip.chains: is empty; add a chain with its router" in seamark("run", "ccip-monitor").line


def test_a_folder_in_place_of_a_file(seamark: Callable[..., Ended]) -> None:
    Path("folder").mkdir()
    ended = seamark("run", "api", "--config", "folder")
    assert (ended.code, ended.line) == (
        SETTINGS,
        "seamark: folder: cannot be read: Is a directory; check the path given with --config",
    )


def test_a_file_that_is_not_there(seamark: Callable[..., Ended]) -> None:
    ended = seamark("run", "api", "--config", "nowhere.yaml")
    assert (ended.code, ended.line) == (SETTINGS, "seamark: --config: there is no file nowhere.yaml; check the path")


def test_check_lists_every_mistake_in_the_order_of_the_file(seamark: Callable[..., Ended]) -> None:
    write("chians: {}\napi: {port: x}\nlogs: {level: loud}")
    ended = seamark("config", "check")
    assert ended.code == SETTINGS
    assert [line.split(": ")[0] for line in ended.lines] == ["seamark.yaml:1", "seamark.yaml:2", "seamark.yaml:3"]
    first = seamark("run", "api").line
    assert "(and 2 more: seamark config check lists all)" in first


def test_check_for_programs(seamark: Callable[..., Ended]) -> None:
    write("chians: {}")
    ended = seamark("config", "check", "--json")
    result = yaml.safe_load(ended.everything)
    assert ended.code == SETTINGS
    assert result["ok"] is False
    assert result["problems"] == [
        {"setting": "chians", "problem": "unknown setting", "remedy": "did you mean chains?", "line": 1}
    ]


def test_check_without_a_file(seamark: Callable[..., Ended]) -> None:
    ended = seamark("config", "check")
    assert (ended.code, ended.line) == (
        SETTINGS,
        "seamark: --config: there is no seamark.yaml here; name a file with --config, or name a service",
    )
    assert "RPC_URL: is not set" in seamark("config", "check", "oracle").line


def test_a_service_that_does_not_exist(seamark: Callable[..., Ended]) -> None:
    ended = seamark("run", "orcale")
    assert (ended.code, ended.line) == (
        SETTINGS,
        f"seamark: SERVICE: there is no service 'orcale'; one of {', '.join(SERVICES)}",
    )


# ---- the world of a file --------------------------------------------------------------------------------------------


def feed(values: Values, **changes: Any) -> Values:
    """Only one feed, changed."""
    only = {**values["oracle"]["feeds"][0], **changes}
    return {**values, "oracle": {**values["oracle"], "feeds": [only], "watch": []}}


def chain(values: Values, name: str, **changes: Any) -> Values:
    return {**values, "chains": {**values["chains"], name: {**values["chains"][name], **changes}}}


def signer(values: Values, **ways: str) -> Values:
    return {**values, "oracle": {**values["oracle"], "signer": ways}}


def router(values: Values, address: str) -> Values:
    return {**values, "ccip": {"chains": [{"chain": "home", "router": address}]}}


@pytest.fixture
def refused(seamark: Callable[..., Ended], devnet: RunningDevnet, tmp_path: Path) -> Callable[..., str]:
    """The one line about the settings that `change` made of good ones; exit code 2."""

    def run(change: Callable[[Values], Values], service: str = "oracle", key: str = KEY) -> str:
        database = f"sqlite:///{tmp_path / 'seamark.db'}"
        write(change(devnet.values(start_timeout="0s", database=database)))
        ended = seamark("run", service, **{PUBLISHER_KEY: key})
        assert ended.code == SETTINGS, ended.everything
        assert key not in ended.everything
        return ended.line.removeprefix("seamark: ")

    return run


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"heartbeat": "-60s"}, "oracle.feeds[0].heartbeat: '-60s' is negative; a time span is zero or more"),
        ({"heartbeat": 60}, "oracle.feeds[0].heartbeat: 60 has no unit: write 250ms, 30s, 5m, 1h30m or 1d"),
        ({"deviation": 0.5}, "oracle.feeds[0].deviation: 0.5 has no unit: write 0.5%, 50bps or 5000000ppb"),
        ({"deviation": "150%"}, "oracle.feeds[0].deviation: must be less than or equal to"),
        ({"aggregator": "0x1234"}, "oracle.feeds[0].aggregator: "),
        ({"chain": "hoem"}, "oracle.feeds[0].chain: there is no chain 'hoem'; chains: home, remote"),
        ({"sources": ["kraken", "karken"]}, "oracle.feeds[0].sources"),
        ({"pair": "LINK/USD"}, "oracle.feeds[0].pair: is LINK/USD, but the contract prices BTC/USD; check"),
        ({"heartbeat_margin": "0.5", "min_price": 1.5}, "oracle.feeds[0]."),
    ],
)  # fmt: skip
def test_a_feed_that_cannot_be(refused: Callable[..., str], change: dict[str, Any], words: str) -> None:
    assert words in refused(lambda values: feed(values, **change))


def test_a_wrong_checksum_shows_the_right_one(refused: Callable[..., str], devnet: RunningDevnet) -> None:
    right = to_checksum(devnet.aggregator)
    wrong = right[:-1] + (right[-1].upper() if right[-1].islower() else right[-1].lower())
    if not right[-1].isalpha():
        wrong = "0x" + right[2:].swapcase()
    line = refused(lambda values: feed(values, aggregator=wrong))
    assert "oracle.feeds[0].aggregator: " in line
    assert right in line


def test_an_address_without_code(refused: Callable[..., str]) -> None:
    line = refused(lambda values: feed(values, aggregator=NOBODY))
    assert line.startswith(f"oracle.feeds[0].aggregator: there is no contract at {NOBODY} on chain 138; check")


def test_a_contract_that_is_no_feed(refused: Callable[..., str], devnet: RunningDevnet) -> None:
    link = devnet.home["link"]
    line = refused(lambda values: feed(values, aggregator=link))
    assert line.startswith("oracle.feeds[0].aggregator: the contract at ")
    assert "is no price feed" in line


def test_a_contract_that_is_no_router(refused: Callable[..., str], devnet: RunningDevnet) -> None:
    line = refused(lambda values: router(values, devnet.home["link"]), "ccip-monitor")
    assert line.startswith("ccip.chains[0].router: ")
    assert "is not a CCIP router" in line
    assert line.endswith("use the address of Router 1.2.0")
    nobody = refused(lambda values: router(values, NOBODY), "ccip-monitor")
    assert nobody.startswith("ccip.chains[0].router: there is no contract at ")


def test_a_private_chain_without_a_selector(refused: Callable[..., str]) -> None:
    line = refused(lambda values: chain(values, "home", selector=None), "ccip-monitor")
    assert line.startswith("chains.home.selector: chain id 138 has no published CCIP selector; set the selector")


def test_a_chain_that_is_not_defined(refused: Callable[..., str]) -> None:
    values = {"ccip": {"chains": [{"chain": "hmoe", "router": NOBODY}]}}
    line = refused(lambda good: {**good, **values}, "ccip-monitor")
    assert line == "seamark.yaml: ccip.chains[0].chain: there is no chain 'hmoe'; chains: home, remote"


def test_another_chain_than_stated(refused: Callable[..., str]) -> None:
    line = refused(lambda values: chain(values, "home", chain_id=139))
    assert line.startswith("chains.home.rpc: ")
    assert "serves chain id 138, but the settings say 139; correct the endpoint's URL or the chain id" in line


def test_a_node_that_is_not_there(refused: Callable[..., str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        line = refused(lambda values: chain(values, "home", rpc=[url]))
    assert line.startswith("chains.home.rpc: no node answers (")
    assert line.endswith("check that the node runs and that the address is right")


def test_an_address_that_is_no_url(refused: Callable[..., str]) -> None:
    line = refused(lambda values: chain(values, "home", rpc=["localhost:8545/secret"]))
    assert "chains.home.rpc[0]: '***' is no node address; write http://host:port or https://…" in line


class _Page(BaseHTTPRequestHandler):
    """A proxy's login page in place of a node."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html><title>Log in</title></html>")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def page() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/key-9c1f"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_web_page_in_place_of_a_node(refused: Callable[..., str], page: str) -> None:
    line = refused(lambda values: chain(values, "home", rpc=[page]))
    assert line.startswith("chains.home.rpc: no node answers (")
    assert "key-9c1f" not in line


# ---- keys -----------------------------------------------------------------------------------------------------------


def test_a_key_that_is_none_is_not_shown(refused: Callable[..., str]) -> None:
    line = refused(lambda values: values, key=KEY[:-1] + "g")
    assert line == f"{PUBLISHER_KEY}: is not a hex private key; write 64 hex digits, with or without 0x"


def test_a_key_file_that_others_can_read(refused: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o640)
    line = refused(lambda values: signer(values, private_key_file=str(file)))
    assert line == f"oracle.signer: {file} has mode 0640: other users can read or change it; chmod 600 {file}"


def test_a_keystore_with_another_password(refused: Callable[..., str], tmp_path: Path) -> None:
    keystore, password = tmp_path / "keystore.json", tmp_path / "password"
    encrypted = Account.encrypt(bytes.fromhex(STRANGER_KEY[2:]), "right", kdf="pbkdf2", iterations=1000)
    keystore.write_text(json.dumps(encrypted))
    password.write_text("wrong-9c1f")
    for file in (keystore, password):
        file.chmod(0o600)
    line = refused(lambda values: signer(values, keystore=str(keystore), password_file=str(password)))
    assert line == (
        f"oracle.signer: the password in {password} does not open {keystore}; check which password belongs to it"
    )


def test_two_ways_to_sign(refused: Callable[..., str]) -> None:
    line = refused(lambda values: signer(values, private_key_env="A", private_key_file="b"))
    assert (
        "oracle.signer: name exactly one way to sign; web3signer, aws_kms, gcp_kms, keystore with password_file" in line
    )


def test_an_account_that_may_not_publish(refused: Callable[..., str]) -> None:
    line = refused(lambda values: values, key=STRANGER_KEY)
    assert line.startswith("oracle.signer: 0x")
    assert "may not publish to" in line
    assert line.endswith("let the contract's admin grant it PUBLISHER_ROLE, or sign with another account")


# ---- this machine ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["api", "metrics", "health"])
def test_a_port_that_is_taken(seamark: Callable[..., Ended], tmp_path: Path, part: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        free = {name: {"port": 0} for name in ("api", "metrics", "health")}
        write({**free, part: {"port": number}, "database": f"sqlite:///{tmp_path / 'x.db'}"})
        from_file = seamark("run", "api")
        assert from_file.code == SETTINGS
        assert from_file.line.startswith(f"seamark: {part}.port: ")
        assert str(number) in from_file.line
        Path("seamark.yaml").unlink()
        ports = {f"{name.upper()}_PORT": "0" for name in free} | {f"{part.upper()}_PORT": str(number)}
        assert seamark("run", "api", **ports).line.startswith(f"seamark: {part.upper()}_PORT: ")


def test_a_database_folder_that_cannot_be_written(seamark: Callable[..., Ended], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    ended = seamark("run", "api", SEAMARK_DATABASE=f"sqlite:///{tmp_path}/file/seamark.db")
    assert ended.code == SETTINGS
    assert ended.line.startswith("seamark: SEAMARK_DATABASE: ")


def test_an_unknown_kind_of_database(seamark: Callable[..., Ended]) -> None:
    ended = seamark("run", "api", SEAMARK_DATABASE="mysql://user:hunter2@host/name")
    assert ended.code == SETTINGS
    assert ended.line.startswith("seamark: SEAMARK_DATABASE: ")
    assert "hunter2" not in ended.everything


def test_a_database_of_a_newer_seamark(seamark: Callable[..., Ended], tmp_path: Path) -> None:
    file = tmp_path / "newer.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.close()
    ended = seamark("run", "api", SEAMARK_DATABASE=f"sqlite:///{file}")
    assert ended.code == FAILED
    assert "has schema 9999, unknown to this version; run the newer Seamark that wrote it" in ended.line


def test_a_damaged_database(seamark: Callable[..., Ended], tmp_path: Path) -> None:
    file = tmp_path / "damaged.db"
    file.write_bytes(b"this was never a database" * 1000)
    ended = seamark("run", "api", SEAMARK_DATABASE=f"sqlite:///{file}")
    assert ended.code == SETTINGS
    assert "SEAMARK_DATABASE: cannot use" in ended.line
    assert "file is not a database; name a file that Seamark may write" in ended.line


def test_a_data_folder_that_cannot_be_made(seamark: Callable[..., Ended], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for command in (("demo",), ("devnet", "up")):
        ended = seamark(*command, "--data", "file/data")
        assert (ended.code, ended.line) == (
            SETTINGS,
            "seamark: --data: cannot make the folder file/data: Not a directory; choose another",
        )


@pytest.mark.parametrize(
    ("option", "command"),
    [
        ("--home-port", ("demo",)),
        ("--venues-port", ("devnet", "up")),
        ("--metrics-port", ("demo",)),
        ("--port", ("demo",)),
    ],
)
def test_options_are_called_what_they_are(seamark: Callable[..., Ended], option: str, command: tuple[str, ...]) -> None:
    free = ["--home-port", "0", "--remote-port", "0", "--venues-port", "0"]
    if command == ("demo",):
        free += ["--port", "0", "--metrics-port", "0", "--health-port", "0"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = seamark(*command, *free, option, str(taken.getsockname()[1]))
    assert ended.code == SETTINGS
    assert ended.line.startswith(f"seamark: {option}: ")


# ---- the environment ------------------------------------------------------------------------------------------------


@pytest.fixture
def variables(devnet: RunningDevnet) -> dict[str, str]:
    """All that a publisher and a monitor need."""
    return {
        "RPC_URL": devnet.home["rpc"],
        "AGGREGATOR_ADDRESS": devnet.aggregator,
        "PRIVATE_KEY": KEY,
        "HEARTBEAT": "3600",
        "DEVIATION_THRESHOLD": "0.5%",
        "CCIP_ROUTER_ADDRESS": devnet.home["router"],
        "CCIP_CHAIN_SELECTOR": devnet.home["selector"],
        "MONITORING_INTERVAL": "15",
        "START_TIMEOUT": "0s",
        "METRICS_PORT": "0",
        "HEALTH_PORT": "0",
    }


ORACLE_NEEDS = ("RPC_URL", "AGGREGATOR_ADDRESS", "PRIVATE_KEY", "HEARTBEAT", "DEVIATION_THRESHOLD")


@pytest.mark.parametrize(
    ("service", "missing"),
    [("oracle", name) for name in ORACLE_NEEDS]
    + [("ccip-monitor", name) for name in ("RPC_URL", "CCIP_ROUTER_ADDRESS")],
)
def test_a_variable_that_is_missing(
    seamark: Callable[..., Ended], variables: dict[str, str], service: str, missing: str
) -> None:
    ended = seamark("run", service, **{**variables, missing: ""})
    assert ended.code == SETTINGS
    assert ended.line.startswith(f"seamark: {missing}: is not set; export {missing}=")


@pytest.mark.parametrize(
    ("service", "name", "value", "words"),
    [
        ("oracle", "HEARTBEAT", "abc", "HEARTBEAT: "),
        ("oracle", "HEARTBEAT", "-1h", "HEARTBEAT: '-1h' is negative"),
        ("oracle", "HEARTBEAT", "1", "HEARTBEAT: '1' is less than 2 seconds"),
        (
            "oracle",
            "DEVIATION_THRESHOLD",
            "0.5",
            "DEVIATION_THRESHOLD: '0.5' is not a ratio: write a unit, such as 0.5%",
        ),
        ("oracle", "DEVIATION_THRESHOLD", "0%", "DEVIATION_THRESHOLD: '0%' is not above 0%"),
        ("oracle", "AGGREGATOR_ADDRESS", "0x12", "AGGREGATOR_ADDRESS: "),
        ("oracle", "AGGREGATOR_ADDRESS", NOBODY, f"AGGREGATOR_ADDRESS: there is no contract at {NOBODY} on chain 138"),
        ("oracle", "PRIVATE_KEY", "hunter2", "PRIVATE_KEY: is not a hex private key; write 64 hex digits"),
        ("oracle", "PRIVATE_KEY", STRANGER_KEY, "PRIVATE_KEY: 0x"),
        ("oracle", "RPC_URL", "ftp://node", "RPC_URL: 'ftp"),
        ("oracle", "RPC_URL", "http://127.0.0.1:1", "RPC_URL: no node answers ("),
        ("oracle", "START_TIMEOUT", "5", "START_TIMEOUT: "),
        ("oracle", "METRICS_PORT", "eight", "METRICS_PORT: is no whole number; write digits alone"),
        ("oracle", "METRICS_PORT", "²", "METRICS_PORT: is no whole number; write digits alone"),
        ("oracle", "LOG_LEVEL", "loud", "LOG_LEVEL: must be 'debug', 'info', 'warning' or 'error'"),
        ("ccip-monitor", "MONITORING_INTERVAL", "soon", "MONITORING_INTERVAL: "),
        ("ccip-monitor", "MONITORING_INTERVAL", "0", "MONITORING_INTERVAL: '0' is not above zero"),
        ("ccip-monitor", "CCIP_CHAIN_SELECTOR", "", "CCIP_CHAIN_SELECTOR: chain id 138 has no published CCIP selector"),
        ("ccip-monitor", "CCIP_CHAIN_SELECTOR", "abc", "CCIP_CHAIN_SELECTOR: 'abc' is no chain selector"),
        ("ccip-monitor", "CCIP_START_BLOCK", "-1", "CCIP_START_BLOCK: "),
        ("ccip-monitor", "CCIP_START_BLOCK", "early", "CCIP_START_BLOCK: "),
        ("ccip-monitor", "CCIP_ROUTER_ADDRESS", NOBODY, "CCIP_ROUTER_ADDRESS: there is no contract at"),
        ("ccip-monitor", "RPC_URL", "ftp://node", "RPC_URL: 'ftp"),
        ("ccip-monitor", "RPC_URL", "http://127.0.0.1:1", "RPC_URL: no node answers ("),
    ],
)
def test_a_variable_that_is_wrong(  # noqa: PLR0917 - what pytest hands over
    seamark: Callable[..., Ended], variables: dict[str, str], service: str, name: str, value: str, words: str
) -> None:
    ended = seamark("run", service, **{**variables, name: value})
    assert ended.code == SETTINGS, ended.everything
    assert ended.line.startswith(f"seamark: {words}")
    assert KEY not in ended.everything
    assert STRANGER_KEY not in ended.everything
    assert "hunter2" not in ended.everything


def test_environment_variables_can_be_checked_alone(seamark: Callable[..., Ended], variables: dict[str, str]) -> None:
    ended = seamark("config", "check", "oracle", "ccip-monitor", "--online", **variables)
    assert (ended.code, ended.lines) == (0, [])
    told = "environment: ok (2 chains, 1 feed, 0 watched feeds, 1 CCIP chain, nodes and signers asked)"
    assert ended.everything == f"{told}\n  oracle.signer: {Account.from_key(variables['PRIVATE_KEY']).address}\n"
