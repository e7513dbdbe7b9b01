"""Writes `data/ccip_2_0.json`: what the published 2.0.0 contracts emit in the lives of some messages.

python -m tests.unit.messages.ccip_v2_0.record
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from seamark.core.ids import Address
from seamark.devnet.node_client import NodeClient
from tests.support.ccip_v2_0 import NO_EXECUTION, Bed, SentMessage, Side, extra_args_v3, start_bed

OUT = Path(__file__).parents[1] / "data" / "ccip_2_0.json"
NOBODY = Address("0x000000000000000000000000000000000000dead")
LITTLE_GAS = 250_000
CHAINS = {138: 13801380138013801380, 31337: 7759470850252068959}


async def live(bed: Bed) -> list[tuple[str, SentMessage]]:
    """Messages and their fates, in the order of their sends."""
    home, remote = bed.home, bed.remote
    told: list[tuple[str, SentMessage]] = []

    async def send(fate: str, **how: Any) -> SentMessage:
        (message,) = await bed.send(home, remote, **how)
        told.append((fate, message))
        return message

    await bed.execute(await send("delivered"))
    await bed.execute(await send("delivered in link", in_link=True, extra=b""))
    await bed.execute(await send("tokens alone", tokens=[(home.token, 5)], data=b"", extra=extra_args_v3(0)))
    await bed.execute(await send("no callback", receiver=NOBODY))
    await send("waits")
    await send("for nobody to execute", extra=extra_args_v3(executor=NO_EXECUTION))
    fast = await bed.deploy_receiver_v2(remote, allowed_finality="00010005")
    await bed.execute(await send("safe", receiver=fast, extra=extra_args_v3(finality="00010000")))
    await bed.execute(await send("12 blocks", receiver=fast, extra=extra_args_v3(finality="0000000c")))
    await bed.execute(await send("too fast", extra=extra_args_v3(finality="0000000c")))
    griefed = await send("griefed, then delivered")
    await bed.execute_with_bogus_proof(griefed)
    await bed.execute(griefed)
    await bed.execute(await send("too little gas"), gas=LITTLE_GAS)
    one = await send("one signature")
    await bed.execute(one, results=[await bed.attest(one.message_id, signatures=1)])
    await bed.set_receiver_reverts(remote, True)
    reverted = await send("reverted, then repaired")
    await bed.execute(reverted)
    await bed.set_receiver_reverts(remote, False)
    await bed.execute(reverted)
    (back,) = await bed.send(remote, home)
    told.append(("back", back))
    await bed.curse(remote, home.selector)
    await bed.uncurse(remote, home.selector)
    return told


async def blocks(node: NodeClient, side: Side) -> list[dict[str, Any]]:
    """Every block with logs of the bed's contracts, and these logs as the stream tells them."""
    found = []
    for number in range(await node.head() + 1):
        header = await node.request("eth_getBlockByNumber", hex(number), False)
        logs = [
            msgspec.to_builtins(log)
            for contract in side.at.values()
            for log in await node.logs(contract, [], number, number)
        ]
        if logs:
            found.append(
                {
                    "number": number,
                    "hash": header["hash"],
                    "parent_hash": header["parentHash"],
                    "timestamp": int(header["timestamp"], 16),
                    "logs": sorted(logs, key=lambda log: int(log["log_index"])),
                }
            )
    return found


async def record() -> None:
    async with start_bed(CHAINS) as bed:
        told = await live(bed)
        chains = [
            {
                "name": side.name,
                "chain_id": side.chain_id,
                "selector": str(side.selector),
                "contracts": side.at,
                "blocks": await blocks(side.node, side),
            }
            for side in (bed.home, bed.remote)
        ]
    messages = [{"fate": fate, "id": item.message_id, "encoded": "0x" + item.encoded.hex()} for fate, item in told]
    made = "on two anvil chains with the published CCIP 2.0.0 contracts (npm @chainlink/contracts-ccip 2.0.0)"
    OUT.write_bytes(
        msgspec.json.format(msgspec.json.encode({"made": made, "messages": messages, "chains": chains}), indent=1)
    )


if __name__ == "__main__":
    asyncio.run(record())
