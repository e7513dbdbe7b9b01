"""Trying what an execution would do, on the destination's own contracts, without sending anything.

An OffRamp executes a message in a call to itself, `executeSingleMessage`, and records as a failure whatever that
reverts with. Only the OffRamp may call it; in `eth_call` anybody may be the sender. So its revert data is what a failed
execution would record, and no revert means success, on every node and in every generation.
"""

from __future__ import annotations

from collections.abc import Callable

from seamark.core.errors import RejectedError
from seamark.core.ids import Address
from seamark.evm.abi import Function
from seamark.evm.rpc.errors import CallReverted
from seamark.messages.protocols.ccip.failures import NOT_ENOUGH_GAS, RECEIVER_OUT_OF_GAS, Failure, explain_failure
from seamark.messages.recovery.model import Trial
from seamark.messages.recovery.port import ExecutionChain

__all__ = ["GAS_ESTIMATION_SENDER", "LARGEST_HELPFUL_GAS", "try_execution"]

GAS_ESTIMATION_SENDER = Address("0x00c11c11c11c11c11c11c11c11c11c11c11c11c1")
"""`Internal.GAS_ESTIMATION_SENDER`, since 1.6; before, a lack of gas reverts for everybody."""

SMALLEST_HELPFUL_GAS, LARGEST_HELPFUL_GAS = 100_000, 12_800_000
"""Where the search for a gas limit that helps begins and ends; a message may ask for 3 million at most."""

_OUT_OF_GAS = (RECEIVER_OUT_OF_GAS, NOT_ENOUGH_GAS)
_SUPPORTS_INTERFACE = Function.parse("function supportsInterface(bytes4 id) view returns (bool)")
_RECEIVER_INTERFACE = bytes.fromhex("85572ffb")  # IAny2EVMMessageReceiver, the selector of ccipReceive


async def try_execution(
    destination: ExecutionChain,
    off_ramp: Address,
    data: Callable[[int], bytes],
    gas_limit: int,
    *,
    sent: int,
    receiver: Address,
    quiet: bool,
    explain: Callable[[bytes], Failure] = explain_failure,
) -> Trial:
    """Run `executeSingleMessage` as the OffRamp itself, in a call that changes nothing.

    Args:
        destination: Its chain.
        off_ramp: Who calls whom.
        data: The calldata for a receiver's gas limit.
        gas_limit: The one to try.
        sent: What the sender chose.
        receiver: Whose code is to be run.
        quiet: The message has nothing to tell a receiver (tokens alone).
        explain: Reads the revert data, as the generation does.
    """
    failed = await _revert(destination, off_ramp, data(gas_limit))
    if failed is None:
        callback = None if quiet else await _takes_messages(destination, receiver)
        return Trial(succeeds=True, gas_limit=gas_limit, sent_gas_limit=sent, callback=callback)
    failure = explain(failed)
    helpful = None
    if failure.reason in _OUT_OF_GAS:
        helpful = await _helpful_gas(destination, off_ramp, data, gas_limit)
    return Trial(
        succeeds=False,
        gas_limit=gas_limit,
        sent_gas_limit=sent,
        reason=failure.reason,
        text=failure.text,
        helpful_gas_limit=helpful,
    )


async def _revert(destination: ExecutionChain, off_ramp: Address, data: bytes) -> bytes | None:
    """The revert data; None where it succeeds."""
    try:
        await destination.simulate(sender=off_ramp, to=off_ramp, data=data)
    except CallReverted as error:
        return error.data
    return None


async def _helpful_gas(
    destination: ExecutionChain, off_ramp: Address, data: Callable[[int], bytes], gas_limit: int
) -> int | None:
    limit = max(SMALLEST_HELPFUL_GAS, 2 * gas_limit)
    while limit <= LARGEST_HELPFUL_GAS:
        if await _revert(destination, off_ramp, data(limit)) is None:
            return limit
        limit *= 2
    return None


async def _takes_messages(destination: ExecutionChain, receiver: Address) -> bool:
    """As the OffRamp asks (ERC-165): who says no, or has no code, is not called, and the message counts as executed."""
    if not await destination.code(receiver):
        return False
    try:
        answer = await destination.simulate(
            sender=GAS_ESTIMATION_SENDER, to=receiver, data=_SUPPORTS_INTERFACE.encode(_RECEIVER_INTERFACE)
        )
        return bool(_SUPPORTS_INTERFACE.decode_result(answer)[0])
    except RejectedError:
        return False
