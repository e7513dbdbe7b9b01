"""The signers that the settings name: asked one by one, to tell whether each answers and which account it is."""

from __future__ import annotations

from seamark.app.chains import open_settings_signer
from seamark.core.ids import Address
from seamark.evm.settings import SignerSettings
from seamark.runtime.clock import Clock
from seamark.runtime.http import make_session
from seamark.settings import Settings
from seamark.storage.database import open_database

__all__ = ["ask_signers"]


async def ask_signers(settings: Settings, clock: Clock) -> dict[str, Address]:
    """The account of each signer, by its setting. A service that holds a key signs a harmless text.

    Raises:
        SettingsError: One cannot be used; names the setting and the remedy.
    """
    wanted: dict[str, SignerSettings | None] = {
        "oracle.signer": settings.oracle.signer,
        "recovery.signer": settings.recovery.signer,
        "operations.signer": settings.operations.signer,
        "operations.admin": settings.operations.admin,
    }
    found: dict[str, Address] = {}
    database = await open_database("sqlite://")
    try:
        async with make_session() as session:
            for setting, item in wanted.items():
                if item is not None:
                    signer = await open_settings_signer(item, setting, session=session, clock=clock, database=database)
                    found[setting] = signer.address
    finally:
        await database.close()
    return found
