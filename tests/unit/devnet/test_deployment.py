from __future__ import annotations

import json

import msgspec
import pytest

from seamark.core.errors import StopError
from seamark.core.ids import Address, ChainId, Hash32, Selector
from seamark.devnet.deployment import FORMAT, ChainDeployment, Deployment, FeedDeployment

NAMES = [
    "wrapped_native",
    "link",
    "rmn_remote",
    "arm_proxy",
    "router",
    "token_admin_registry",
    "nonce_manager",
    "fee_quoter",
    "onramp",
    "offramp",
    "message_hasher",
    "test_receiver",
]


def chain(name: str, chain_id: int, selector: int) -> ChainDeployment:
    return ChainDeployment(
        name=name,
        chain_id=ChainId(chain_id),
        selector_text=str(selector),
        free_gas=name == "home",
        first_block=1,
        anchor_block=20,
        anchor_hash=Hash32("0x" + "ab" * 32),
        **{contract: Address(f"0x{number:040x}") for number, contract in enumerate(NAMES)},
    )


FEED = FeedDeployment(
    symbol="BTC/USD",
    feed_id=Hash32("0x" + "cd" * 32),
    decimals=8,
    fee_currency="link",
    aggregator=Address("0x" + "01" * 20),
    receiver=Address("0x" + "02" * 20),
)
WORLD = Deployment(
    format=FORMAT,
    fingerprint="f",
    home=chain("home", 138, 13_801_380_138_013_801_380),
    remote=chain("remote", 31337, 7_759_470_850_252_068_959),
    feeds=(FEED,),
)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "deep" / "deployment.json"
    WORLD.write(path)
    assert Deployment.read(path) == WORLD
    WORLD.write(path)
    assert [entry.name for entry in path.parent.iterdir()] == ["deployment.json"]


def test_selectors_are_text_in_the_file_and_numbers_in_code(tmp_path):
    path = tmp_path / "deployment.json"
    WORLD.write(path)
    written = json.loads(path.read_text())
    assert written["home"]["selector"] == "13801380138013801380"
    assert WORLD.home.selector == 13_801_380_138_013_801_380


def test_lookups():
    assert WORLD.chain(Selector(7_759_470_850_252_068_959)) is WORLD.remote
    assert WORLD.chain(WORLD.home.selector) is WORLD.home
    assert WORLD.feed("BTC/USD") is FEED
    with pytest.raises(KeyError):
        WORLD.chain(Selector(1))
    with pytest.raises(KeyError):
        WORLD.feed("ETH/USD")


def test_no_file_means_nothing_is_deployed(tmp_path):
    assert Deployment.read(tmp_path / "deployment.json") is None


@pytest.mark.parametrize("content", ["[]", "{}", '{"format": 0}'])
def test_another_format_means_nothing_is_deployed(tmp_path, content):
    path = tmp_path / "deployment.json"
    path.write_text(content)
    assert Deployment.read(path) is None


@pytest.mark.parametrize("content", ["", "{", f'{{"format": {FORMAT}}}', "\xff"])
def test_a_damaged_file_is_an_error_that_names_the_remedy(tmp_path, content):
    path = tmp_path / "deployment.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(StopError, match=r"deployment\.json is damaged: .*; delete it to deploy afresh"):
        Deployment.read(path)


def test_an_unreadable_file_is_an_error(tmp_path):
    path = tmp_path / "deployment.json"
    path.mkdir()
    with pytest.raises(StopError, match="cannot be read"):
        Deployment.read(path)


def test_a_file_cut_short_is_never_left_behind(tmp_path, monkeypatch):
    path = tmp_path / "deployment.json"
    WORLD.write(path)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("power cut")))
    with pytest.raises(OSError, match="power cut"):
        msgspec.structs.replace(WORLD, fingerprint="other").write(path)
    assert Deployment.read(path) == WORLD
