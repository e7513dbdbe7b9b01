"""CCIP 1.2: manual execution. One gas limit for each message, none for tokens; a curse is always of everything.

Source: `EVM2EVMOffRamp.sol`, `ARM.sol` 1.2.0 of @chainlink/contracts-ccip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seamark.core.ids import Address
from seamark.evm.abi import Abi, Function
from seamark.evm.contract import Contract as Reader
from seamark.messages.protocols.ccip.evm2evm.recovery import MESSAGE, REPORT, EvmToEvmRamps
from seamark.messages.protocols.ccip.recovery import RampMessage, override
from seamark.messages.protocols.ccip.v1_2 import events
from seamark.messages.recovery.model import Case, Gas
from seamark.messages.recovery.port import ExecutionChain

__all__ = ["RAMPS"]

_MANUALLY_EXECUTE = Function.parse(f"manuallyExecute({REPORT} report, uint256[] gasLimitOverrides)")
_EXECUTE_SINGLE = Function.parse(f"executeSingleMessage({MESSAGE} message, bytes[] offchainTokenData)")
_RISK = Abi.parse("function isCursed() view returns (bool)")


class _Wire:
    """`evm2evm.recovery.Wire`."""

    @property
    def off_ramp(self) -> Abi:
        return events.OFF_RAMP

    def token_gas(self, struct: Any) -> tuple[int | None, ...]:
        return (None,) * len(struct.tokenAmounts)

    def manual_call(self, report: tuple[Any, ...], messages: Sequence[RampMessage], gas: Gas) -> bytes:
        return _MANUALLY_EXECUTE.encode(report, [override(message, gas)[0] for message in messages])

    def trial_call(self, struct: tuple[Any, ...], token_data: Sequence[bytes], message: RampMessage, gas: Gas) -> bytes:
        del message, gas  # no limits of tokens that could be raised
        return _EXECUTE_SINGLE.encode(struct, token_data)

    async def cursed(self, destination: ExecutionChain, static: Any, case: Case) -> str:
        del case
        return "Everything" if await Reader(destination, Address(static.armProxy), _RISK).read("isCursed") else ""


RAMPS = EvmToEvmRamps(_Wire())
