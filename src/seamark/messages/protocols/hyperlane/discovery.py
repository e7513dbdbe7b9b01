"""Finding the gas paymasters from the Mailbox: its default and its required hook, and what those are made of.

    Mailbox.defaultHook(), requiredHook() -> hookType() -> a paymaster, or an aggregation of further hooks

Routing hooks choose by destination and are not followed; a paymaster behind one is named in the settings. A hook that
does not say what it is is left alone: payments only serve to tell an unpaid message from a slow one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import structlog

from seamark.core.errors import RejectedError, SettingsError
from seamark.core.ids import Address
from seamark.evm.address import ZERO_ADDRESS, to_checksum
from seamark.evm.contract import Contract as Reader
from seamark.evm.ports import ChainReader
from seamark.messages.model import Contract
from seamark.messages.protocols.hyperlane import events

__all__ = ["GAS_PAYMASTER", "MAILBOX", "check_mailbox", "find_paymasters", "mailbox_hooks"]

MAILBOX, GAS_PAYMASTER = "mailbox", "gas_paymaster"
DEPTH = 4  # aggregations within aggregations; nobody nests deeper, and a loop must end

log = structlog.get_logger("seamark.messages.hyperlane")


async def check_mailbox(reader: ChainReader, mailbox: Address, domain: int | None, setting: str) -> tuple[str, int]:
    """The Mailbox's version and domain.

    Raises:
        SettingsError: No code, another contract, or another domain than the settings say.
    """
    if not await reader.code(mailbox):
        raise SettingsError(
            f"{setting}.mailbox",
            f"there is no contract at {to_checksum(mailbox)} on chain {reader.chain_id}",
            remedy="check the address and the chain",
        )
    try:
        version, found = await Reader(reader, mailbox, events.MAILBOX).read_many([("VERSION", ()), ("localDomain", ())])
    except RejectedError as error:
        raise SettingsError(
            f"{setting}.mailbox",
            f"{to_checksum(mailbox)} is not a Hyperlane Mailbox ({error})",
            remedy="use the Mailbox's address, not a hook's or an application's",
        ) from error
    if domain is not None and domain != found:
        raise SettingsError(
            f"{setting}.domain",
            f"is {domain}, but the Mailbox says {found}",
            remedy="remove it, or correct the address",
        )
    return str(version), int(found)


async def mailbox_hooks(reader: ChainReader, mailbox: Address) -> list[Address]:
    """The hooks that every message passes, unless its sender names another."""
    hooks = await Reader(reader, mailbox, events.MAILBOX).read_many([("defaultHook", ()), ("requiredHook", ())])
    return [Address(hook) for hook in dict.fromkeys(hooks) if hook != ZERO_ADDRESS]


async def find_paymasters(reader: ChainReader, hooks: Iterable[Address]) -> list[Contract]:
    """The gas paymasters among hooks, and inside the aggregations among them."""
    found: dict[Address, Contract] = {}
    seen: set[Address] = set()
    level = list(hooks)
    for _ in range(DEPTH):
        following: list[Address] = []
        for hook in level:
            if hook in seen or hook == ZERO_ADDRESS:
                continue
            seen.add(hook)
            kind, parts = await _look(reader, hook)
            if kind == events.GAS_PAYMASTER:
                found[hook] = Contract(chain_id=reader.chain_id, address=hook, role=GAS_PAYMASTER)
            following += parts
        level = following
    return list(found.values())


async def _look(reader: ChainReader, hook: Address) -> tuple[int | None, Sequence[Address]]:
    contract = Reader(reader, hook, events.HOOK)
    try:
        kind = await contract.read("hookType")
        parts = await contract.read("hooks", b"") if kind == events.AGGREGATION else ()
    except RejectedError as error:
        log.info("hook does not tell what it is", chain=reader.chain_id, address=hook, error=str(error))
        return None, ()
    return int(kind), [Address(part) for part in parts]
