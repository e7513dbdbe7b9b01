"""The market's snapshot and gas limits, kept fresh beside the hot path.

A submit must cost one request, the broadcast. So the fee market is read in the background and used up to a maximum age,
and a gas limit is estimated once per (recipient, selector).
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from seamark.core.errors import RejectedError, SeamarkError, TemporaryError
from seamark.core.ids import Address
from seamark.evm.ports import Intent
from seamark.evm.transactions.encoding import intrinsic_gas
from seamark.evm.transactions.fees import Market, mean_reward
from seamark.evm.transactions.ports import ChainWriter
from seamark.evm.transactions.settings import SenderSettings
from seamark.evm.types import Receipt
from seamark.runtime.clock import Clock

__all__ = ["FeeDesk", "GasDesk"]

HISTORY_BLOCKS: Final = 10  # two minutes of mainnet: long enough to see a tip, short enough to be today's
PERCENTILE: Final = 50.0
_SELECTOR_BYTES: Final = 4
_OUT_OF_GAS_PERCENT: Final = 98  # a failure that used so much of its limit most likely ran out

log = structlog.get_logger("seamark.evm.transactions")


class FeeDesk:
    """The newest fee market of one chain."""

    def __init__(self, chain: ChainWriter, clock: Clock, settings: SenderSettings) -> None:
        self._chain = chain
        self._clock = clock
        self._settings = settings
        self._market: Market | None = None
        self._read_at = 0.0
        self._failing = False
        self._refreshing: asyncio.Task[None] | None = None

    async def market(self) -> Market:
        """A snapshot no older than the maximum age; usually without any request.

        Raises:
            TemporaryError: There is none and no endpoint answers.
        """
        age = self._clock.monotonic() - self._read_at
        if self._market is None or age > self._settings.fee_max_age_s:
            await asyncio.shield(self._refresh())
        elif age > self._settings.fee_refresh_s:
            self._refresh()
        assert self._market is not None
        return self._market

    def last(self) -> Market:
        """The last snapshot, whatever its age. Only after a first `market()`."""
        assert self._market is not None
        return self._market

    async def keep_fresh(self) -> None:
        """Read again when it is time; a failure is told in the log, once, and the old snapshot stays."""
        if self._clock.monotonic() - self._read_at > self._settings.fee_refresh_s:
            try:
                await asyncio.shield(self._refresh())
            except SeamarkError as error:
                if not self._failing:
                    log.warning("fees not refreshed", chain_id=self._chain.chain_id, error=str(error))
                self._failing = True
            else:
                self._failing = False

    def _refresh(self) -> asyncio.Task[None]:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._read())
            self._refreshing.add_done_callback(_consume)
        return self._refreshing

    async def _read(self) -> None:
        head, price = await asyncio.gather(self._chain.header("latest"), self._chain.gas_price())
        if head is None:
            raise TemporaryError(f"chain {self._chain.chain_id}: a node knows no newest block")
        if head.base_fee is None:
            market = Market(None, 0, price)
        else:
            base, tip = await self._history(head.base_fee)
            market = Market(base, await self._suggested_tip() if tip is None else tip, price)
        self._market = market
        self._read_at = self._clock.monotonic()

    async def _history(self, base: int) -> tuple[int, int | None]:
        """The next block's base fee and the tip that others paid; the newest block's where a node keeps no history."""
        try:
            history = await self._chain.fee_history(HISTORY_BLOCKS, "latest", (PERCENTILE,))
        except RejectedError:
            return base, None
        return history.base_fees[-1] if history.base_fees else base, mean_reward(history.rewards)

    async def _suggested_tip(self) -> int:
        try:
            return await self._chain.max_priority_fee()
        except RejectedError:
            return 0  # the method is younger than EIP-1559 and some nodes lack it; then nobody pays tips either


class GasDesk:
    """Gas limits."""

    def __init__(self, chain: ChainWriter, clock: Clock, settings: SenderSettings, sender: Address) -> None:
        self._chain = chain
        self._clock = clock
        self._settings = settings
        self._sender = sender
        self._estimates: dict[tuple[Address | None, bytes], tuple[int, float]] = {}
        self._tasks: set[asyncio.Task[int]] = set()

    def known(self, intent: Intent) -> int | None:
        """The limit, where it takes no request to tell."""
        if intent.gas_limit is not None:
            return intent.gas_limit
        found = self._estimates.get(_kind(intent))
        if found is None:
            return None
        estimate, read_at = found
        if self._clock.monotonic() - read_at > self._settings.gas_max_age_s:
            self._estimate_again(intent, estimate)
        return self._with_margin(estimate)

    async def limit(self, intent: Intent) -> int:
        """The limit, estimated if need be; checked against what the bytes alone cost.

        Raises:
            RejectedError: It reverts, or the limit given cannot be enough.
        """
        known = self.known(intent)
        gas = self._with_margin(await self._estimate(intent)) if known is None else known
        least = intrinsic_gas(intent.to, intent.data)
        if gas < least:
            raise RejectedError(
                f"{intent.key}: a gas limit of {gas} is below the {least} that its bytes alone cost",
                remedy="raise the gas limit or leave it out to have it estimated",
            )
        return gas

    async def check(self, intent: Intent) -> None:
        """Run it on the newest state without sending it.

        Raises:
            RejectedError: It reverts.
        """
        await self._chain.simulate(sender=self._sender, to=intent.to, data=intent.data, value=intent.value)

    def learn(self, to: Address | None, data: bytes, gas: int, receipt: Receipt) -> None:
        """Forget an estimate that proved too low."""
        if not receipt.succeeded and receipt.gas_used * 100 >= gas * _OUT_OF_GAS_PERCENT:
            self._estimates.pop((to, data[:_SELECTOR_BYTES]), None)

    def _with_margin(self, estimate: int) -> int:
        return -(-estimate * self._settings.gas_margin_percent // 100)

    async def _estimate(self, intent: Intent) -> int:
        gas = await self._chain.estimate_gas(sender=self._sender, to=intent.to, data=intent.data, value=intent.value)
        self._estimates[_kind(intent)] = (gas, self._clock.monotonic())
        return gas

    def _estimate_again(self, intent: Intent, estimate: int) -> None:
        self._estimates[_kind(intent)] = (estimate, self._clock.monotonic())  # one task at a time
        task = asyncio.create_task(self._estimate(intent))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_consume)


def _kind(intent: Intent) -> tuple[Address | None, bytes]:
    return intent.to, intent.data[:_SELECTOR_BYTES]


def _consume(task: asyncio.Task[int] | asyncio.Task[None]) -> None:
    """A background refresh that failed leaves the old value in use; whoever needs a fresh one awaits and sees it."""
    if not task.cancelled() and task.exception() is not None:
        log.debug("background refresh failed", error=str(task.exception()))
