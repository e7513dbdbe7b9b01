"""Records what the published CCIP 1.5 and 1.2 contracts emit, for the unit tests of the decoders.

    python -m tests.support.record_ccip_v1_5 tests/unit/messages/data

Writes ccip_1_5.json and ccip_1_2.json: chains with their contracts and blocks of logs, and messages with their fates.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import msgspec

from seamark.evm.types import Log
from tests.support.ccip_v1_5 import Bed, Side, extra_args_v2, start_bed

CHAINS = {138: 13801380138013801380, 1337: 3379446385462418246}


async def record(version: str) -> dict[str, Any]:
    async with start_bed(version, CHAINS) as bed:
        fates = await play(bed, version)
        return {
            "made": f"CCIP {version}.0 of @chainlink/contracts-ccip 2.0.0 on anvil",
            "messages": fates,
            "chains": [await chain(bed, bed.home), await chain(bed, bed.remote)],
        }


async def play(bed: Bed, version: str) -> list[dict[str, Any]]:
    """Some lives, one after the other."""
    lane = bed.outbound
    fates: list[dict[str, Any]] = []

    def note(messages: list[Any], fate: str) -> None:
        fates.extend({"id": item.message_id, "sequence": item.sequence, "fate": fate} for item in messages)

    delivered = await bed.send(lane, count=3)
    note(delivered, "delivered")
    await bed.deliver(lane)
    quiet = await bed.send(lane, data=b"", in_link=True, receiver=bed.remote.link)
    note(quiet, "no callback")
    await bed.deliver(lane)
    await bed.set_receiver_reverts(lane, True)
    failed = await bed.send(lane)
    note(failed, "failed, then by hand")
    await bed.deliver(lane)
    if version == "1.5":
        await bed.execute(lane)  # AlreadyAttempted
    await bed.set_receiver_reverts(lane, False)
    await bed.manually(lane, failed[0])
    hungry = await bed.send(lane, gas_limit=1_000)
    note(hungry, "out of gas")
    await bed.deliver(lane)
    first, second = await bed.send(lane, count=2)
    note([first, second], "out of turn")
    await bed.finalize(lane)
    await bed.commit(lane)
    await bed.execute(lane, [second])  # SkippedIncorrectNonce
    await bed.execute(lane, [first, second])
    if version == "1.5":
        await bed.execute(lane, [first])  # SkippedAlreadyExecutedMessage
        free = await bed.send(lane, extra=extra_args_v2(200_000), tokens=[(bed.home.token, 5)])
        note(free, "with tokens, out of order")
        await bed.deliver(lane)
    back = await bed.send(bed.inbound)
    note(back, "taken back")
    await bed.finalize(bed.inbound)
    root = await bed.commit(bed.inbound, bless=False)
    await bed.remove_root(bed.inbound, root)
    await bed.pause(lane)
    await bed.pause(lane, False)
    for source in (bed.home.selector, None):
        await bed.curse(bed.remote, source)
        await bed.uncurse(bed.remote, source)
    return fates


async def chain(bed: Bed, side: Side) -> dict[str, Any]:
    lanes = {"onramp": bed.outbound, "peer_onramp": bed.inbound}
    if side is bed.remote:
        lanes = {"onramp": bed.inbound, "peer_onramp": bed.outbound}
    into = lanes["peer_onramp"]
    contracts = {
        **{name: lane.on_ramp for name, lane in lanes.items()},
        "commitstore": into.commit_store,
        "offramp": into.off_ramp,
        **{name: side.at[name] for name in ("router", "arm_proxy", "rmn", "prices", "link", "wrapped_native", "token")},
    }
    watched = [at for name, at in contracts.items() if name not in ("peer_onramp", "link", "wrapped_native", "token")]
    return {
        "name": side.name,
        "chain_id": side.chain_id,
        "selector": str(side.selector),
        **contracts,
        "receiver": side.receiver,
        "blocks": await blocks(side, watched),
    }


async def blocks(side: Side, watched: list[Any]) -> list[dict[str, Any]]:
    """Blocks with logs of the watched contracts."""
    head = await side.node.head()
    logs: list[Log] = []
    for address in watched:
        logs += await side.node.logs(address, [], 0, head)
    found = []
    for number in sorted({log.block_number for log in logs}):
        block = await side.node.request("eth_getBlockByNumber", hex(number), False)
        mine = sorted((log for log in logs if log.block_number == number), key=lambda log: log.log_index)
        found.append(
            {
                "number": number,
                "hash": block["hash"],
                "parent_hash": block["parentHash"],
                "timestamp": int(block["timestamp"], 16),
                "logs": [msgspec.to_builtins(log) for log in mine],
            }
        )
    return found


def main() -> None:
    folder = Path(sys.argv[1])
    for version in ("1.5", "1.2"):
        path = folder / f"ccip_{version.replace('.', '_')}.json"
        path.write_bytes(msgspec.json.format(msgspec.json.encode(asyncio.run(record(version))), indent=1))


if __name__ == "__main__":
    main()
