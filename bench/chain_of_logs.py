"""A chain with 30,000 logs over 2,500 blocks: half CCIP 1.6 `CCIPMessageSent`, half `ExecutionStateChanged`.

The logs are emitted by a few bytes of EVM that repeat a log given in calldata, so that the chain is filled in
seconds. Their data is encoded by eth-abi, which takes no part in the measurement.
"""

from __future__ import annotations

from typing import Any

import aiohttp
from eth_abi import encode  # type: ignore[attr-defined]

BLOCKS = 2_500
LOGS_PER_BLOCK = 12
SENT_TOPIC = "192442a2b2adb6a7948f097023cb6b57d29d3a7a5dd33e6666d33c39cc456f32"
EXECUTED_TOPIC = "05665fe9ad095383d018353f4cbcba77e84db27dd215081bbf7cdf9ae6fbe48b"
SOURCE, DEST = 7759470850252068959, 3379446385462418246
ACCOUNT = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
MESSAGE = (
    "((bytes32,uint64,uint64,uint64,uint64),address,bytes,bytes,bytes,address,uint256,uint256,"
    "(address,bytes,bytes,uint256,bytes)[])"
)

# Calldata: count, four topics (the last unused by the 3-topic emitter), then the data. Topic 2 counts up in the loop.
_HEAD = "60a0360380" + "60a0" + "6000" + "37" + "600035"
_LOOP = len(_HEAD) // 2


def _emitter(topics: int) -> str:
    """Creation code that emits LOG`topics` `count` times."""
    if topics == 3:
        push = "80" + "6060" + "35" + "01" + "6040" + "35" + "6020" + "35" + "84" + "6000" + "a3"
    else:
        push = "6080" + "35" + "81" + "6060" + "35" + "01" + "6040" + "35" + "6020" + "35" + "85" + "6000" + "a4"
    body = push + "6001" + "90" + "03" + f"60{_LOOP:02x}" + "56"
    end = _LOOP + 1 + 5 + len(body) // 2
    runtime = _HEAD + "5b" + "80" + "15" + f"60{end:02x}" + "57" + body + "5b" + "00"
    size = len(runtime) // 2
    return f"0x60{size:02x}80600b6000396000f3{runtime}"


def _sent_data(number: int) -> bytes:
    header = (number.to_bytes(32, "big"), SOURCE, DEST, number, 0)
    payload = b"\x01" * 224
    extra = bytes.fromhex("181dcf10") + encode(["uint256", "bool"], [200_000, True])
    address = "0x" + "ab" * 20
    message: tuple[Any, ...] = (
        header,
        address,
        payload,
        b"\0" * 12 + b"\xcd" * 20,
        extra,
        address,
        10**16 + number,
        10**16,
        [],
    )
    return encode([MESSAGE], [message])


def _executed_data(number: int) -> bytes:
    return encode(["bytes32", "uint8", "bytes", "uint256"], [number.to_bytes(32, "big"), 2, b"", 150_000])


def _calldata(number: int, count: int) -> tuple[int, str]:
    """(which emitter, calldata) for block `number`: sent and executed in turn."""

    def word(value: int) -> str:
        return f"{value:064x}"

    if number % 2:
        head = word(count) + EXECUTED_TOPIC + word(SOURCE) + word(number * 100) + word(number)
        return 1, "0x" + head + _executed_data(number).hex()
    head = word(count) + SENT_TOPIC + word(DEST) + word(number * 100) + word(0)
    return 0, "0x" + head + _sent_data(number).hex()


async def fill(url: str, blocks: int = BLOCKS, per_block: int = LOGS_PER_BLOCK) -> tuple[str, str]:
    """Fill the chain at `url` (one transaction, one block); returns the two emitters' addresses."""
    async with aiohttp.ClientSession() as session:

        async def rpc(*calls: tuple[str, list[Any]]) -> list[Any]:
            body = [{"jsonrpc": "2.0", "id": i, "method": m, "params": p} for i, (m, p) in enumerate(calls)]
            async with session.post(url, json=body) as reply:
                answers = await reply.json()
            if any("error" in answer for answer in answers):
                raise RuntimeError(str([answer["error"] for answer in answers if "error" in answer][:2]))
            return [answer["result"] for answer in answers]

        emitters = []
        for topics in (3, 4):
            (creation,) = await rpc(("eth_sendTransaction", [{"from": ACCOUNT, "data": _emitter(topics)}]))
            receipt = None
            while receipt is None:
                (receipt,) = await rpc(("eth_getTransactionReceipt", [creation]))
            emitters.append(receipt["contractAddress"])
        await rpc(("evm_setAutomine", [False]))
        for number in range(blocks):
            which, data = _calldata(number, per_block)
            transaction = {"from": ACCOUNT, "to": emitters[which], "data": data, "gas": hex(3_000_000)}
            await rpc(("eth_sendTransaction", [transaction]))
            await rpc(("evm_mine", []))
        return emitters[0], emitters[1]
