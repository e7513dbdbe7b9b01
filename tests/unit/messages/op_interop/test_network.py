"""Settings and the network that follows from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seamark.core.errors import SettingsError
from seamark.core.ids import ChainId
from seamark.messages.protocols.op_interop import InteropChain, interop_chains, interop_network
from seamark.messages.protocols.op_interop.settings import InteropSettings
from seamark.runtime.settings import validate_settings
from seamark.settings import Settings

FOLLOWED = [InteropChain(ChainId(901), "op"), InteropChain(ChainId(902), "base", setting="interop.chains[1]")]


def settings(**interop: Any) -> InteropSettings:
    return validate_settings(Settings, {"interop": interop}).interop


def test_a_few_lines_are_enough() -> None:
    whole = validate_settings(
        Settings,
        {
            "chains": {
                "op": {"chain_id": 10, "rpc": ["http://127.0.0.1:1"], "label": "OP Mainnet"},
                "base": {"chain_id": 8453, "rpc": ["http://127.0.0.1:2"]},
            },
            "interop": {"chains": [{"chain": "op"}, {"chain": "base", "activation_time": 5}]},
        },
    )
    chains = interop_chains(whole.interop, whole.chains)
    network = interop_network(whole.interop, chains)
    assert [(chain.chain_id, chain.name) for chain in chains] == [(10, "OP Mainnet"), (8453, "base")]
    assert (set(network.members), network.window_s, dict(network.activation)) == ({10, 8453}, 604_800, {8453: 5})
    assert (network.name(10), network.name(7)) == ("OP Mainnet", "chain 7")


def test_an_inline_set_may_be_larger_than_what_is_read() -> None:
    network = interop_network(settings(dependency_set={"dependencies": {"901": {}, "902": {}, "903": {}}}), FOLLOWED)
    assert set(network.members) == {901, 902, 903}


def test_the_window_of_the_settings_comes_first() -> None:
    given = {"dependencies": {"901": {}, "902": {}}, "overrideMessageExpiryWindow": 100}
    assert interop_network(settings(dependency_set=given), FOLLOWED).window_s == 100
    assert interop_network(settings(dependency_set=given, message_expiry_window="1h"), FOLLOWED).window_s == 3600


def test_a_chain_that_is_read_must_be_in_the_set() -> None:
    with pytest.raises(
        SettingsError, match=r"interop\.chains\[1\]\.chain: chain id 902 is not in .*its chain ids: 901"
    ):
        interop_network(settings(dependency_set={"dependencies": {"901": {}}}), FOLLOWED)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not JSON"),
        ('{"dependencies": {"op": {}}}', "is no chain id"),
        ('{"dependencies": {}}', "names no dependencies"),
        ('{"chains": []}', "chains"),
    ],
)
def test_a_broken_file_is_told_in_words(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "set.json"
    file.write_text(content)
    with pytest.raises(SettingsError, match=words) as error:
        interop_network(settings(dependency_set=str(file)), FOLLOWED)
    assert error.value.setting == "interop.dependency_set"


@pytest.mark.parametrize(
    ("interop", "words"),
    [
        ({"chains": [{"chain": "op"}, {"chain": "op"}]}, "listed twice"),
        ({"failsafe": {"trigger": True}}, "no endpoint to call"),
        ({"failsafe": {"endpoints": ["supervisor:8545"]}}, "no node address"),
        ({"expiring_share": 1}, "less than 1"),
        ({"message_expiry_window": 604800}, "has no unit"),
    ],
)
def test_mistakes_are_found(interop: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        settings(**interop)


def test_a_chain_that_is_not_defined() -> None:
    with pytest.raises(SettingsError, match=r"interop\.chains\[0\]\.chain.*no chain 'op'"):
        interop_chains(settings(chains=[{"chain": "op"}]), {})


def test_an_admin_address_is_never_shown_whole() -> None:
    found = settings(failsafe={"endpoints": ["http://user:secret@supervisor:8545/key"]})
    assert "secret" not in repr(found)
    assert "secret" not in found.model_dump_json()
