"""A real anvil for one test: free port, own process, ended by its pid.

async with anvil(chain_id=138) as node:
    node.url, await node.request("anvil_mine", "0x5"), await node.mine(3)
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from seamark.core.ids import Address, ChainId
from seamark.devnet.anvil import Anvil, AnvilOptions

__all__ = ["ACCOUNT", "anvil", "deploy", "send"]

MINING_TIMEOUT_S = 10.0
POLL_S = 0.002

ACCOUNT = Address("0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266")
"""The first account that anvil unlocks and funds."""


@asynccontextmanager
async def anvil(
    chain_id: int = 31337,
    *,
    block_time_s: int = 0,
    zero_fee: bool = False,
    state_file: Path | None = None,
    log_file: Path | None = None,
) -> AsyncIterator[Anvil]:
    """Yields once the node answers; the node is gone at the end, whatever the test did."""
    options = AnvilOptions(
        chain_id=ChainId(chain_id),
        block_time_s=block_time_s,
        zero_fee=zero_fee,
        state_file=state_file,
        log_file=log_file,
    )
    async with Anvil(options) as node:
        yield node


async def send(node: Anvil, *, to: str | None, data: str) -> dict[str, str]:
    """Send from the unlocked account and return the receipt; needs automatic mining."""
    message = {"from": ACCOUNT, "data": data, "gas": hex(5_000_000)}
    transaction = await node.request("eth_sendTransaction", message if to is None else message | {"to": to})
    async with asyncio.timeout(MINING_TIMEOUT_S):
        while True:
            # Anvil answers before it has mined.
            receipt: dict[str, str] | None = await node.request("eth_getTransactionReceipt", transaction)
            if receipt is not None:
                return receipt
            await asyncio.sleep(POLL_S)


async def deploy(node: Anvil, runtime: str) -> Address:
    """Deploy hand-written runtime code (hex, at most 255 bytes) and return its address."""
    if not re.fullmatch(r"(?:[0-9a-f]{2}){1,255}", runtime):
        raise ValueError("runtime code is 1 to 255 bytes of lower-case hex")
    size = len(runtime) // 2
    # PUSH1 size, DUP1, PUSH1 9, PUSH0, CODECOPY, PUSH0, RETURN
    creation = f"60{size:02x}8060095f395ff3" + runtime
    assert len("60ff8060095f395ff3") // 2 == 9  # the offset of the runtime code in the creation code
    return Address((await send(node, to=None, data="0x" + creation))["contractAddress"].lower())
