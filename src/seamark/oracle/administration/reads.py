"""A sender contract's whole configuration, read at one block."""

from __future__ import annotations

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address, Selector
from seamark.evm import artifacts
from seamark.evm.address import to_checksum
from seamark.evm.contract import Contract
from seamark.evm.ports import ChainReader
from seamark.oracle.administration.model import Destination, SenderState

__all__ = ["read_sender"]

_FIELDS = {
    "description": "description",
    "decimals": "decimals",
    "router": "router",
    "pending_router": "pendingRouter",
    "pending_router_at": "pendingRouterAt",
    "link": "linkToken",
    "latest_round": "latestRound",
    "paused": "paused",
    "sending_paused": "sendingPaused",
    "send_gas_limit": "sendGasLimit",
    "max_observation_age": "maxObservationAge",
    "max_step_bps": "maxStepBps",
    "min_answer": "minAnswer",
    "max_answer": "maxAnswer",
}


async def read_sender(reader: ChainReader, address: Address) -> SenderState:
    """The contract as it is now.

    Raises:
        RejectedError: No OracleWithCCIP lives there.
        TemporaryError: No node answers.
    """
    header = await reader.header("latest")
    if header is None:
        raise TemporaryError("the node has no newest block")
    contract = Contract(reader, address, artifacts.load("OracleWithCCIP").abi)
    block = header.number
    try:
        values = await contract.read_many([(name, ()) for name in _FIELDS.values()], block=block)
        selectors = await contract.read("destinationSelectors", block=block)
        configs = await contract.read_many([("destination", (item,)) for item in selectors], block=block)
        sent = await contract.read_many([("lastSent", (item,)) for item in selectors], block=block)
    except RejectedError as error:
        raise RejectedError(
            f"{to_checksum(address)} on chain {reader.chain_id} does not answer like an OracleWithCCIP ({error})",
            remedy="check the address and the chain",
        ) from error
    destinations = {
        Selector(selector): Destination(
            receiver="0x" + config.receiver.hex(),
            extra_args="0x" + config.extraArgs.hex(),
            fee_token=Address(config.feeToken),
            max_fee=config.maxFee,
            deviation_bps=config.minDeviationBps,
            min_interval=config.minInterval,
            enabled=config.enabled,
            heartbeat=last.heartbeat,
        )
        for selector, config, last in zip(selectors, configs, sent, strict=True)
    }
    fields = dict(zip(_FIELDS, values, strict=True))
    return SenderState(address=address, block=block, block_time=header.timestamp, destinations=destinations, **fields)
