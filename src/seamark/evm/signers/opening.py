"""From what an operator wrote to a signer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from seamark.core.errors import SettingsError
from seamark.evm.ports import Signer
from seamark.evm.signer_settings import SignerSettings
from seamark.evm.signers.keystore import open_keystore
from seamark.evm.signers.policy import PolicySigner
from seamark.evm.signers.raw_key import RawKeySigner
from seamark.evm.signers.secret_files import read_secret_file
from seamark.evm.signers.store import JournalLedger
from seamark.runtime.clock import Clock
from seamark.runtime.http_exchange import HttpSession
from seamark.storage.database import Database

__all__ = ["SignerSource", "open_backend", "open_guarded", "open_signer"]


@dataclass(frozen=True, slots=True)
class SignerSource:
    """Exactly one way to a key. `setting` is how errors name it.

    `private_key` is the hex key itself; `private_key_env` names an environment variable that holds it;
    `private_key_file` a file that does; `keystore` is a V3 file that `password_file` opens.
    """

    private_key: str | None = field(default=None, repr=False)
    private_key_env: str | None = None
    private_key_file: str | None = None
    keystore: str | None = None
    password_file: str | None = None
    setting: str = "signer"


async def open_guarded(
    settings: SignerSettings,
    setting: str,
    *,
    session: HttpSession,
    clock: Clock,
    database: Database,
    environment: Mapping[str, str] = os.environ,
    patience_s: float = 0.0,
) -> Signer:
    """As `open_backend`, with the settings' policy in front. `database` holds the journal.

    Raises:
        SettingsError: The key cannot be used.
    """
    signer = await open_backend(
        settings, setting, session=session, clock=clock, environment=environment, patience_s=patience_s
    )
    if settings.policy is None:
        return signer
    return PolicySigner(
        signer, settings.policy, clock=clock, ledger=JournalLedger(database), setting=f"{setting}.policy"
    )


async def open_backend(
    settings: SignerSettings,
    setting: str,
    *,
    session: HttpSession,
    clock: Clock,
    environment: Mapping[str, str] = os.environ,
    patience_s: float = 0.0,
) -> Signer:
    """The key that the settings name, wherever it is, without their policy. `setting` is how errors name it.

    Services that sign are asked for the key, and sign a harmless text once; one that does not answer is asked again for
    `patience_s` seconds.

    Raises:
        SettingsError: It cannot be used. One line; never a key, password or token.
    """
    # Imported late: their parts take a while, and most processes sign with none of them or with one.
    if settings.web3signer is not None:
        from seamark.evm.signers.web3signer import open_web3signer  # noqa: PLC0415

        return await open_web3signer(
            settings.web3signer, session=session, clock=clock, setting=f"{setting}.web3signer", patience_s=patience_s
        )
    if settings.aws_kms is not None:
        from seamark.evm.signers.aws_kms import open_aws_kms  # noqa: PLC0415

        return await open_aws_kms(
            settings.aws_kms,
            session=session,
            clock=clock,
            environment=environment,
            setting=f"{setting}.aws_kms",
            patience_s=patience_s,
        )
    if settings.gcp_kms is not None:
        from seamark.evm.signers.gcp_kms import open_gcp_kms  # noqa: PLC0415

        return await open_gcp_kms(
            settings.gcp_kms, session=session, clock=clock, setting=f"{setting}.gcp_kms", patience_s=patience_s
        )
    key = settings.private_key
    source = SignerSource(
        private_key=None if key is None else key.get_secret_value(),
        private_key_env=settings.private_key_env,
        private_key_file=settings.private_key_file,
        keystore=settings.keystore,
        password_file=settings.password_file,
        setting=setting,
    )
    return await open_signer(source, environment)


async def open_signer(source: SignerSource, environment: Mapping[str, str] = os.environ) -> Signer:
    """Read the key and check it.

    Raises:
        SettingsError: None or several ways given, a variable that is not set, a file that others can read, a wrong
            password, a malformed key. One line; never the key.
    """
    ways = (source.private_key, source.private_key_env, source.private_key_file, source.keystore)
    if sum(way is not None for way in ways) != 1:
        raise SettingsError(
            source.setting,
            "name exactly one way to sign",
            remedy="keystore with password_file, private_key_file, or private_key_env",
        )
    if source.keystore is not None:
        return await _from_keystore(source.keystore, source)
    if source.private_key_env is not None:
        return _from_environment(source.private_key_env, environment)
    if source.private_key_file is not None:
        return await _from_file(source.private_key_file, source)
    return RawKeySigner.from_hex(source.private_key or "", setting=source.setting)


async def _from_keystore(path: str, source: SignerSource) -> Signer:
    if source.password_file is None:
        raise SettingsError(
            source.setting, "a keystore needs a password_file", remedy="put the password in a 0600 file"
        )
    return await open_keystore(path, source.password_file, setting=source.setting)


def _from_environment(name: str, environment: Mapping[str, str]) -> Signer:
    text = environment.get(name)
    if text is None:
        raise SettingsError(name, "this environment variable is not set", remedy="set it to the hex private key")
    return RawKeySigner.from_hex(text, setting=name)


async def _from_file(path: str, source: SignerSource) -> Signer:
    raw = await asyncio.to_thread(read_secret_file, path, setting=source.setting)
    return RawKeySigner.from_hex(raw.decode("ascii", errors="replace"), setting=source.setting)
