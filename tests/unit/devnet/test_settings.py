from __future__ import annotations

from pathlib import Path

import pytest

from seamark.core.ids import ChainId
from seamark.devnet.accounts import Role
from seamark.devnet.ccip.faults import Fault, FaultKind
from seamark.devnet.ccip.ramp_messages import LaneId
from seamark.devnet.market import DEFAULT_ASSETS, VenueFault, VenueFaultKind
from seamark.devnet.settings import ANVIL_SELECTOR, PRIVATE_SELECTOR, DevnetSettings
from seamark.devnet.venues import FaultSchedule
from seamark.runtime.settings import SettingsProblems, validate_settings


def read(**values):
    return validate_settings(DevnetSettings, values)


def refused(match, **values):
    with pytest.raises(SettingsProblems, match=match):
        read(**values)


def test_the_defaults_are_the_demonstration():
    settings = read()
    assert settings.data == Path(".seamark/devnet")
    home, remote = settings.plans()
    assert (home.chain_id, home.selector, home.deployer, home.free_gas) == (
        ChainId(138),
        PRIVATE_SELECTOR,
        Role.HOME_DEPLOYER,
        True,
    )
    assert (remote.chain_id, remote.selector, remote.free_gas) == (ChainId(31337), ANVIL_SELECTOR, False)
    assert {feed.fee_currency for feed in settings.feeds} == {"link", "native"}
    assert settings.market.market().assets == DEFAULT_ASSETS
    ports = [settings.home.port, settings.remote.port, settings.venues_port]
    assert len(set(ports)) == 3


def test_the_private_selector_is_a_uint64_that_no_signed_or_floating_number_holds():
    assert 2**63 < PRIVATE_SELECTOR < 2**64
    assert int(float(PRIVATE_SELECTOR)) != PRIVATE_SELECTOR
    assert ANVIL_SELECTOR == 7_759_470_850_252_068_959


def test_faults_from_settings():
    settings = read(
        venue_faults=[{"venue": "kraken", "kind": "lie", "every": "2m", "lasts": "10s", "after": "5s", "factor": 1000}],
        message_faults=[
            {"kind": "fail", "direction": "home-to-remote", "every": 7},
            {"kind": "delay-commit", "delay": "1m30s", "times": 2},
            {"kind": "never-execute", "direction": "remote-to-home"},
        ],
    )
    lie = VenueFault(VenueFaultKind.LIE, factor=1000)
    assert settings.venue_faults[0].schedule() == FaultSchedule("kraken", lie, every_s=120, lasts_s=10, after_s=5)
    home, remote = settings.home.selector, settings.remote.selector
    assert [each.fault(home, remote) for each in settings.message_faults] == [
        Fault(FaultKind.FAIL, lane=LaneId(home, remote), every=7),
        Fault(FaultKind.DELAY_COMMIT, seconds=90, times=2),
        Fault(FaultKind.NEVER_EXECUTE, lane=LaneId(remote, home)),
    ]


def test_a_market_of_ones_own():
    settings = read(
        market={"seed": 9, "jump_every": "10s", "assets": [{"symbol": "GOLD/USD", "start": "2650.5", "tick": "0.1"}]},
        feeds=[{"symbol": "GOLD/USD", "min_interval": "30s", "max_step_bps": 500}],
    )
    market = settings.market.market()
    assert (market.model.seed, market.model.jump_every_s) == (9, 10)
    assert [asset.symbol for asset in market.assets] == ["GOLD/USD"]
    plan = settings.feeds[0].plan()
    assert (plan.symbol, plan.min_interval_s, plan.max_step_bps) == ("GOLD/USD", 30, 500)


def test_the_fingerprint_changes_with_what_is_deployed_and_with_nothing_else():
    plain = read().fingerprint()
    assert read(block_time="0s", market={"seed": 2}, venues_port=0, data="/tmp/x").fingerprint() == plain
    different = [
        read(feeds=[{"symbol": "BTC/USD"}]),
        read(feeds=[{"symbol": "BTC/USD", "fee_currency": "native"}]),
        read(home={"chain_id": 139, "selector": "1", "port": 0}),
        read(home={"chain_id": 138, "selector": str(PRIVATE_SELECTOR), "port": 18545, "free_gas": False}),
    ]
    assert len({plain, *(each.fingerprint() for each in different)}) == 5


def test_mistakes_are_named():
    refused("block_time: .*not a whole number of seconds", block_time="1500ms")
    refused("block_time: .*has no unit", block_time=2)
    refused("venue_faults.*'krakn' is no venue; there are binance", venue_faults=[{"venue": "krakn", "kind": "stale"}])
    refused("lasts must be", venue_faults=[{"venue": "kraken", "kind": "stale", "every": "5s", "lasts": "6s"}])
    refused("message_faults.*kind", message_faults=[{"kind": "explode"}])
    refused("message_faults.*every", message_faults=[{"kind": "fail", "every": 0}])
    refused("the feed BTC/USD is given twice", feeds=[{"symbol": "BTC/USD"}, {"symbol": "BTC/USD"}])
    refused("the feed GOLD/USD is not traded; add it to market.assets", feeds=[{"symbol": "GOLD/USD"}])
    refused("same chain", remote={"chain_id": 138, "selector": "5", "port": 0})
    refused("selector", remote={"chain_id": 5, "selector": "-5", "port": 0})
    refused("unknown setting", blocktime="1s")
    refused("finality_depth.*negative", finality_depth=-1)
