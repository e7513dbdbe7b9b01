"""Settings of a chain: where its nodes are, when its blocks are final, what its transactions may cost, who signs.

A chain is named once, under `chains`, and referred to by that name everywhere else.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, SecretStr, model_validator

from seamark.core.ids import Address
from seamark.core.units import Seconds
from seamark.evm.address import AddressError, parse_address, to_checksum
from seamark.runtime.logs import redact_url
from seamark.runtime.settings import Duration, SettingsModel

__all__ = [
    "AddressText",
    "ChainSettings",
    "FeeSettings",
    "FinalitySettings",
    "RpcUrl",
    "SelectorText",
    "SignerSettings",
]

_MAX_UINT64 = 2**64 - 1


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        # The URL itself may carry a key: never quote all of it.
        raise ValueError(f"{redact_url(url)!r} is no node address; write http://host:port or https://…")
    return url


def _to_selector(value: Any) -> Any:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _MAX_UINT64:
        raise ValueError(f"{value!r} is no chain selector; write a decimal uint64 above zero")
    return value


def _to_address(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("is a number to YAML, not an address; write it in quotes")  # noqa: TRY004 - as pydantic wants
    try:
        return parse_address(value)
    except AddressError as error:
        raise ValueError(str(error)) from None  # as pydantic wants it; the setting's name is added there


AddressText = Annotated[Address, BeforeValidator(_to_address), PlainSerializer(to_checksum, when_used="json")]
"""20 bytes in hex; where the case is mixed it must be the EIP-55 checksum."""

RpcUrl = Annotated[str, AfterValidator(_check_url), PlainSerializer(redact_url, when_used="json")]
"""A node's address; shown without its user, path and query, where providers put keys."""

SelectorText = Annotated[int, BeforeValidator(_to_selector), PlainSerializer(str, when_used="json")]
"""CCIP chain selector; text or a number in YAML, text in JSON (it exceeds 2**53)."""


class FinalitySettings(SettingsModel):
    """When a block counts as final."""

    tag: Literal["finalized", "safe"] | None = "finalized"
    """The node's own tag; None uses `depth` alone."""

    depth: int = Field(64, ge=0)
    """Blocks behind the head that count as final where the node knows no tag. 0 for instant finality (QBFT, IBFT)."""


class FeeSettings(SettingsModel):
    """What a transaction may cost. Amounts in wei."""

    max_gas_price: int = Field(500 * 10**9, ge=0)
    """Never offer more than this per gas; a transaction that needs more waits and says so. 500 gwei stops a runaway,
    not a busy day."""

    min_tip: int = Field(0, ge=0)
    """Some chains refuse a smaller priority fee."""

    bump_after: Duration = Seconds(30.0)
    """Offer 12.5 % more when a transaction is not mined for so long. Chains without fees never bump."""

    confirmations: int = Field(1, ge=1)
    """Blocks on top of (and with) a transaction's own until it counts as confirmed, where the node knows no finality
    tag and `finality.depth` asks for less."""


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

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        ways = [self.private_key_env, self.private_key_file, self.keystore, self.private_key]
        if sum(way is not None for way in ways) != 1:
            raise ValueError(
                "name exactly one way to sign; keystore with password_file, private_key_file, or private_key_env"
            )
        if self.keystore and not self.password_file:
            raise ValueError("a keystore needs a password_file")
        return self


class ChainSettings(SettingsModel):
    """One chain."""

    chain_id: int = Field(gt=0)
    """EIP-155 id; every endpoint is asked for it before it is trusted."""

    rpc: tuple[RpcUrl, ...] = Field(min_length=1, repr=False)
    """Endpoints, the preferred one first."""

    selector: SelectorText | None = None
    """CCIP selector; only for chains that the published table does not know (138, private chains)."""

    label: str | None = None
    """Name shown to people; the settings' key where missing."""

    poll_interval: Duration = Seconds(1.0)
    """How often to look for a new block; about half a block time is right."""

    finality: FinalitySettings = FinalitySettings()
    fees: FeeSettings = FeeSettings()
