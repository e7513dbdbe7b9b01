"""Settings of a signer: where its key is, and what it may be used for.

Keys stay where they are safest: in a service that signs (`web3signer`, `aws_kms`, `gcp_kms`), else in a file that its
owner alone can read. A policy stands in front of each of them in the same way.
"""

from __future__ import annotations

import re
from typing import Final, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from seamark.core.units import Seconds, Wei
from seamark.evm.fields import AddressText, FunctionText, RpcUrl
from seamark.runtime.settings import Duration, Money, SettingsModel

__all__ = [
    "AllowedCallSettings",
    "AwsKmsSettings",
    "GcpKmsSettings",
    "SignerPolicySettings",
    "SignerSettings",
    "Web3SignerSettings",
]

_PUBLIC_KEY: Final = re.compile(r"(?:0x)?(?:04)?([0-9a-fA-F]{128})", re.ASCII)
_KEY_VERSION: Final = re.compile(
    r"projects/[^/\s]+/locations/[^/\s]+/keyRings/[\w-]+/cryptoKeys/[\w-]+/cryptoKeyVersions/[0-9]+", re.ASCII
)
_REGION: Final = re.compile(r"[a-z0-9-]{2,32}", re.ASCII)
_SIGNING_TIMEOUT: Final = Seconds(3.0)  # a KMS answers in 10 to 200 ms; each try has so long


class Web3SignerSettings(SettingsModel):
    """A Web3Signer that runs with `eth1` and holds the key."""

    url: RpcUrl = Field(repr=False)
    """Its HTTP address. Use https unless it is on this machine."""

    address: AddressText | None = None
    """The account to sign for; this or `public_key`."""

    public_key: str | None = None
    """64 bytes in hex, as Web3Signer lists it."""

    ca_file: str | None = None
    """PEM file with the authority that signed its certificate, where the system does not know it."""

    client_certificate: str | None = None
    """PEM file with the certificate that we show, where it asks for one."""

    client_key: str | None = None
    """PEM file with that certificate's key, readable by its owner alone."""

    timeout: Duration = _SIGNING_TIMEOUT
    """For one try; there are three."""

    @field_validator("public_key")
    @classmethod
    def _is_public_key(cls, value: str | None) -> str | None:
        match = _PUBLIC_KEY.fullmatch(value) if value is not None else None
        if value is not None and match is None:
            raise ValueError("is no uncompressed public key; write the 64 bytes in hex, as GET …/publicKeys shows them")
        return match[1].lower() if match else None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.address is None) == (self.public_key is None):
            raise ValueError("name the key by either address or public_key; Web3Signer may hold many")
        if (self.client_certificate is None) != (self.client_key is None):
            raise ValueError("a client certificate needs its key; set both client_certificate and client_key")
        if self.url.startswith("http:") and (self.ca_file or self.client_certificate):
            raise ValueError("has certificates for an address without TLS; write https://…")
        return self


class AwsKmsSettings(SettingsModel):
    """A key of AWS KMS: asymmetric, ECC_SECG_P256K1, for SIGN_VERIFY.

    The credentials come from where AWS's tools look, in this order: AWS_ACCESS_KEY_ID and its kin, a web identity
    (IRSA), the container's endpoint (ECS, EKS pod identity), the machine's role (EC2).
    """

    key_id: str = Field(min_length=1)
    """Id, ARN or alias/NAME."""

    region: str
    """Such as eu-central-1."""

    address: AddressText | None = None
    """The account that the key must be; leave it out once, and the start tells it."""

    endpoint: RpcUrl | None = Field(None, repr=False)
    """Instead of https://kms.REGION.amazonaws.com: a VPC endpoint, or a stand-in."""

    timeout: Duration = _SIGNING_TIMEOUT
    """For one try; there are three."""

    @field_validator("region")
    @classmethod
    def _is_region(cls, value: str) -> str:
        if not _REGION.fullmatch(value):
            raise ValueError(f"{value!r} is no region; write it as in eu-central-1")
        return value


class GcpKmsSettings(SettingsModel):
    """A key version of Google Cloud KMS: EC_SIGN_SECP256K1_SHA256 (which exists as HSM keys alone).

    The token comes from a service account's key file, else from the metadata server of the machine (GCE, GKE, Cloud
    Run).
    """

    key_version: str
    """projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N."""

    address: AddressText | None = None
    """The account that the key must be; leave it out once, and the start tells it."""

    credentials_file: str | None = None
    """Key file (JSON) of a service account, readable by its owner alone."""

    endpoint: RpcUrl | None = Field(None, repr=False)
    """Instead of https://cloudkms.googleapis.com."""

    timeout: Duration = _SIGNING_TIMEOUT
    """For one try; there are three."""

    @field_validator("key_version")
    @classmethod
    def _is_key_version(cls, value: str) -> str:
        if not _KEY_VERSION.fullmatch(value):
            raise ValueError(
                "is no key version; write projects/…/locations/…/keyRings/…/cryptoKeys/…/cryptoKeyVersions/1"
            )
        return value


class AllowedCallSettings(SettingsModel):
    """What may be called. What is left out is not looked at."""

    chain_id: int | None = Field(None, gt=0)
    """EIP-155 id."""

    contract: AddressText | None = None
    """The called contract."""

    functions: tuple[FunctionText, ...] = ()
    """Its functions: "submit(uint256,int256)", or the four bytes as 0x…."""


class SignerPolicySettings(SettingsModel):
    """What is signed; all else is refused, whoever asks. It reads the very bytes that are to be signed."""

    allow: tuple[AllowedCallSettings, ...] = ()
    """A transaction has to fit one of them. Empty: any chain, contract and function."""

    max_fee: Money | None = None
    """Gas limit times the highest price per gas that one transaction may offer."""

    max_value: Money = Wei(0)
    """What one transaction may carry to its receiver, besides its fee."""

    max_per_minute: int | None = Field(None, gt=0)
    """Signatures in any 60 seconds."""

    max_spend_per_day: Money | None = None
    """Fees and values of any 24 hours, on each chain: what was paid where that is known, else the most that may be."""

    reports: bool = False
    """Whether reports of an oracle network may be signed (128 bytes that are no transaction)."""


class SignerSettings(SettingsModel):
    """Exactly one way to sign."""

    private_key_env: str | None = None
    """Name of the environment variable that holds a hex key: for trials and containers."""

    private_key_file: str | None = None
    """File with a hex key, readable by its owner alone."""

    keystore: str | None = None
    """Keystore V3 file, readable by its owner alone."""

    password_file: str | None = None
    """File with the keystore's password, readable by its owner alone."""

    private_key: SecretStr | None = None
    """The key itself; for values from the environment (`${PRIVATE_KEY}`), never written down."""

    web3signer: Web3SignerSettings | None = None
    """A Web3Signer holds it."""

    aws_kms: AwsKmsSettings | None = None
    """AWS KMS holds it."""

    gcp_kms: GcpKmsSettings | None = None
    """Google Cloud KMS holds it."""

    policy: SignerPolicySettings | None = None
    """What it signs; None: anything."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        local = [self.private_key_env, self.private_key_file, self.keystore, self.private_key]
        remote = [self.web3signer, self.aws_kms, self.gcp_kms]
        if sum(way is not None for way in [*local, *remote]) != 1:
            raise ValueError(
                "name exactly one way to sign; web3signer, aws_kms, gcp_kms, keystore with password_file,"
                " private_key_file, or private_key_env"
            )
        if self.keystore and not self.password_file:
            raise ValueError("a keystore needs a password_file")
        return self

    def same_key(self, other: SignerSettings | None) -> bool:
        """Whether both name the same key, whatever their policies are."""
        if other is None:
            return False
        return self.model_copy(update={"policy": None}) == other.model_copy(update={"policy": None})
