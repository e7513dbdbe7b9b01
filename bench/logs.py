"""Reading and decoding 30,000 CCIP logs over 2,500 blocks, from anvil to values: Seamark, and web3.py as its users
write it.

Both read the same chain in the same run, in turns, and the better of their turns counts. Both get every field of every
log decoded; what they decoded is compared before any time is believed.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from web3 import Web3

from bench.chain_of_logs import BLOCKS, LOGS_PER_BLOCK, fill
from bench.report import Row
from seamark.core.ids import Address, ChainId
from seamark.devnet.anvil import Anvil, AnvilOptions, node_module_roots
from seamark.devnet.artifacts import CCIP_PACKAGE
from seamark.evm.rpc import Chain
from seamark.evm.types import LogFilter
from seamark.messages.protocols.ccip.v1_6.events import EXECUTED, SENT
from seamark.runtime.http import make_session

HOW = (
    "30,000 logs (half `CCIPMessageSent`, half `ExecutionStateChanged` of CCIP 1.6) in 2,500 blocks of a local anvil. "
    "Seamark: `evm.rpc` and the compiled decoders. web3.py: `contract.events.….get_logs` in ranges of 100 blocks. "
    "Best of the turns, in one process, one after the other."
)
TURNS = 3
PEER_TURNS = 2  # one takes about 15 s
RANGE = 100
CHAIN = ChainId(31337)
TARGET = 30


async def seamark_reads(url: str, emitters: tuple[str, str]) -> list[Any]:
    """Every log, decoded."""
    wanted = LogFilter(tuple(Address(item) for item in emitters), (SENT.topic0, EXECUTED.topic0))
    events = {event.topic0: event for event in (SENT, EXECUTED)}
    async with make_session() as session:
        chain = Chain(CHAIN, [url], session=session)
        head = await chain.header("latest")
        assert head is not None
        logs = await chain.logs(wanted, 0, head.number)
        decoded = [events[log.topics[0]].decode(log) for log in logs]
        await chain.close()
    return decoded


async def web3_reads(url: str, emitters: tuple[str, str]) -> list[Any]:
    """Every log, decoded, by the library's own high-level call."""
    w3 = Web3(Web3.HTTPProvider(url))
    sent = w3.eth.contract(Web3.to_checksum_address(emitters[0]), abi=ccip_abi("onramp"))
    executed = w3.eth.contract(Web3.to_checksum_address(emitters[1]), abi=ccip_abi("offramp"))
    decoded: list[Any] = []
    head = w3.eth.block_number
    for first in range(0, head + 1, RANGE):
        span = {"from_block": first, "to_block": min(first + RANGE - 1, head)}
        decoded += sent.events.CCIPMessageSent().get_logs(**span)
        decoded += executed.events.ExecutionStateChanged().get_logs(**span)
    return decoded


def ccip_abi(name: str) -> list[dict[str, Any]]:
    package = next(root for root in node_module_roots() if (root / CCIP_PACKAGE).is_dir())
    entries: list[dict[str, Any]] = json.loads((package / CCIP_PACKAGE / "abi" / "v1_6_0" / f"{name}.json").read_text())
    return entries


async def best_of(turns: int, read: Callable[[], Awaitable[list[Any]]]) -> tuple[float, list[Any]]:
    best, found = float("inf"), []
    for _ in range(turns):
        started = time.perf_counter()
        found = await read()
        best = min(best, time.perf_counter() - started)
    return best, found


def check_equal(ours: list[Any], theirs: list[Any]) -> None:
    """The same messages and states came out of both."""
    assert len(ours) == len(theirs) == BLOCKS * LOGS_PER_BLOCK, (len(ours), len(theirs))
    mine = sorted(record.sequenceNumber for record in ours)
    assert mine == sorted(entry["args"]["sequenceNumber"] for entry in theirs)
    fees = sorted(record.message.feeTokenAmount for record in ours if hasattr(record, "message"))
    peer_fees = [entry["args"]["message"]["feeTokenAmount"] for entry in theirs if "message" in entry["args"]]
    assert fees == sorted(peer_fees)


async def run() -> list[Row]:
    async with Anvil(AnvilOptions(chain_id=CHAIN)) as anvil:
        emitters = await fill(anvil.url)
        ours, mine = await best_of(TURNS, lambda: seamark_reads(anvil.url, emitters))
        theirs, peers = await best_of(PEER_TURNS, lambda: web3_reads(anvil.url, emitters))
    check_equal(mine, peers)
    count, ratio = len(mine), theirs / ours
    return [
        Row(
            "read and decode 30,000 CCIP logs",
            f"{ours:.2f} s ({count / ours:,.0f} logs/s)",
            f"web3.py {version()}: {theirs:.1f} s ({count / theirs:,.0f} logs/s)",
            f"{ratio:.0f}x",
            f">= {TARGET}x",
            ratio >= TARGET,
        )
    ]


def version() -> str:
    import web3  # noqa: PLC0415 - only for its name

    return str(web3.__version__)


if __name__ == "__main__":
    for row in asyncio.run(run()):
        print(row)
