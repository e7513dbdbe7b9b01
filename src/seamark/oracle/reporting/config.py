"""What the nodes of a network agree on: the off-chain configuration as it stands on chain, and the checks on it.

All spans are integers in nanoseconds, as on the wire. A configuration that breaks a bound is refused as a whole: with
f >= n / 3, or rounds longer than the patience with a leader, nothing that the protocol promises holds.

Source: libocr `internal/config/ocr2config` (MIT).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seamark.core.errors import RejectedError
from seamark.core.ids import Address
from seamark.oracle.reporting.codec import MAX_ORACLES, MedianSettings, OnchainConfig
from seamark.oracle.reporting.digest import ConfigSet
from seamark.oracle.reporting.keys import KEY_BYTES, SECRET_BYTES, SharedSecret
from seamark.oracle.reporting.protobuf import (
    Fields,
    WireError,
    data_field,
    messages_field,
    optional_uint_field,
    packed_field,
    uint_field,
)

__all__ = ["MILLISECOND", "SECOND", "Network", "Node", "OffchainConfig", "Timing", "read_network"]

SECOND: Final = 1_000_000_000  # nanoseconds
MILLISECOND: Final = 1_000_000
OFFCHAIN_VERSION: Final = 2  # OCR2; 30 and 310 are OCR3
MAX_ENCODED_BYTES: Final = 2_000_000
MIN_PATIENCE: Final = 200 * MILLISECOND  # shorter ones flood the network with changes of leader
MAX_ROUNDS: Final = 254  # a round's number is one byte, and one more than the last must fit
MAX_STAGES: Final = 999
_SPAN_BITS: Final = 63


class ConfigError(RejectedError):
    """A configuration that nodes must not run."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Spans in nanoseconds, and how they hang together.

    A leader that finishes no round within `progress` is replaced; after `max_rounds` rounds it is replaced anyway. It
    begins a round every `round` and waits `grace` for late observations. `resend` repeats what a node said about
    epochs. Transmitters of stage i wait i times `stage`; `stages` are the sizes of the stages.
    """

    progress: int
    resend: int
    round: int
    grace: int
    stage: int
    max_rounds: int
    stages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OffchainConfig:
    """The part that the contract carries without reading it. Spans in nanoseconds."""

    timing: Timing
    observation_keys: tuple[bytes, ...]
    peers: tuple[str, ...]
    plugin: bytes
    max_query: int
    max_observation: int
    max_report: int
    max_accept: int
    max_transmit: int
    secret: SharedSecret
    max_initialization: int | None = None

    def encode(self) -> bytes:
        timing = self.timing
        secret = b"".join(
            (data_field(1, self.secret.point), data_field(2, self.secret.hash), messages_field(3, self.secret.blocks))
        )
        parts = (
            uint_field(1, timing.progress),
            uint_field(2, timing.resend),
            uint_field(3, timing.round),
            uint_field(4, timing.grace),
            uint_field(5, timing.stage),
            uint_field(6, timing.max_rounds),
            packed_field(7, timing.stages),
            messages_field(8, self.observation_keys),
            messages_field(9, (peer.encode() for peer in self.peers)),
            data_field(10, self.plugin),
            uint_field(11, self.max_query),
            uint_field(12, self.max_observation),
            uint_field(13, self.max_report),
            uint_field(14, self.max_accept),
            uint_field(15, self.max_transmit),
            data_field(16, secret),
            optional_uint_field(17, self.max_initialization),
        )
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> OffchainConfig:
        """Raises `WireError`: too long, malformed, or keys of another length."""
        if len(data) > MAX_ENCODED_BYTES:
            raise WireError(f"the off-chain configuration has {len(data)} bytes, more than {MAX_ENCODED_BYTES}")
        fields = Fields(data, "off-chain configuration")
        return cls(
            _read_timing(fields),
            _of_size(fields.all_data(8), KEY_BYTES, "observation key"),
            tuple(_text(peer) for peer in fields.all_data(9)),
            fields.data(10),
            fields.uint(11, _SPAN_BITS),
            fields.uint(12, _SPAN_BITS),
            fields.uint(13, _SPAN_BITS),
            fields.uint(14, _SPAN_BITS),
            fields.uint(15, _SPAN_BITS),
            _read_secret(Fields(fields.data(16), "shared secret")),
            fields.uint(17, _SPAN_BITS) if fields.has(17) else None,
        )


def _read_timing(fields: Fields) -> Timing:
    progress, resend, round_, grace, stage = (fields.uint(number, _SPAN_BITS) for number in range(1, 6))
    return Timing(progress, resend, round_, grace, stage, fields.uint(6, 32), fields.uints(7, 32))


def _read_secret(fields: Fields) -> SharedSecret:
    blocks = _of_size(fields.all_data(3), SECRET_BYTES, "shared secret")
    return SharedSecret(fields.fixed(1, KEY_BYTES), fields.fixed(2, KEY_BYTES), blocks)


def _of_size(values: tuple[bytes, ...], size: int, name: str) -> tuple[bytes, ...]:
    if any(len(value) != size for value in values):
        raise WireError(f"off-chain configuration: each {name} has {size} bytes")
    return values


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise WireError("off-chain configuration: the name of a peer is not UTF-8") from error


# ---- a network ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Node:
    """One node: the account whose key signs reports, the ed25519 key, its name in the network, who pays."""

    signer: Address
    observation_key: bytes
    peer: str
    transmitter: Address


@dataclass(frozen=True, slots=True)
class Network:
    """One configuration of one contract, checked."""

    digest: bytes
    nodes: tuple[Node, ...]
    f: int
    timing: Timing
    median: MedianSettings
    bounds: OnchainConfig

    @property
    def n(self) -> int:
        return len(self.nodes)


def read_network(digest: bytes, announced: ConfigSet) -> Network:
    """From what the contract announced.

    Raises:
        RejectedError: Malformed, of another version, or a `ConfigError` that names the bound that is broken.
    """
    if announced.offchain_version != OFFCHAIN_VERSION:
        raise ConfigError(f"version {announced.offchain_version} of the off-chain configuration is not OCR2's (2)")
    offchain = OffchainConfig.decode(announced.offchain)
    _check_identities(announced, offchain)
    nodes = tuple(
        Node(*each)
        for each in zip(
            announced.signers, offchain.observation_keys, offchain.peers, announced.transmitters, strict=True
        )
    )
    check_sizes(len(nodes), announced.f)
    check_timing(offchain)
    median = MedianSettings.decode(offchain.plugin)
    return Network(digest, nodes, announced.f, offchain.timing, median, OnchainConfig.decode(announced.onchain))


def _check_identities(announced: ConfigSet, offchain: OffchainConfig) -> None:
    lists: dict[str, tuple[object, ...]] = {
        "signers": announced.signers,
        "transmitters": announced.transmitters,
        "observation keys": offchain.observation_keys,
        "peers": offchain.peers,
    }
    for name, values in lists.items():
        if len(values) != len(announced.signers):
            raise ConfigError(f"{len(values)} {name} for {len(announced.signers)} signers")
        if len(set(values)) != len(values):
            raise ConfigError(f"two of the {name} are the same")
    if len(offchain.secret.blocks) != len(announced.signers):
        raise ConfigError("the shared secret is not dealt to each node")


def check_sizes(n: int, f: int) -> None:
    """Raises `ConfigError`: more nodes than fit into a report, or more faulty ones than the protocol bears."""
    if n > MAX_ORACLES:
        raise ConfigError(f"{n} nodes are more than {MAX_ORACLES}")
    if not (f >= 0 and 3 * f < n):
        raise ConfigError(f"f = {f} faulty nodes of {n}: fewer than a third must be faulty")


def check_timing(config: OffchainConfig) -> None:
    """Raises `ConfigError`: spans that contradict each other, or that would flood the network."""
    timing = config.timing
    if not 0 < timing.max_rounds <= MAX_ROUNDS:
        raise ConfigError(f"{timing.max_rounds} rounds for one leader: 1 to {MAX_ROUNDS} are possible")
    if min(timing.progress, timing.resend) < MIN_PATIENCE:
        raise ConfigError("DeltaProgress and DeltaResend must be 200 ms at least")
    if timing.round >= timing.progress:
        raise ConfigError("DeltaRound must be shorter than DeltaProgress")
    if config.max_query + config.max_observation + config.max_report >= timing.progress:
        raise ConfigError("the times for query, observation and report must fit into DeltaProgress")
    if len(timing.stages) > MAX_STAGES:
        raise ConfigError(f"{len(timing.stages)} stages of transmission are more than {MAX_STAGES}")
