"""What the devnet itself asks of its own nodes: sends in bulk, receipts in bulk, anvil's extra methods.

The rest of Seamark reads chains through `seamark.evm.rpc`, which distrusts every node and limits itself. This client
talks to a child process on loopback, and needs what that one leaves out: many transactions with consecutive nonces in
one request, so that deploying fifty contracts takes one round trip instead of fifty.

Invariant: a `Wallet` is the only sender of its account on its chain. It keeps no nonce of its own, since tests take
blocks away from under it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.abi import Abi, Function
from seamark.evm.crypto import keccak256
from seamark.evm.ports import Signer
from seamark.evm.transactions.encoding import Unsigned, rlp_encode
from seamark.evm.transactions.model import Fees
from seamark.evm.types import Log, Receipt

__all__ = ["CallFailed", "NodeClient", "Read", "Tx", "Wallet", "create_address"]

REQUEST_TIMEOUT_S = 30.0
RECEIPT_POLL_S = 0.03
RECEIPT_TIMEOUT_S = 60.0
BATCH_SIZE = 200  # requests in one body; anvil refuses bodies over 2 MB, and a deployment has 60 kB
BATCH_BYTES = 1_000_000
TIP_WEI = 1_000_000_000
DEFAULT_GAS = 3_000_000


class CallFailed(RejectedError):
    """The node or the contract refused; `data` is the revert data, where there is any."""

    def __init__(self, message: str, *, data: bytes = b"") -> None:
        super().__init__(message)
        self.data = data


@dataclass(frozen=True, slots=True)
class Tx:
    """A transaction to send. `to` None creates a contract."""

    to: Address | None
    data: bytes
    value: int = 0
    gas: int = DEFAULT_GAS
    label: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """A view call."""

    to: Address
    function: Function
    arguments: tuple[Any, ...] = ()


class NodeClient:
    """One node by its URL; an async context manager."""

    def __init__(self, url: str, chain_id: ChainId, *, free_gas: bool = False) -> None:
        self.url = url
        self.chain_id = chain_id
        self.free_gas = free_gas
        self._session: aiohttp.ClientSession | None = None
        self._id = 0
        self._mining = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def request(self, method: str, *params: Any) -> Any:
        """One call.

        Raises:
            TemporaryError: No answer.
            CallFailed: An error for an answer.
        """
        (answer,) = await self.batch([(method, params)])
        if isinstance(answer, CallFailed):
            raise answer
        return answer

    async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Many calls in few requests, answers in order; a call's own error is returned in its place."""
        answers: list[Any] = []
        for part in _parts(calls):
            answers += await self._post(part)
        return answers

    async def hand_over(self, raws: Sequence[bytes]) -> list[Any]:
        """Signed transactions of one account in the order of their nonces; answers as of `batch`, up to a refusal.

        Anvil's pool has a race: of several, one that comes in while the one before it is being mined may stay in its
        queue for good. So a node that mines each transaction at once stands still meanwhile, and mines when told.
        """
        calls = [("eth_sendRawTransaction", (_hex(raw),)) for raw in raws]
        if len(calls) <= 1:
            return await self.batch(calls)
        async with self._mining:
            (at_once,) = await self.batch([("anvil_getAutomine", ())])
            if at_once is not True:
                return await self.batch(calls)
            await self.request("evm_setAutomine", False)
            try:
                return await self._mine_each(calls)
            finally:
                await self.request("evm_setAutomine", True)
                # What others sent meanwhile waits for a block that nothing else would make.
                while int((await self.request("txpool_status"))["pending"], 16):
                    await self.request("evm_mine")

    async def _mine_each(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        answers: list[Any] = []
        for call in calls:
            answers += await self.batch([call])
            if isinstance(answers[-1], CallFailed):
                break
            await self.request("evm_mine")
        return answers

    async def read(self, to: Address, function: Function, *arguments: Any) -> Any:
        """A view call at the head. A single output comes without its record."""
        (answer,) = await self.reads([Read(to, function, arguments)])
        return answer

    async def reads(self, reads: Sequence[Read]) -> list[Any]:
        """Many view calls at the head; raises `CallFailed` for the first that fails."""
        calls = [
            ("eth_call", ({"to": read.to, "data": _hex(read.function.encode(*read.arguments))}, "latest"))
            for read in reads
        ]
        results = []
        for read, answer in zip(reads, await self.batch(calls), strict=True):
            if isinstance(answer, CallFailed):
                raise answer
            values = read.function.decode_result(bytes.fromhex(answer[2:]))
            results.append(values[0] if len(values) == 1 else values)
        return results

    async def head(self, tag: str = "latest") -> int:
        """Number of the block that a tag means now."""
        block = await self.request("eth_getBlockByNumber", tag, False)
        if block is None:
            raise CallFailed(f"chain {self.chain_id} has no {tag} block")
        return int(block["number"], 16)

    async def block_hash(self, number: int) -> Hash32 | None:
        """The hash of a block; None beyond the head."""
        block = await self.request("eth_getBlockByNumber", hex(number), False)
        return Hash32(block["hash"]) if block else None

    async def logs(self, address: Address, topics: Sequence[str | None], first: int, last: int) -> list[Log]:
        """Logs of one contract in blocks first..last."""
        if first > last:
            return []
        wanted = {"address": address, "topics": list(topics), "fromBlock": hex(first), "toBlock": hex(last)}
        return [_log(entry) for entry in await self.request("eth_getLogs", wanted)]

    async def receipts(self, hashes: Sequence[Hash32]) -> list[Receipt | None]:
        answers = await self.batch([("eth_getTransactionReceipt", (tx,)) for tx in hashes])
        return [_receipt(answer) if isinstance(answer, dict) else None for answer in answers]

    async def wait(self, hashes: Sequence[Hash32]) -> list[Receipt]:
        """Receipts of all, once all are mined.

        Raises:
            TemporaryError: Not within a minute: the chain stands still; or a reorg dropped one.
        """
        found: dict[Hash32, Receipt] = {}
        try:
            async with asyncio.timeout(RECEIPT_TIMEOUT_S):
                while missing := [tx for tx in hashes if tx not in found]:
                    found |= await self._mined(missing)
                    if len(found) < len(set(hashes)):
                        await asyncio.sleep(RECEIPT_POLL_S)
        except TimeoutError as error:
            raise TemporaryError(f"chain {self.chain_id} did not mine within {RECEIPT_TIMEOUT_S:.0f} s") from error
        return [found[tx] for tx in hashes]

    async def _mined(self, hashes: Sequence[Hash32]) -> dict[Hash32, Receipt]:
        """The receipts that there are; the other transactions still wait in the pool."""
        known = await self.batch([("eth_getTransactionByHash", (tx,)) for tx in hashes])
        found = {}
        for tx, entry, receipt in zip(hashes, known, await self.receipts(hashes), strict=True):
            if receipt is not None:
                found[tx] = receipt
            elif entry is None:
                raise TemporaryError(f"chain {self.chain_id} does not know transaction {tx} any more")
        return found

    async def fees(self) -> Fees:
        """Enough for the next blocks; zero where gas is free."""
        if self.free_gas:
            return Fees(cap=0, tip=0)
        block = await self.request("eth_getBlockByNumber", "latest", False)
        return Fees(cap=3 * int(block["baseFeePerGas"], 16) + TIP_WEI, tip=TIP_WEI)

    async def _post(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        if self._session is None:
            raise TemporaryError(f"the client of chain {self.chain_id} is closed")
        body = []
        for method, params in calls:
            self._id += 1
            body.append({"jsonrpc": "2.0", "id": self._id, "method": method, "params": list(params)})
        try:
            async with self._session.post(self.url, json=body) as response:
                answers = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise TemporaryError(f"the node of chain {self.chain_id} does not answer") from error
        if not isinstance(answers, list):
            raise TemporaryError(f"the node of chain {self.chain_id} refuses a batch: {str(answers)[:200]}")
        by_id = {answer.get("id"): answer for answer in answers}
        return [_result(by_id[entry["id"]], str(entry["method"])) for entry in body]


class Wallet:
    """Sends from one account with nonces counted here."""

    def __init__(self, node: NodeClient, signer: Signer) -> None:
        self.node = node
        self._signer = signer
        self._lock = asyncio.Lock()

    @property
    def address(self) -> Address:
        return self._signer.address

    async def nonce(self) -> int:
        """The next one, behind what waits in the node's pool."""
        return int(await self.node.request("eth_getTransactionCount", self.address, "pending"), 16)

    async def send(self, txs: Sequence[Tx]) -> list[Hash32]:
        """Sign with consecutive nonces and hand over.

        Raises:
            CallFailed: The node refuses one; those before it are sent, it and those behind it are not.
        """
        async with self._lock:
            return await self._send(txs)

    async def run(self, txs: Sequence[Tx], *, abi: Abi | None = None) -> list[Receipt]:
        """Send and wait; raises `CallFailed` with the reason if one reverts."""
        receipts = await self.node.wait(await self.send(txs))
        for tx, receipt in zip(txs, receipts, strict=True):
            if not receipt.succeeded:
                raise CallFailed(f"{tx.label or 'transaction'} failed: {await self._reason(tx, receipt, abi)}")
        return receipts

    async def _send(self, txs: Sequence[Tx]) -> list[Hash32]:
        fees, first = await self.node.fees(), await self.nonce()
        raws = []
        for offset, tx in enumerate(txs):
            unsigned = Unsigned(self.node.chain_id, first + offset, tx.to, tx.data, tx.value, tx.gas, fees)
            raws.append(unsigned.signed(*await self._signer.sign(unsigned.preimage())))
        answers = await self.node.hand_over(raws)
        for tx, answer in zip(txs, answers, strict=False):  # they end at a refusal
            if isinstance(answer, CallFailed):
                raise CallFailed(f"{tx.label or 'transaction'}: {answer.message}", data=answer.data)
        return [Hash32(answer) for answer in answers]

    async def _reason(self, tx: Tx, receipt: Receipt, abi: Abi | None) -> str:
        call = {"from": self.address, "data": _hex(tx.data), "value": hex(tx.value), "gas": hex(tx.gas)}
        call |= {"to": tx.to} if tx.to else {}
        (answer,) = await self.node.batch([("eth_call", (call, hex(receipt.block_number)))])
        if not isinstance(answer, CallFailed):
            return f"status 0, {receipt.gas_used} of {tx.gas} gas used"
        return str(abi.decode_error(answer.data)) if abi is not None and answer.data else answer.message


def create_address(sender: Address, nonce: int) -> Address:
    """Where a contract created by that transaction will live (yellow paper, section 7)."""
    return Address("0x" + keccak256(rlp_encode([bytes.fromhex(sender[2:]), nonce]))[12:].hex())


def _parts(calls: Sequence[tuple[str, Sequence[Any]]]) -> list[list[tuple[str, Sequence[Any]]]]:
    parts: list[list[tuple[str, Sequence[Any]]]] = []
    size = 0
    for call in calls:
        weight = sum(len(param) for param in call[1] if isinstance(param, str)) + 300
        if not parts or len(parts[-1]) >= BATCH_SIZE or size + weight > BATCH_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(call)
        size += weight
    return parts


def _result(answer: dict[str, Any], method: str) -> Any:
    if "error" not in answer:
        return answer["result"]
    error = answer["error"]
    data = error.get("data")
    raw = bytes.fromhex(data[2:]) if isinstance(data, str) and data.startswith("0x") else b""
    return CallFailed(f"{method}: {error.get('message')}", data=raw)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _log(entry: dict[str, Any]) -> Log:
    timestamp = entry.get("blockTimestamp")
    return Log(
        address=Address(entry["address"].lower()),
        topics=tuple(Hash32(topic) for topic in entry["topics"]),
        data=entry["data"],
        block_number=int(entry["blockNumber"], 16),
        block_hash=Hash32(entry["blockHash"]),
        transaction_hash=Hash32(entry["transactionHash"]),
        log_index=int(entry["logIndex"], 16),
        block_timestamp=int(timestamp, 16) if timestamp else None,
    )


def _receipt(entry: dict[str, Any]) -> Receipt:
    contract = entry.get("contractAddress")
    return Receipt(
        transaction_hash=Hash32(entry["transactionHash"]),
        block_number=int(entry["blockNumber"], 16),
        block_hash=Hash32(entry["blockHash"]),
        succeeded=entry["status"] == "0x1",
        gas_used=int(entry["gasUsed"], 16),
        effective_gas_price=int(entry["effectiveGasPrice"], 16),
        logs=tuple(_log(log) for log in entry["logs"]),
        contract_address=Address(contract.lower()) if contract else None,
    )
