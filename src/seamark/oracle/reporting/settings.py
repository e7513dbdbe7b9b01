"""Settings of a node of a reporting network.

    oracle:
      reporting:
        listen: 0.0.0.0:7100
        certificate: /keys/certificate.pem
        certificate_key: /keys/certificate.key
        keys: /keys/offchain.json
        signer: {keystore: /keys/signer.json, password_file: /keys/signer.password}
        transmitter: {web3signer: {url: https://signer:9000, address: "0x…"}}
        peers:
          - {address: node-b.example:7100, certificate: /keys/peers/b.pem}
        feeds:
          - {pair: ETH/USD, chain: besu, aggregator: "0x…"}

When to report (deviation, heartbeat), who takes part and how long things may take stand on chain, in the contract's
configuration: every node must have the same. Here stands what is this node's own: its keys, how to reach the others,
where its prices come from.
"""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from seamark.core.units import Seconds
from seamark.evm.settings import SignerSettings
from seamark.runtime.settings import Duration, SettingsModel

__all__ = ["SET_ON_CHAIN", "HostPort", "PeerSettings", "ReportingNodeSettings", "split_address"]

SET_ON_CHAIN: Final = frozenset(
    {
        "heartbeat",
        "deviation",
        "heartbeat_margin",
        "confirm_after",
        "max_step",
        "confirm_within",
        "agreeing_venues",
        "replace_after",
        "value",
    }
)
"""Settings of a feed that a network does not have, or has on chain."""

_MAX_PORT: Final = 65_535


def split_address(text: str) -> tuple[str, int]:
    """("host", 7100) of "host:7100"; IPv6 hosts stand in brackets. Raises `ValueError`."""
    host, separator, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isascii() or not port.isdigit() or int(port) > _MAX_PORT:
        raise ValueError(f"{text!r} is no address; write host:port, as in 10.0.0.5:7100")
    return host, int(port)


def _check_address(text: str) -> str:
    split_address(text)
    return text


HostPort = Annotated[str, AfterValidator(_check_address)]
"""host:port."""


class PeerSettings(SettingsModel):
    """Another node of the network."""

    address: HostPort
    """Where it listens."""

    certificate: str
    """PEM file with its certificate, as its operator gave it."""


class ReportingNodeSettings(SettingsModel):
    """What is this node's own."""

    listen: HostPort = "127.0.0.1:7100"
    """Where the others reach this node; port 0 takes a free one."""

    certificate: str
    """PEM file with this node's certificate."""

    certificate_key: str
    """PEM file with its key, readable by its owner alone."""

    keys: str
    """File with the off-chain keys, readable by its owner alone."""

    signer: SignerSettings
    """The account whose key signs reports."""

    transmitter: SignerSettings
    """The account that sends transactions."""

    peers: tuple[PeerSettings, ...] = Field(min_length=1)
    """All other nodes."""

    config_interval: Duration = Seconds(15.0)
    """How often to look for a new configuration, and for rounds that somebody requested."""

    config_confirmations: int = Field(1, ge=1, le=100)
    """Blocks, with its own, that a configuration needs on top before it is run."""

    observation_timeout: Duration = Seconds(0.5)
    """The longest that an observation, a signature or a read of the contract may take."""

    progress_alarm: Duration = Seconds(60.0)
    """No completed round for so long is a problem of the node's health."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.signer.same_key(self.transmitter):
            raise ValueError(
                "signer and transmitter are one key; give them different ones: who pays is a hot account, who signs is"
                " the node's word"
            )
        addresses = [peer.address for peer in self.peers]
        if len(set(addresses)) != len(addresses):
            raise ValueError("two peers have the same address; remove one")
        return self
