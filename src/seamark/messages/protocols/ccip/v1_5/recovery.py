"""CCIP 1.5: manual execution. Gas may be raised for the receiver and for the pool of each token.

Source: `EVM2EVMOffRamp.sol`, `Internal.sol` (`SourceTokenData`), `RMN.sol` 1.5.0 of @chainlink/contracts-ccip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seamark.core.errors import RejectedError
from seamark.core.ids import Address
from seamark.evm.abi import Abi, Function, compile_decoder, parse_params
from seamark.messages.protocols.ccip.evm2evm.recovery import MESSAGE, REPORT, EvmToEvmRamps
from seamark.messages.protocols.ccip.recovery import RampMessage, is_cursed, override
from seamark.messages.protocols.ccip.v1_5 import events
from seamark.messages.recovery.model import Case, Gas
from seamark.messages.recovery.port import ExecutionChain

__all__ = ["RAMPS"]

_MANUALLY_EXECUTE = Function.parse(
    f"manuallyExecute({REPORT} report, (uint256 receiverGas, uint32[] tokenGas)[] gasLimitOverrides)"
)
_EXECUTE_SINGLE = Function.parse(
    f"executeSingleMessage({MESSAGE} message, bytes[] offchainTokenData, uint32[] tokenGasOverrides)"
)
_decode_token_data = compile_decoder(parse_params("(bytes pool, bytes token, bytes extraData, uint32 destGas) data"))


class _Wire:
    """`evm2evm.recovery.Wire`."""

    @property
    def off_ramp(self) -> Abi:
        return events.OFF_RAMP

    def token_gas(self, struct: Any) -> tuple[int | None, ...]:
        try:
            return tuple(_decode_token_data(blob)[0][3] for blob in struct.sourceTokenData)
        except RejectedError as error:
            raise ValueError(f"the data of a token is not of CCIP 1.5 ({error})") from error

    def manual_call(self, report: tuple[Any, ...], messages: Sequence[RampMessage], gas: Gas) -> bytes:
        return _MANUALLY_EXECUTE.encode(report, [override(message, gas) for message in messages])

    def trial_call(self, struct: tuple[Any, ...], token_data: Sequence[bytes], message: RampMessage, gas: Gas) -> bytes:
        return _EXECUTE_SINGLE.encode(struct, token_data, override(message, gas)[1])

    async def cursed(self, destination: ExecutionChain, static: Any, case: Case) -> str:
        return await is_cursed(destination, Address(static.rmnProxy), case)


RAMPS = EvmToEvmRamps(_Wire())
