"""The client against a node of our own making, so that every answer can be wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes

from seamark.core.errors import TemporaryError
from seamark.core.ids import Address, ChainId, Hash32
from seamark.devnet import node_client
from seamark.devnet.accounts import Role, account
from seamark.devnet.node_client import CallFailed, NodeClient, Read, Tx, Wallet, create_address
from seamark.evm.abi import Abi, Function
from seamark.evm.signers import RawKeySigner

CONTRACT = Address("0x" + "11" * 20)
DEPLOYER = account(Role.HOME_DEPLOYER)
TX = "0x" + "77" * 32


class Node:
    """Answers JSON-RPC from a dict of functions; remembers what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.bodies: list[list[dict[str, Any]]] = []
        self.answers: dict[str, Any] = {
            "eth_getBlockByNumber": lambda *_: {"number": "0x10", "baseFeePerGas": "0x64"},
            "anvil_getAutomine": lambda: False,
        }
        self.turn_around = False
        self.raw: str | None = None

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        if self.raw is not None:
            return web.Response(text=self.raw)
        answers = [self._answer(entry) for entry in body]
        return web.json_response(answers[::-1] if self.turn_around else answers)

    def _answer(self, entry: dict[str, Any]) -> dict[str, Any]:
        base = {"jsonrpc": "2.0", "id": entry["id"]}
        answer = self.answers[entry["method"]](*entry["params"])
        if isinstance(answer, Exception):
            return base | {"error": answer.args[0]}
        return base | {"result": answer}

    def asked(self, method: str) -> list[Any]:
        return [entry["params"] for body in self.bodies for entry in body if entry["method"] == method]


@pytest.fixture
async def node():
    fake = Node()
    application = web.Application()
    application.router.add_post("/", fake.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


@pytest.fixture
async def client(node):
    async with NodeClient(node.url, ChainId(138)) as opened:
        yield opened


def wallet(client: NodeClient) -> Wallet:
    return Wallet(client, RawKeySigner.from_hex(DEPLOYER.private_key))


def receipt(number: int = 5, status: str = "0x1", tx: str = TX) -> dict[str, Any]:
    return {
        "transactionHash": tx,
        "blockNumber": hex(number),
        "blockHash": "0x" + "88" * 32,
        "status": status,
        "gasUsed": "0x5208",
        "effectiveGasPrice": "0x7",
        "contractAddress": "0x" + "AA" * 20,
        "logs": [
            {
                "address": "0x" + "BB" * 20,
                "topics": ["0x" + "01" * 32],
                "data": "0x",
                "blockNumber": hex(number),
                "blockHash": "0x" + "88" * 32,
                "transactionHash": tx,
                "logIndex": "0x3",
            }
        ],
    }


# ---- questions -------------------------------------------------------------------------------------------------------


async def test_answers_are_put_in_the_order_of_the_questions(node, client):
    node.turn_around = True
    node.answers["echo"] = lambda value: value
    assert await client.batch([("echo", (number,)) for number in range(5)]) == [0, 1, 2, 3, 4]


async def test_many_questions_are_asked_in_several_requests(node, client):
    node.answers["echo"] = lambda value: value
    count = 2 * node_client.BATCH_SIZE + 1
    assert len(await client.batch([("echo", (number,)) for number in range(count)])) == count
    assert [len(body) for body in node.bodies] == [node_client.BATCH_SIZE, node_client.BATCH_SIZE, 1]


async def test_large_questions_are_asked_in_several_requests(node, client):
    node.answers["echo"] = len
    large = "0x" + "00" * 200_000
    assert await client.batch([("echo", (large,))] * 5) == [len(large)] * 5
    assert [len(body) for body in node.bodies] == [2, 2, 1]
    assert all(len(json.dumps(body)) < 2_000_000 for body in node.bodies)


async def test_an_error_stands_in_its_place(node, client):
    node.answers["good"] = lambda: 1
    node.answers["bad"] = lambda: Exception({"code": 3, "message": "execution reverted", "data": "0x08c379a0"})
    good, bad = await client.batch([("good", ()), ("bad", ())])
    assert good == 1
    assert isinstance(bad, CallFailed)
    assert bad.message == "bad: execution reverted"
    assert bad.data == bytes.fromhex("08c379a0")
    with pytest.raises(CallFailed, match="bad: execution reverted"):
        await client.request("bad")


@pytest.mark.parametrize("raw", ["", "half of", '{"error": {"message": "no batches here"}}'])
async def test_nonsense_is_a_passing_fault(node, client, raw):
    node.raw = raw
    with pytest.raises(TemporaryError, match="the node of chain 138"):
        await client.request("eth_chainId")


async def test_nobody_at_home_is_a_passing_fault():
    async with NodeClient("http://127.0.0.1:1", ChainId(138)) as client:
        with pytest.raises(TemporaryError, match="the node of chain 138 does not answer"):
            await client.request("eth_chainId")


async def test_a_closed_client_says_so(node):
    client = NodeClient(node.url, ChainId(138))
    with pytest.raises(TemporaryError, match="is closed"):
        await client.request("eth_chainId")


async def test_reads_give_bare_values_or_records(node, client):
    one = Function.parse("one() view returns (uint256)")
    two = Function.parse("two(uint256 x) view returns (uint256 a, uint256 b)")
    words = {10: f"{5:064x}", 74: f"{5:064x}{6:064x}"}  # by the length of the calldata
    node.answers["eth_call"] = lambda call, block: "0x" + words[len(call["data"])]
    assert await client.read(CONTRACT, one) == 5
    first, second = await client.reads([Read(CONTRACT, one), Read(CONTRACT, two, (9,))])
    assert (first, second.a, second.b) == (5, 5, 6)


async def test_a_read_that_reverts_raises(node, client):
    node.answers["eth_call"] = lambda *_: Exception({"code": 3, "message": "execution reverted", "data": "0x"})
    with pytest.raises(CallFailed, match="execution reverted"):
        await client.read(CONTRACT, Function.parse("one() view returns (uint256)"))


async def test_heads_and_hashes(node, client):
    blocks = {"latest": {"number": "0x10", "hash": TX}, "0x3": {"number": "0x3", "hash": TX}}
    node.answers["eth_getBlockByNumber"] = lambda tag, _: blocks.get(tag)
    assert await client.head() == 16
    assert await client.block_hash(3) == TX
    assert await client.block_hash(4) is None
    with pytest.raises(CallFailed, match="chain 138 has no finalized block"):
        await client.head("finalized")


async def test_logs_are_read_and_an_empty_range_is_not_asked_for(node, client):
    node.answers["eth_getLogs"] = lambda wanted: receipt()["logs"]
    (log,) = await client.logs(CONTRACT, [TX, None], 4, 9)
    assert (log.address, log.log_index, log.block_number) == ("0x" + "bb" * 20, 3, 5)
    assert log.block_timestamp is None
    assert await client.logs(CONTRACT, [TX], 5, 4) == []
    assert node.asked("eth_getLogs") == [
        [{"address": CONTRACT, "topics": [TX, None], "fromBlock": "0x4", "toBlock": "0x9"}]
    ]


# ---- transactions ----------------------------------------------------------------------------------------------------


async def test_waiting_asks_only_for_what_is_missing(node, client, monkeypatch):
    monkeypatch.setattr(node_client, "RECEIPT_POLL_S", 0)
    other = "0x" + "66" * 32
    left = {TX: 0, other: 2}

    def answer(tx):
        left[tx] -= 1
        return receipt(tx=tx) if left[tx] < 0 else None

    node.answers["eth_getTransactionByHash"] = lambda tx: {"hash": tx}
    node.answers["eth_getTransactionReceipt"] = answer
    receipts = await client.wait([Hash32(other), Hash32(TX)])
    assert [each.transaction_hash for each in receipts] == [other, TX]
    assert receipts[0].contract_address == "0x" + "aa" * 20
    assert node.asked("eth_getTransactionReceipt") == [[other], [TX], [other], [other]]


async def test_waiting_gives_up(node, client, monkeypatch):
    monkeypatch.setattr(node_client, "RECEIPT_TIMEOUT_S", 0.01)
    node.answers["eth_getTransactionByHash"] = lambda tx: {"hash": tx}
    node.answers["eth_getTransactionReceipt"] = lambda _: None
    with pytest.raises(TemporaryError, match="chain 138 did not mine within"):
        await client.wait([Hash32(TX)])


async def test_a_dropped_transaction_is_not_waited_for(node, client):
    node.answers["eth_getTransactionByHash"] = lambda _: None
    node.answers["eth_getTransactionReceipt"] = lambda _: None
    with pytest.raises(TemporaryError, match=f"chain 138 does not know transaction {TX} any more"):
        await client.wait([Hash32(TX)])


async def test_fees_leave_room_for_rising_blocks_and_are_zero_where_gas_is_free(node, client):
    fees = await client.fees()
    assert (fees.cap, fees.tip) == (3 * 100 + 10**9, 10**9)
    async with NodeClient(node.url, ChainId(138), free_gas=True) as free:
        assert (await free.fees()).is_zero


async def test_a_wallet_numbers_a_batch_from_the_nodes_nonce(node, client):
    sent: list[str] = []

    def accept(raw):
        sent.append(raw)
        return TX

    node.answers["eth_getTransactionCount"] = lambda address, block: hex(7 + len(sent))
    node.answers["eth_sendRawTransaction"] = accept
    sender = wallet(client)
    assert await sender.send([Tx(CONTRACT, b"\1"), Tx(CONTRACT, b"\2")]) == [TX, TX]
    assert await sender.send([Tx(None, b"\3")]) == [TX]
    decoded = [Account.recover_transaction(raw) for raw in sent]
    assert {address.lower() for address in decoded} == {DEPLOYER.address}
    assert [TypedTransaction.from_bytes(HexBytes(raw)).as_dict()["nonce"] for raw in sent] == [7, 8, 9]
    assert node.asked("eth_getTransactionCount") == [[DEPLOYER.address, "pending"]] * 2


def mines_at_once(node, *, refuses: int | None = None, left: int = 0) -> list[str]:
    """A node with automatic mining that writes down what it is told; it refuses one transaction, and others' wait."""
    told: list[str] = []
    waiting = [left]

    def accept(_raw):
        told.append("send")
        if told.count("send") - 1 == refuses:
            return Exception({"code": -32003, "message": "nonce too low"})
        return TX

    def mine():
        told.append("mine")
        waiting[0] = max(0, waiting[0] - 1)
        return "0x0"

    node.answers |= {
        "anvil_getAutomine": lambda: True,
        "evm_setAutomine": lambda on: told.append("on" if on else "off"),
        "evm_mine": mine,
        "txpool_status": lambda: {"pending": hex(waiting[0]), "queued": "0x0"},
        "eth_getTransactionCount": lambda *_: "0x7",
        "eth_sendRawTransaction": accept,
    }
    return told


async def test_a_node_that_mines_at_once_mines_by_word_while_several_come_in(node, client):
    told = mines_at_once(node)
    assert await wallet(client).send([Tx(CONTRACT, b"\1"), Tx(CONTRACT, b"\2")]) == [TX, TX]
    assert told == ["off", "send", "mine", "send", "mine", "on"]


async def test_one_transaction_is_left_to_the_node(node, client):
    told = mines_at_once(node)
    assert await wallet(client).send([Tx(CONTRACT, b"\1")]) == [TX]
    assert told == ["send"]


async def test_behind_a_refusal_nothing_is_sent_and_the_node_mines_again(node, client):
    told = mines_at_once(node, refuses=1)
    with pytest.raises(CallFailed, match="nonce too low"):
        await wallet(client).send([Tx(CONTRACT, b"\1")] * 3)
    assert told == ["off", "send", "mine", "send", "on"]


async def test_what_others_sent_meanwhile_is_mined(node, client):
    told = mines_at_once(node, left=4)
    await wallet(client).send([Tx(CONTRACT, b"\1")] * 2)
    assert told == ["off", "send", "mine", "send", "mine", "on", "mine", "mine"]


async def test_a_refused_transaction_is_named(node, client):
    node.answers["eth_getTransactionCount"] = lambda *_: "0x7"
    node.answers["eth_sendRawTransaction"] = lambda _: Exception({"code": -32003, "message": "nonce too low"})
    with pytest.raises(CallFailed, match="deploy it: eth_sendRawTransaction: nonce too low"):
        await wallet(client).send([Tx(None, b"", label="deploy it")])


async def test_a_revert_is_explained_with_the_contracts_errors(node, client):
    abi = Abi.parse("error TooLate(uint256 by)")
    node.answers |= {
        "eth_getTransactionCount": lambda *_: "0x0",
        "eth_sendRawTransaction": lambda _: TX,
        "eth_getTransactionByHash": lambda tx: {"hash": tx},
        "eth_getTransactionReceipt": lambda _: receipt(status="0x0"),
        "eth_call": lambda *_: Exception(
            {"code": 3, "message": "reverted", "data": "0x" + abi.error("TooLate").encode(4).hex()}
        ),
    }
    with pytest.raises(CallFailed, match=r"be quick failed: .*TooLate.*4"):
        await wallet(client).run([Tx(CONTRACT, b"", label="be quick")], abi=abi)
    with pytest.raises(CallFailed, match="transaction failed: eth_call: reverted"):
        await wallet(client).run([Tx(CONTRACT, b"")])
    node.answers["eth_call"] = lambda *_: "0x"
    with pytest.raises(CallFailed, match="status 0, 21000 of 3000000 gas used"):
        await wallet(client).run([Tx(CONTRACT, b"")])


def test_addresses_of_created_contracts():
    # The first two contracts of anvil's first account, as every Foundry tutorial shows them.
    assert create_address(DEPLOYER.address, 0) == "0x5fbdb2315678afecb367f032d93f642f64180aa3"
    assert create_address(DEPLOYER.address, 1) == "0xe7f1725e7734ce288f8367e1bb143e90bb3f0512"
    assert create_address(DEPLOYER.address, 300) != create_address(DEPLOYER.address, 301)
