"""`seamark oracle reporting` and `seamark devnet reporting`, as far as they need no chain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from seamark.cli.devnet_reporting import check_size, parse_fault
from seamark.cli.oracle_reporting import app
from seamark.core.errors import SettingsError
from seamark.devnet.reporting import Fault
from seamark.oracle.reporting.config import read_network
from seamark.oracle.reporting.contract import ABI
from seamark.oracle.reporting.digest import ConfigSet
from tests.support.reporting_config import CONTRACT, operator

RUNNER = CliRunner()
TERMS = {"deviation": "0.5%", "heartbeat": "1h", "min_answer": 1, "max_answer": 10**12}


def write_plan(folder: Path, *, paths: bool, nodes: int = 4, **changes: object) -> Path:
    identities = [operator(number).identity.model_dump(mode="json") for number in range(nodes)]
    if paths:
        for number, identity in enumerate(identities):
            (folder / f"{number}.yaml").write_text(yaml.safe_dump(identity))
    listed = [f"{number}.yaml" for number in range(nodes)] if paths else identities
    file = folder / "network.yaml"
    file.write_text(yaml.safe_dump({"nodes": listed, **TERMS, **changes}))
    return file


@pytest.mark.parametrize("paths", [True, False])
def test_config_prints_what_set_config_takes(tmp_path: Path, paths: bool) -> None:
    result = RUNNER.invoke(app, ["config", str(write_plan(tmp_path, paths=paths)), "--json"])
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout)
    told = ABI.function("setConfig").decode_call(bytes.fromhex(made["calldata"][2:]))
    assert "0x" + told.offchainConfig.hex() == made["offchainConfig"]
    signers, transmitters = tuple(told.signers), tuple(told.transmitters)
    network = read_network(
        bytes(32),
        ConfigSet(
            1, signers, transmitters, told.f, told.onchainConfig, told.offchainConfigVersion, told.offchainConfig
        ),
    )
    assert [node.peer for node in network.nodes] == [operator(number).identity.peer for number in range(4)]
    assert made["f"] == 1


def test_config_without_json_is_for_people(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["config", str(write_plan(tmp_path, paths=True))])
    assert result.exit_code == 0
    assert "f: 1\n" in result.stdout
    assert "calldata: 0xe3d0e712" in result.stdout


def test_config_tells_every_problem_with_its_line(tmp_path: Path) -> None:
    file = write_plan(tmp_path, paths=True, deviation=0.5, hartbeat="1h")
    result = RUNNER.invoke(app, ["config", str(file)])
    assert result.exit_code == 2
    assert result.stdout == ""


def test_config_refuses_three_nodes_with_the_reason(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["config", str(write_plan(tmp_path, paths=True, nodes=3))])
    assert result.exit_code == 2


def test_config_names_a_missing_identity(tmp_path: Path) -> None:
    file = tmp_path / "network.yaml"
    file.write_text(yaml.safe_dump({"nodes": ["missing.yaml"], **TERMS}))
    result = RUNNER.invoke(app, ["config", str(file)])
    assert isinstance(result.exception, SettingsError)
    assert "missing.yaml: cannot be read" in str(result.exception)


def test_config_refuses_timing_that_contradicts_itself(tmp_path: Path) -> None:
    file = write_plan(tmp_path, paths=False, timing={"round": "20s"})
    result = RUNNER.invoke(app, ["config", str(file)])
    assert isinstance(result.exception, SettingsError)
    assert "DeltaRound must be shorter" in str(result.exception)


def test_keys_make_what_config_reads(tmp_path: Path) -> None:
    for name in "abcd":
        made = RUNNER.invoke(app, ["keys", str(tmp_path / name), "--address", f"{name}.example:7100", "--json"])
        assert made.exit_code == 0, made.output
        assert json.loads(made.stdout)["name"] == name
    (tmp_path / "network.yaml").write_text(
        yaml.safe_dump({"nodes": [f"{name}/identity.yaml" for name in "abcd"], **TERMS})
    )
    result = RUNNER.invoke(app, ["config", str(tmp_path / "network.yaml"), "--json"])
    assert result.exit_code == 0, result.output


def test_keys_say_what_to_give_away(tmp_path: Path) -> None:
    arguments = ["keys", str(tmp_path / "a"), "--address", "a:7100", "--signer", CONTRACT]
    result = RUNNER.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "identity.yaml to the other operators; keep the rest." in result.stdout.replace("\n", " ")
    assert not (tmp_path / "a" / "signer.key").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--address", "nowhere"], "--address: 'nowhere' is no address; write host:port"),
        (["--address", "a:1", "--signer", "0x12"], "--signer"),
    ],
)
def test_keys_refuse_what_cannot_be(tmp_path: Path, arguments: list[str], words: str) -> None:
    result = RUNNER.invoke(app, ["keys", str(tmp_path / "a"), *arguments])
    assert isinstance(result.exception, SettingsError)
    assert words in str(result.exception)
    assert not (tmp_path / "a").exists()


# ---- the devnet -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [4, 16, 31])
def test_sizes_of_networks(nodes: int) -> None:
    check_size(nodes)


@pytest.mark.parametrize(
    ("nodes", "words"), [(3, "3 nodes bear no faulty one"), (0, "0 nodes"), (32, "32 nodes do not fit into a report")]
)
def test_sizes_that_are_none(nodes: int, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        check_size(nodes)


def test_the_last_nodes_are_the_faulty_ones() -> None:
    assert parse_fault("2:lie", 7) == {6: Fault.LIE, 5: Fault.LIE}
    assert parse_fault("1:crash", 4) == {3: Fault.CRASH}


@pytest.mark.parametrize("text", ["lie", "1", "x:lie", "1:nonsense", "-1:lie", "1:"])
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is no fault; write 1:KIND with one of lie, silent, frozen, crash"):
        parse_fault(text, 4)


@pytest.mark.parametrize("text", ["0:lie", "5:lie"])
def test_more_faulty_nodes_than_there_are(text: str) -> None:
    with pytest.raises(SettingsError, match="of 4 nodes cannot be faulty"):
        parse_fault(text, 4)
