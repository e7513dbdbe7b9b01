"""The main job on one machine: from a devnet to the settings of everything that runs on it.

Home is chain 138, without fees; remote is chain 31337. Each feed is published on home by deviation or heartbeat,
carried to remote over the published CCIP contracts, and shown on both. The same settings as a file are what `seamark
devnet up` prints, so that the services can be run by hand against the same world, and what `seamark demo` leaves in its
folder, with an operator's keys, so that every command beside it knows the chains.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from seamark.core.errors import SettingsError
from seamark.devnet.accounts import Role, account
from seamark.devnet.deployment import FeedDeployment
from seamark.devnet.devnet import Devnet
from seamark.devnet.settings import DevnetSettings, MessageFaultSettings, VenueFaultSettings
from seamark.evm.address import to_checksum
from seamark.runtime.settings import validate_settings
from seamark.settings import Settings

__all__ = [
    "HOME",
    "PUBLISHER_KEY",
    "REMOTE",
    "demo_devnet",
    "demo_settings",
    "demo_values",
    "operator_values",
    "write_values",
]

HOME: Final = "home"
REMOTE: Final = "remote"
PUBLISHER_KEY: Final = "DEMO_PUBLISHER_KEY"
VENUES: Final = ("coinbase", "kraken", "bitstamp", "gemini")  # those that quote in dollars
HEARTBEAT: Final = "60s"  # short, so that a visitor sees one
DEVIATION: Final = "0.5%"


def demo_devnet(data: Path, *, seed: int, faults: bool, ports: Mapping[str, int]) -> DevnetSettings:
    """The world of the demo.

    Args:
        data: Folder for the chains' state.
        seed: Of the market.
        faults: Whether venues and messages go wrong now and then.
        ports: Of "home", "remote" and "venues"; 0 lets the system choose.
    """
    base = DevnetSettings()
    values: dict[str, Any] = {
        "data": data,
        "home": base.home.with_changes(port=ports["home"]),
        "remote": base.remote.with_changes(port=ports["remote"]),
        "venues_port": ports["venues"],
        "market": base.market.with_changes(seed=seed),
    }
    if faults:
        values["venue_faults"] = [
            VenueFaultSettings.model_validate(
                {"venue": "gemini", "kind": "lie", "every": "3m", "lasts": "20s", "after": "40s"}
            ),
            VenueFaultSettings.model_validate(
                {"venue": "bitstamp", "kind": "stale", "every": "4m", "lasts": "60s", "after": "90s"}
            ),
        ]
        values["message_faults"] = [
            MessageFaultSettings.model_validate({"kind": "delay-commit", "delay": "12s", "every": 7}),
            MessageFaultSettings.model_validate({"kind": "fail", "every": 11}),
        ]
    return DevnetSettings.model_validate({**base.model_dump(), **values})


def demo_values(devnet: Devnet, *, database: str) -> dict[str, Any]:
    """A settings file's content for a running devnet; the publisher's key comes from the environment."""
    world = devnet.deployment
    return {
        "database": database,
        "chains": {
            HOME: _chain(devnet, remote=False),
            REMOTE: _chain(devnet, remote=True),
        },
        "oracle": {
            "signer": {"private_key_env": PUBLISHER_KEY},
            "venues": {name: {"base_url": f"{devnet.venues.url}/{name}"} for name in VENUES},
            "feeds": [
                {
                    "pair": feed.symbol,
                    "chain": HOME,
                    "aggregator": to_checksum(feed.aggregator),
                    "heartbeat": HEARTBEAT,
                    "deviation": DEVIATION,
                    "poll_interval": "500ms",
                    "sources": list(VENUES),
                }
                for feed in world.feeds
            ],
            "watch": [
                {"name": feed.symbol, "chain": REMOTE, "address": to_checksum(feed.receiver)} for feed in world.feeds
            ],
            "watch_interval": "1s",
        },
        "ccip": {
            "chains": [
                {
                    "chain": HOME,
                    "router": to_checksum(world.home.router),
                    "start_block": world.home.first_block,
                    "contracts": [to_checksum(feed.aggregator) for feed in world.feeds],
                },
                {
                    "chain": REMOTE,
                    "router": to_checksum(world.remote.router),
                    "start_block": world.remote.first_block,
                    "contracts": [to_checksum(feed.receiver) for feed in world.feeds],
                },
            ],
            "checks": {"senders": [_sender(feed) for feed in world.feeds]},
        },
    }


def _sender(feed: FeedDeployment) -> dict[str, Any]:
    """What the checks watch: the purse of a feed, in the currency in which it pays."""
    watched: dict[str, Any] = {"chain": HOME, "address": to_checksum(feed.aggregator), "name": feed.symbol}
    if feed.fee_currency == "link":
        return watched
    return watched | {"link_warning": 0, "link_critical": 0, "native_warning": 10, "native_critical": 5}


def operator_values() -> dict[str, Any]:
    """What recovery and operations need: the devnet's operator signs, its deployer administers. Everybody knows these
    keys (see `devnet.accounts`), so they may stand in a file.
    """
    signer = {"private_key": account(Role.OPERATOR).private_key}
    return {
        "recovery": {"signer": dict(signer), "policy": {"chains": [HOME, REMOTE]}},
        "operations": {
            "signer": dict(signer),
            "admin": {"private_key": account(Role.HOME_DEPLOYER).private_key},
            "policy": {"chains": [HOME], "kinds": ["refill", "pause", "resume"]},
        },
    }


def write_values(file: Path, values: Mapping[str, Any], *, head: str, setting: str) -> None:
    """A settings file.

    Args:
        file: Where to.
        values: Its content.
        head: A line that says what it is.
        setting: What the user calls the file, for the error.

    Raises:
        SettingsError: It cannot be written.
    """
    text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
    try:
        file.write_text(f"# {head}\n{text}")
    except OSError as error:
        problem = f"cannot write {file}: {error.strerror}"
        raise SettingsError(setting, problem, remedy="choose another place") from error


def demo_settings(devnet: Devnet, *, database: str, ports: Mapping[str, int]) -> Settings:
    """Checked settings for a running devnet.

    Args:
        ports: Of "api", "metrics" and "health"; 0 lets the system choose.
    """
    values = demo_values(devnet, database=database)
    values["oracle"]["signer"] = {"private_key": account(Role.PUBLISHER).private_key}
    listeners = {name: {"port": ports[name]} for name in ("api", "metrics", "health")}
    return validate_settings(Settings, {**values, **listeners})


def _chain(devnet: Devnet, *, remote: bool) -> dict[str, Any]:
    chain = devnet.deployment.remote if remote else devnet.deployment.home
    values: dict[str, Any] = {
        "chain_id": chain.chain_id,
        "label": f"Chain {chain.chain_id}",
        "selector": chain.selector_text,
        "rpc": [devnet.remote_url if remote else devnet.home_url],
        "poll_interval": "250ms",
    }
    if chain.free_gas:
        values["fees"] = {"max_gas_price": 0}
    return values
