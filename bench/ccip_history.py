"""Two anvil chains with a whole CCIP 1.6 history between them: sends on one; commits and executions, with the router's
and the network's own events beside them, on the other.

The contracts are a few bytes of EVM at chosen addresses that emit the logs given in calldata, so that a chain is filled
in seconds; the logs are those of the real contracts, all different, encoded by eth-abi, which takes no part in what is
measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from eth_abi import encode  # type: ignore[attr-defined]

from seamark.core.ids import Address, ChainId, Selector
from seamark.messages.model import Contract
from seamark.messages.protocols.ccip.router import MESSAGE_EXECUTED
from seamark.messages.protocols.ccip.v1_6.events import COMMITTED, EXECUTED, SENT, TRANSMITTED

SOURCE, DESTINATION = ChainId(31337), ChainId(31338)
SOURCE_SELECTOR, DESTINATION_SELECTOR = Selector(7759470850252068959), Selector(3379446385462418246)
ROUTER, ON_RAMP, OFF_RAMP = (Address("0x" + digit * 40) for digit in "abc")
SEND_BLOCKS, SENDS_PER_BLOCK = 1_100, 7
RUN_BLOCKS, RUNS_PER_BLOCK = 1_400, 5
LOGS = SEND_BLOCKS * SENDS_PER_BLOCK + RUN_BLOCKS * (RUNS_PER_BLOCK * 3 + 1)
MORE_BLOCKS = 5  # anvil calls final what is two blocks old

_ACCOUNT = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
_MESSAGE = (
    "((bytes32,uint64,uint64,uint64,uint64),address,bytes,bytes,bytes,address,uint256,uint256,"
    "(address,bytes,bytes,uint256,bytes)[])"
)
_ROOTS = "(uint64,bytes,uint64,uint64,bytes32)[]"
_PRICES = "((address,uint224)[],(uint64,uint224)[])"


@dataclass(frozen=True, slots=True)
class Entry:
    """One log to emit."""

    emitter: Address
    topics: tuple[bytes, ...]
    data: bytes

    def calldata(self) -> bytes:
        topics = b"".join(self.topics).ljust(128, b"\0")
        padded = self.data.ljust(-(-len(self.data) // 32) * 32, b"\0")
        return _word(len(self.topics)) + _word(len(self.data)) + topics + padded


def contracts(chain_id: ChainId) -> list[Contract]:
    """What discovery would have found."""
    router = Contract(chain_id=chain_id, address=ROUTER, role="router", version="1.2.0")
    if chain_id == SOURCE:
        return [router, Contract(chain_id=chain_id, address=ON_RAMP, role="onramp", version="1.6.0")]
    ramp = Contract(
        chain_id=chain_id,
        address=OFF_RAMP,
        role="offramp",
        version="1.6.0",
        details={str(SOURCE_SELECTOR): ON_RAMP},
    )
    return [router, ramp]


def source_blocks() -> Iterator[list[Entry]]:
    for block in range(SEND_BLOCKS):
        yield [_sent(block * SENDS_PER_BLOCK + index + 1) for index in range(SENDS_PER_BLOCK)]


def destination_blocks() -> Iterator[list[Entry]]:
    for block in range(RUN_BLOCKS):
        first = block * RUNS_PER_BLOCK + 1
        entries = [_committed(first, first + RUNS_PER_BLOCK - 1)]
        for sequence in range(first, first + RUNS_PER_BLOCK):
            entries += _run(sequence)
        yield entries


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _topic(event: Any) -> bytes:
    return bytes.fromhex(event.topic0[2:])


def _sent(sequence: int) -> Entry:
    header = (_hash(f"message {sequence}"), SOURCE_SELECTOR, DESTINATION_SELECTOR, sequence, 0)
    sender = f"0x{sequence % 5_000 + 1:040x}"
    receiver = _word(sequence % 7_000 + 9)
    extra = bytes.fromhex("181dcf10") + encode(["uint256", "bool"], [200_000, True])
    token = "0x" + "ee" * 20
    message: tuple[Any, ...] = (
        header,
        sender,
        _hash(f"data {sequence}") * 7,
        receiver,
        extra,
        token,
        10**15 + sequence,
        10**14,
        [],
    )
    topics = (_topic(SENT), _word(DESTINATION_SELECTOR), _word(sequence))
    return Entry(ON_RAMP, topics, encode([_MESSAGE], [message]))


def _committed(first: int, last: int) -> Entry:
    root = (SOURCE_SELECTOR, b"\0" * 12 + bytes.fromhex(ON_RAMP[2:]), first, last, _hash(f"root {first}"))
    return Entry(OFF_RAMP, (_topic(COMMITTED),), encode([_ROOTS, _ROOTS, _PRICES], [[], [root], ([], [])]))


def _run(sequence: int) -> list[Entry]:
    message_id = _hash(f"message {sequence}")
    called = encode(["bytes32", "uint64", "address", "bytes32"], [message_id, SOURCE_SELECTOR, OFF_RAMP, bytes(32)])
    changed = encode(["bytes32", "uint8", "bytes", "uint256"], [_hash(f"hash {sequence}"), 2, b"", 150_000])
    return [
        Entry(ROUTER, (_topic(MESSAGE_EXECUTED),), called),
        Entry(OFF_RAMP, (_topic(EXECUTED), _word(SOURCE_SELECTOR), _word(sequence), message_id), changed),
        Entry(OFF_RAMP, (_topic(TRANSMITTED), _word(1)), encode(["bytes32", "uint64"], [bytes(32), sequence])),
    ]


# ---- onto a chain ---------------------------------------------------------------------------------------------------


async def fill(url: str, blocks: Sequence[list[Entry]]) -> None:
    """One block each. Logs of one emitter are one transaction."""
    async with aiohttp.ClientSession() as session:

        async def rpc(calls: list[tuple[str, list[Any]]]) -> None:
            body = [
                {"jsonrpc": "2.0", "id": i, "method": name, "params": given} for i, (name, given) in enumerate(calls)
            ]
            async with session.post(url, json=body) as reply:
                answers = await reply.json()
            if bad := [answer["error"] for answer in answers if "error" in answer]:
                raise RuntimeError(str(bad[:2]))

        code = "0x" + emitter_code().hex()
        await rpc([("anvil_setCode", [address, code]) for address in (ROUTER, ON_RAMP, OFF_RAMP)])
        await rpc([("evm_setAutomine", [False])])
        for entries in blocks:
            for address in dict.fromkeys(entry.emitter for entry in entries):
                data = b"".join(entry.calldata() for entry in entries if entry.emitter == address)
                given = {"from": _ACCOUNT, "to": address, "data": "0x" + data.hex(), "gas": hex(5_000_000)}
                await rpc([("eth_sendTransaction", [given])])
            await rpc([("evm_mine", [])])
        await rpc([("evm_mine", [])] * MORE_BLOCKS)


def emitter_code() -> bytes:
    """Emits one log for each entry of its calldata: count of topics, length of data, four topics, padded data."""
    code = _Assembler()
    code.push(0)
    code.label("next")
    code.raw("36 81 10 15").jump("end", "57")  # until all of the calldata is read
    code.raw("80 6020 01 35")  # length
    code.raw("80 82 60c0 01 6000 37")  # its data into memory
    for slot, at in enumerate((160, 128, 96, 64), 1):
        code.raw(f"{0x80 + slot:02x} 60{at:02x} 01 35")
    code.raw("84 6000 87 35")  # length, 0, count of topics
    for count in (1, 2, 3):
        code.raw(f"80 60{count:02x} 14").jump(f"log{count}", "57")
    code.raw("50 a4").jump("after", "56")
    for count in (1, 2, 3):
        code.label(f"log{count}")
        code.raw(f"50 {0xA0 + count:02x}" + " 50" * (4 - count)).jump("after", "56")
    code.label("after")
    code.raw("601f 01 6005 1c 6005 1b 01 60c0 01").jump("next", "56")
    code.label("end")
    code.raw("00")
    return code.finish()


class _Assembler:
    """Bytes with jumps to names."""

    def __init__(self) -> None:
        self._code = bytearray()
        self._places: dict[str, int] = {}
        self._jumps: list[tuple[int, str]] = []

    def raw(self, text: str) -> _Assembler:
        self._code += bytes.fromhex(text.replace(" ", ""))
        return self

    def push(self, value: int) -> None:
        self._code += bytes([0x60, value])

    def label(self, name: str) -> None:
        self._places[name] = len(self._code)
        self._code.append(0x5B)

    def jump(self, name: str, operation: str) -> None:
        self._code.append(0x61)
        self._jumps.append((len(self._code), name))
        self._code += b"\0\0" + bytes.fromhex(operation)

    def finish(self) -> bytes:
        for at, name in self._jumps:
            self._code[at : at + 2] = self._places[name].to_bytes(2, "big")
        return bytes(self._code)
