"""A sender that sends nothing: it journals nothing, signs nothing, and tells what a transaction would cost.

Gas is estimated for the account, as a real sender does it, so what would revert is refused here too. Without an account
nobody can say what the chain would answer: then the limit given is taken, or none is told.
"""

from __future__ import annotations

from dataclasses import dataclass

from seamark.core.errors import RejectedError
from seamark.core.ids import Address
from seamark.evm.address import ZERO_ADDRESS
from seamark.evm.ports import Intent, Outcome, TxState
from seamark.evm.transactions.fees import quote
from seamark.evm.transactions.ports import ChainWriter
from seamark.evm.transactions.quoting import FeeDesk, GasDesk
from seamark.evm.transactions.settings import SenderSettings
from seamark.runtime.clock import Clock

__all__ = ["Appraisal", "DrySender"]


@dataclass(frozen=True, slots=True)
class Appraisal:
    """What a transaction would cost, in wei: `cost` at the next block's price, `most` at the highest offered.

    `gas` is the limit. None: unknown without an account.
    """

    gas: int | None
    price: int
    cost: int | None
    most: int | None


class DrySender:
    """`evm.ports.TransactionSender` for rehearsals.

    Args:
        chain: Where it would send.
        address: Who would pay; `ZERO_ADDRESS`: unknown.
        clock: Time.
        settings: Limits of fees.
    """

    def __init__(self, *, chain: ChainWriter, address: Address, clock: Clock, settings: SenderSettings) -> None:
        self.address = address
        self._policy = settings.fees
        self._fees = FeeDesk(chain, clock, settings)
        self._gas = GasDesk(chain, clock, settings, address)

    async def appraise(self, intent: Intent) -> Appraisal:
        """What this would cost now.

        Raises:
            RejectedError: It would revert.
            TemporaryError: No node answers.
        """
        market = await self._fees.market()
        fees = quote(market, self._policy)
        price = fees.cap if fees.legacy or market.next_base is None else min(market.next_base + fees.tip, fees.cap)
        gas = intent.gas_limit if self.address == ZERO_ADDRESS else await self._gas.limit(intent)
        if gas is None:
            return Appraisal(None, price, None, None)
        return Appraisal(gas, price, gas * price + intent.value, gas * fees.cap + intent.value)

    async def submit(self, intent: Intent) -> Outcome:
        """Never."""
        raise RejectedError(f"{intent.key}: a rehearsal sends nothing")

    async def replace(self, key: str, intent: Intent) -> Outcome:
        """Never."""
        raise RejectedError(f"{intent.key}: a rehearsal replaces nothing at {key}")

    async def wait(self, key: str, *, until: TxState = TxState.MINED) -> Outcome:
        """Nothing was sent that could be waited for."""
        raise RejectedError(f"{key}: a rehearsal has nothing that could become {until}")

    async def find(self, key: str) -> Outcome | None:
        """Its journal is empty."""
        del key
        return None

    def limit_spending(self, owner: str, wei: int | None) -> None:
        """Nothing is spent."""

    def spent(self, owner: str) -> int:
        """Nothing."""
        del owner
        return 0
