"""The ceremony that founds a network: operators make keys, their identities meet, one configuration comes out.

    make_keys                        in private: off-chain keys (network.identity makes what TLS needs)
    NodeIdentity                     in public: what the others need to know of a node (a YAML file)
    configure(NetworkPlan)           arguments of setConfig, from all identities and the terms that operators agreed on

The peers' names in the configuration are the fingerprints of their TLS keys. So the contract's owner pins
who may speak in the network, and an address that moves to another machine needs no new configuration.

The shared secret is dealt here and forgotten here; whoever runs this step could keep it, and would then know leaders in
advance, nothing more (as in libocr).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Self

import msgspec
from pydantic import AfterValidator, Field, field_validator, model_validator

from seamark.core.errors import RejectedError, SettingsError
from seamark.core.units import Ppb, Seconds
from seamark.evm.fields import AddressText
from seamark.oracle.reporting.codec import MAX_ORACLES, MIN_ORACLES, VALUE_MAX, VALUE_MIN, MedianSettings, OnchainConfig
from seamark.oracle.reporting.config import (
    MILLISECOND,
    OFFCHAIN_VERSION,
    SECOND,
    OffchainConfig,
    Timing,
    read_network,
)
from seamark.oracle.reporting.digest import ConfigSet
from seamark.oracle.reporting.keys import KEY_BYTES, SECRET_BYTES, EncryptionKey, ObservationKey, encrypt_secret
from seamark.oracle.reporting.network.identity import fingerprint
from seamark.oracle.reporting.settings import HostPort
from seamark.runtime.settings import Duration, Ratio, SettingsModel

__all__ = [
    "NetworkPlan",
    "NodeIdentity",
    "NodeKeys",
    "TimingPlan",
    "configure",
    "make_keys",
    "read_keys",
    "write_keys",
]


# ---- in private -----------------------------------------------------------------------------------------------------


class _KeyFile(msgspec.Struct, forbid_unknown_fields=True):
    observation_key: str
    encryption_key: str


_read_key_file: Final = msgspec.json.Decoder(_KeyFile)


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """The off-chain keys of a node."""

    observation: ObservationKey = field(repr=False)
    encryption: EncryptionKey = field(repr=False)


def make_keys() -> bytes:
    """The content of a new file of off-chain keys; for nobody's eyes."""
    return write_keys(secrets.token_bytes(KEY_BYTES), secrets.token_bytes(KEY_BYTES))


def write_keys(observation: bytes, encryption: bytes) -> bytes:
    """A key file: JSON with both keys in hex."""
    made = _KeyFile(observation.hex(), encryption.hex())
    return msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"


def read_keys(content: bytes, *, setting: str) -> NodeKeys:
    """From a key file.

    Raises:
        SettingsError: It is none. Never shows what it holds.
    """
    try:
        raw = _read_key_file.decode(content)
        return NodeKeys(
            ObservationKey(bytes.fromhex(raw.observation_key)), EncryptionKey(bytes.fromhex(raw.encryption_key))
        )
    except (msgspec.DecodeError, ValueError, RejectedError):
        raise SettingsError(
            setting,
            "holds no off-chain keys",
            remedy="name the file with both that `seamark oracle reporting keys` wrote",
        ) from None


# ---- in public ------------------------------------------------------------------------------------------------------


def _check_key(text: str) -> str:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ValueError(f"is no public key; write its {KEY_BYTES} bytes in hex, as in the node's identity file")
    return raw.hex()


def _check_value(value: int) -> int:
    if not VALUE_MIN <= value <= VALUE_MAX:
        raise ValueError("does not fit in an int192; write it in the contract's units")
    return value


PublicKey = Annotated[str, AfterValidator(_check_key)]
Answer = Annotated[int, AfterValidator(_check_value)]


class NodeIdentity(SettingsModel):
    """What the world may know of a node; the file that its operator gives to the others."""

    name: str = Field(min_length=1, max_length=60)
    """For people."""

    address: HostPort
    """host:port at which the others reach it."""

    signer: AddressText
    """The account whose key signs reports."""

    transmitter: AddressText
    """The account that sends transactions."""

    observation_key: PublicKey
    """ed25519."""

    encryption_key: PublicKey
    """X25519."""

    certificate: str
    """PEM."""

    @field_validator("certificate")
    @classmethod
    def _is_certificate(cls, value: str) -> str:
        try:
            fingerprint(value.encode())
        except RejectedError as error:
            raise ValueError(f"is no certificate of a node: {error}; paste certificate.pem as it is") from None
        return value

    @property
    def peer(self) -> str:
        """The node's name in the network."""
        return fingerprint(self.certificate.encode())


class TimingPlan(SettingsModel):
    """How long everything may take; the defaults are those of a public chain with blocks of some seconds."""

    progress: Duration = Seconds(8.0)
    """DeltaProgress: a leader that completes no round for so long is replaced."""

    resend: Duration = Seconds(2.0)
    """DeltaResend: nodes repeat which epoch they want."""

    round: Duration = Seconds(5.0)
    """DeltaRound: a round begins this often, at most."""

    grace: Duration = Seconds(0.5)
    """DeltaGrace: wait for late observations after enough are there."""

    stage: Duration = Seconds(20.0)
    """DeltaStage: the next transmitters wait so long for those before them."""

    max_rounds: int = Field(60, ge=1, le=254)
    """RMax: rounds of one leader."""

    stages: tuple[int, ...] | None = None
    """Transmitters of each stage; one after the other where missing."""

    observation: Duration = Seconds(0.5)
    report: Duration = Seconds(0.5)
    accept: Duration = Seconds(1.0)
    transmit: Duration = Seconds(1.0)
    """The longest that each step of a node may take."""


class NetworkPlan(SettingsModel):
    """What the operators agreed on: who takes part, when a report is worth it, how long things may take."""

    nodes: tuple[NodeIdentity, ...] = Field(min_length=1)
    f: int | None = Field(None, ge=0)
    """Faulty nodes that the network bears; the most that are possible, (n - 1) / 3, where missing."""

    deviation: Ratio
    """A median that differs by this much from the answer on chain is reported."""

    accept_deviation: Ratio | None = None
    """While a report is on its way, one that differs by this much from it is sent too; `deviation` where missing."""

    heartbeat: Duration = Field(gt=0)
    """DeltaC: the longest time between reports."""

    min_answer: Answer
    """The contract's bounds, in its units; they must equal those the contract was made with."""

    max_answer: Answer
    timing: TimingPlan = TimingPlan()

    @property
    def faulty(self) -> int:
        """How many: f."""
        return (len(self.nodes) - 1) // 3 if self.f is None else self.f

    @model_validator(mode="after")
    def _fits(self) -> Self:
        count = len(self.nodes)
        if count < MIN_ORACLES:
            raise ValueError(
                f"{count} nodes bear no faulty one (3f < n); add nodes until there are {MIN_ORACLES}, or publish alone"
            )
        if count > MAX_ORACLES:
            raise ValueError(f"{count} nodes do not fit into a report; remove some until there are {MAX_ORACLES}")
        if 3 * self.faulty >= count:
            raise ValueError(f"f = {self.f} of {count} nodes: fewer than a third may be faulty; lower f or add nodes")
        for what in ("name", "signer", "transmitter", "observation_key", "encryption_key", "peer"):
            values = [getattr(node, what) for node in self.nodes]
            if len(set(values)) != count:
                raise ValueError(f"two nodes have the same {what}; each needs files of its own")
        if self.min_answer > self.max_answer:
            raise ValueError("min_answer is above max_answer; swap them")
        return self


def configure(plan: NetworkPlan, *, secret: bytes | None = None, ephemeral: bytes | None = None) -> ConfigSet:
    """The arguments of setConfig; the count is the contract's business and 0 here.

    Args:
        plan: Checked already.
        secret: 16 bytes, made up where missing.
        ephemeral: 32 bytes of a key used once, made up where missing.

    Raises:
        RejectedError: The plan breaks a bound of the protocol; names it.
    """
    offchain = OffchainConfig(
        timing=_timing(plan.timing, len(plan.nodes)),
        observation_keys=tuple(bytes.fromhex(node.observation_key) for node in plan.nodes),
        peers=tuple(node.peer for node in plan.nodes),
        plugin=_median(plan).encode(),
        max_query=0,
        max_observation=_ns(plan.timing.observation),
        max_report=_ns(plan.timing.report),
        max_accept=_ns(plan.timing.accept),
        max_transmit=_ns(plan.timing.transmit),
        secret=encrypt_secret(
            secret or secrets.token_bytes(SECRET_BYTES),
            [bytes.fromhex(node.encryption_key) for node in plan.nodes],
            EncryptionKey(ephemeral or secrets.token_bytes(KEY_BYTES)),
        ),
    )
    made = ConfigSet(
        count=0,
        signers=tuple(node.signer for node in plan.nodes),
        transmitters=tuple(node.transmitter for node in plan.nodes),
        f=plan.faulty,
        onchain=OnchainConfig(plan.min_answer, plan.max_answer).encode(),
        offchain_version=OFFCHAIN_VERSION,
        offchain=offchain.encode(),
    )
    read_network(bytes(KEY_BYTES), made)  # what nodes would refuse is refused here
    return made


def _median(plan: NetworkPlan) -> MedianSettings:
    accept = plan.deviation if plan.accept_deviation is None else plan.accept_deviation
    return MedianSettings(Ppb(plan.deviation), Ppb(accept), _ns(plan.heartbeat))


def _timing(plan: TimingPlan, nodes: int) -> Timing:
    stages: Sequence[int] = plan.stages if plan.stages is not None else (1,) * nodes
    return Timing(
        progress=_ns(plan.progress),
        resend=_ns(plan.resend),
        round=_ns(plan.round),
        grace=_ns(plan.grace),
        stage=_ns(plan.stage),
        max_rounds=plan.max_rounds,
        stages=tuple(stages),
    )


def _ns(seconds: float) -> int:
    """To the millisecond, so that a float's dust does not go on chain."""
    return round(seconds * SECOND / MILLISECOND) * MILLISECOND
