"""One transaction of an operator, sent once: the journal first, then the chain, then waiting for its block.

The same command given twice, or again after a crash, finds the transaction in the journal instead of sending another.
What an operator asks for again after it was mined without effect (a message that failed once more) is a new attempt
with a key of its own; whether it is still wanted is asked after the journal was brought up to date.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from seamark.app.chains import OpenChain, make_sender, open_settings_signer
from seamark.app.turns import signing_turn
from seamark.core.errors import SettingsError, TemporaryError
from seamark.core.ids import Address, Hash32
from seamark.evm.metrics import TransactionMetrics
from seamark.evm.ports import Intent, Outcome, Signer, TxState
from seamark.evm.settings import SignerSettings
from seamark.evm.transactions import FeePolicy, Sender, SenderSettings
from seamark.evm.transactions.fees import quote
from seamark.evm.transactions.quoting import FeeDesk
from seamark.evm.types import Receipt
from seamark.runtime.clock import Clock
from seamark.runtime.http import make_session
from seamark.settings import Settings
from seamark.storage.database import Database

__all__ = ["Delivery", "open_operator", "send_once", "unsigned_transaction"]

_SETTLED = (TxState.MINED, TxState.CONFIRMED, TxState.REPLACED)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a transaction. `receipt` is None where it was not in a block in time, `wanted` false where nobody
    needed it any more and nothing was sent.
    """

    key: str
    transaction: Hash32 | None
    receipt: Receipt | None
    wanted: bool = True


@asynccontextmanager
async def open_operator(settings: Settings, *, database: Database, clock: Clock) -> AsyncIterator[Signer]:
    """The signer of recovery, as long as the block lasts.

    Raises:
        SettingsError: There is none, it cannot be opened, or it is the publisher's.
    """
    wanted: SignerSettings | None = settings.recovery.signer
    if wanted is None:
        raise SettingsError(
            "recovery.signer",
            "is not set, so nothing can be signed",
            remedy="set it to a key that nothing else uses, or take the transaction with --out and sign it elsewhere",
        )
    if wanted.same_key(settings.oracle.signer):
        raise SettingsError(
            "recovery.signer",
            "is the publisher's key: two processes that sign with the same one take each other's nonces",
            remedy="use another key",
        )
    async with make_session() as session:
        yield await open_settings_signer(wanted, "recovery.signer", session=session, clock=clock, database=database)


async def send_once(
    item: OpenChain,
    signer: Signer,
    intent: Intent,
    *,
    database: Database,
    clock: Clock,
    timeout_s: float,
    still_wanted: Callable[[], Awaitable[bool]],
    once: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Delivery:
    """Send, and wait for the block. Commands that sign with one key take turns.

    Args:
        item: The chain.
        signer: Who pays.
        intent: What to send; its key names the attempt's first try.
        database: Holds the journal.
        clock: Time.
        timeout_s: How long to wait for a block; the transaction stays in the journal and at the nodes.
        still_wanted: Asked once the journal is up to date, right before anything is sent.
        once: The key stands for one transaction for ever: what came of it is told, and nothing is sent again.
        tell: Where to say that another command has the turn.

    Raises:
        RejectedError: It would fail, or cannot be paid for; nothing was sent.
        TemporaryError: No node answers, or another process keeps the signer to itself.
    """
    turn = signing_turn(
        item.chain.chain_id, signer.address, database=database, clock=clock, timeout_s=timeout_s, tell=tell
    )
    async with turn:
        return await _send_in_turn(
            item, signer, intent, database=database, clock=clock, timeout_s=timeout_s, still_wanted=still_wanted,
            once=once,
        )  # fmt: skip


async def _send_in_turn(
    item: OpenChain,
    signer: Signer,
    intent: Intent,
    *,
    database: Database,
    clock: Clock,
    timeout_s: float,
    still_wanted: Callable[[], Awaitable[bool]],
    once: bool,
) -> Delivery:
    metrics = TransactionMetrics(CollectorRegistry())
    sender = make_sender(item, signer, database=database, clock=clock, metrics=metrics)
    try:
        under_way = await _attempt(sender, intent.key)
        begun = await sender.find(under_way) is not None
        await sender.look()
        if not await still_wanted():
            return Delivery(intent.key, None, None, wanted=False)
        key = intent.key if once else await _attempt(sender, intent.key)
        if begun and not once and await _is_mined(sender, under_way):
            key = under_way  # mined since the last command, which nobody has been told: no reason for another one
        running = asyncio.create_task(sender.run())
        try:
            attempt = Intent(key, intent.to, intent.data, intent.value, intent.gas_limit)
            return await _follow(sender, attempt, timeout_s)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
    finally:
        await sender.close()


async def _attempt(sender: Sender, key: str) -> str:
    """The key of the attempt that is under way, else of the next one."""
    for number in itertools.count():
        name = key if number == 0 else f"{key}#{number}"
        known = await sender.find(name)
        if known is None or known.state not in _SETTLED:
            return name
    raise AssertionError


async def _is_mined(sender: Sender, key: str) -> bool:
    known = await sender.find(key)
    return known is not None and known.state in (TxState.MINED, TxState.CONFIRMED)


async def _follow(sender: Sender, intent: Intent, timeout_s: float) -> Delivery:
    outcome: Outcome | None = None
    try:
        async with asyncio.timeout(timeout_s):
            try:
                outcome = await sender.submit(intent)
            except TemporaryError:
                outcome = await sender.find(intent.key)
                if outcome is None:  # not journalled: nothing was sent
                    raise
            outcome = await sender.wait(intent.key, until=TxState.MINED)
    except TimeoutError:
        if outcome is None:
            raise TemporaryError(
                f"no node has taken the transaction within {timeout_s:g} s", remedy="give the same command again"
            ) from None
    receipt = outcome.receipt
    sent = receipt.transaction_hash if receipt else outcome.hashes[-1] if outcome.hashes else None
    return Delivery(intent.key, sent, receipt)


async def unsigned_transaction(
    item: OpenChain, *, to: Address, data: bytes, gas: int, clock: Clock, sender: Address | None = None
) -> dict[str, str]:
    """A transaction for somebody else to sign, with the fees of the moment, in the names of JSON-RPC. With `sender`,
    also its next nonce.

    Raises:
        TemporaryError: No node answers.
    """
    limits = item.settings.fees
    policy = FeePolicy(ceiling=limits.max_gas_price, min_tip=limits.min_tip, legacy=limits.legacy)
    market = await FeeDesk(item.chain, clock, SenderSettings(fees=policy)).market()
    fees = quote(market, policy)
    made = {
        "chainId": hex(item.chain.chain_id),
        "type": "0x0" if fees.legacy else "0x2",
        "to": str(to),
        "value": "0x0",
        "gas": hex(gas),
        "data": "0x" + data.hex(),
    }
    if fees.legacy:
        made["gasPrice"] = hex(fees.cap)
    else:
        made |= {"maxFeePerGas": hex(fees.cap), "maxPriorityFeePerGas": hex(fees.tip)}
    if sender is not None:
        made |= {"from": str(sender), "nonce": hex(await item.chain.nonce(sender, "pending"))}
    return made
