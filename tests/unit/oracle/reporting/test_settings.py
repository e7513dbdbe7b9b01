"""Settings of a node: strict, and clear about what is on chain instead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from seamark.core.errors import SettingsError
from seamark.oracle.reporting.ceremony import NetworkPlan, TimingPlan, configure
from seamark.oracle.reporting.settings import SET_ON_CHAIN, split_address
from seamark.oracle.settings import OracleSettings
from seamark.runtime.settings import SettingsProblems, validate_settings
from seamark.settings import Settings, load
from tests.support.reporting_config import CONTRACT, plan_values


def values(**changes: Any) -> dict[str, Any]:
    return {
        "certificate": "certificate.pem",
        "certificate_key": "certificate.key",
        "keys": "offchain.json",
        "signer": {"private_key_env": "SIGNER"},
        "transmitter": {"private_key_env": "TRANSMITTER"},
        "peers": [{"address": "b.example:7100", "certificate": "b.pem"}],
        "feeds": [{"pair": "ETH/USD", "chain": "besu", "aggregator": CONTRACT}],
        **changes,
    }


def problems_of(**changes: Any) -> str:
    with pytest.raises(SettingsProblems) as caught:
        validate_settings(OracleSettings, {"reporting": values(**changes)})
    return str(caught.value)


def test_the_least_that_a_node_needs() -> None:
    settings = validate_settings(OracleSettings, {"reporting": values()}).reporting
    assert settings is not None
    assert settings.listen == "127.0.0.1:7100"
    assert settings.feeds[0].aggregator == CONTRACT
    assert settings.config_confirmations == 1


def test_a_feed_has_the_sources_and_rules_of_every_feed() -> None:
    feed = {"pair": "ETH/USD", "chain": "besu", "aggregator": CONTRACT, "sources": ["kraken", "coinbase"],
            "min_venues": 2, "outlier_filter": "iqr", "poll_interval": "500ms"}  # fmt: skip
    settings = validate_settings(OracleSettings, {"reporting": values(feeds=[feed])}).reporting
    assert settings is not None
    assert settings.feeds[0].min_venues == 2


@pytest.mark.parametrize("name", sorted(SET_ON_CHAIN - {"value"}))
def test_what_the_network_agrees_on_is_refused_here(name: str) -> None:
    worth = {"heartbeat": "1h", "agreeing_venues": 1, "deviation": "1%", "heartbeat_margin": "1%", "max_step": "1%"}
    feed = {"pair": "ETH/USD", "chain": "besu", "aggregator": CONTRACT, name: worth.get(name, "20s")}
    if name in ("agreeing_venues", "confirm_within"):
        feed["max_step"] = "200%"
    text = problems_of(feeds=[feed])
    assert "is for publishers that work alone; remove it" in text or "max_step" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"peers": []}, "reporting.peers: must not be empty"),
        ({"feeds": []}, "reporting.feeds: must not be empty"),
        ({"listen": "7100"}, "reporting.listen: '7100' is no address; write host:port"),
        ({"listen": "0.0.0.0:99999"}, "is no address"),
        ({"peers": [{"address": "b", "certificate": "b.pem"}]}, "peers[0].address: 'b' is no address"),
        ({"peers": [{"address": "b:1", "certificate": "x"}] * 2}, "two peers have the same address"),
        ({"transmitter": {"private_key_env": "SIGNER"}}, "signer and transmitter are one key; give them different"),
        ({"config_confirmations": 0}, "config_confirmations"),
        ({"certifcate": "x"}, "did you mean certificate?"),
        ({"keys": None}, "reporting.keys: must be text"),
        ({"progress_alarm": 60}, "60 has no unit"),
    ],
)
def test_mistakes_are_named_with_their_remedy(changes: dict[str, Any], words: str) -> None:
    assert words in problems_of(**changes)


def test_one_contract_is_published_in_one_way() -> None:
    alone = {"chain": "besu", "aggregator": CONTRACT, "heartbeat": "1h", "deviation": "1%"}
    both = {"signer": {"private_key_env": "X"}, "feeds": [alone], "reporting": values()}
    with pytest.raises(SettingsProblems, match="two feeds have the same aggregator on the same chain"):
        validate_settings(OracleSettings, both)


def test_a_chain_that_is_not_there_is_named(tmp_path: Path) -> None:
    text = "oracle:\n  reporting:\n    certificate: a\n    certificate_key: b\n    keys: c\n"
    text += "    signer: {private_key_env: S}\n    transmitter: {private_key_env: T}\n"
    text += "    peers: [{address: 'b:1', certificate: b.pem}]\n"
    text += f"    feeds: [{{chain: nowhere, aggregator: '{CONTRACT}'}}]\n"
    file = tmp_path / "seamark.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"oracle\.reporting\.feeds\[0\]\.chain: there is no chain 'nowhere'"):
        load(file, {})


@pytest.mark.parametrize(
    ("text", "parts"),
    [("a.example:7100", ("a.example", 7100)), ("10.0.0.1:1", ("10.0.0.1", 1)), ("[::1]:7100", ("::1", 7100))],
)
def test_addresses_are_taken_apart(text: str, parts: tuple[str, int]) -> None:
    assert split_address(text) == parts


@pytest.mark.parametrize("text", ["", ":1", "a:", "a:b", "a:65536", "a:-1", "a:²"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        split_address(text)


def examples() -> list[str]:
    page = Path(__file__).resolve().parents[4] / "docs" / "how-to" / "run-a-reporting-network.md"
    return re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)


def test_the_guide_s_settings_are_taken() -> None:
    (text,) = [text for text in examples() if "reporting:" in text]
    shown = yaml.safe_load(text.replace('"0x…"', f"'{CONTRACT}'"))
    settings = validate_settings(Settings, shown)
    assert settings.oracle.reporting is not None
    assert len(settings.oracle.reporting.peers) == 3
    assert settings.oracle.reporting.signer.policy is not None


def test_the_guide_s_terms_are_the_defaults() -> None:
    (text,) = [text for text in examples() if "network.yaml" in text]
    shown = yaml.safe_load(text)
    shown["nodes"] = plan_values()["nodes"]
    terms = validate_settings(NetworkPlan, shown)
    assert terms.timing == TimingPlan()
    assert configure(terms).f == 1
