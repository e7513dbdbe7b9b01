from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from seamark.core.ids import Address, Hash32
from seamark.evm.rpc.errors import BadReply
from seamark.evm.rpc.wire import read_bytes, read_fee_history, read_header, read_logs, read_number, read_receipt
from seamark.evm.types import LogFilter
from tests.unit.evm.rpc.fake_node import EMITTER, TOPIC, FakeNode, block_hash, make_log

WANTED = LogFilter((Address(EMITTER),), (Hash32(TOPIC),))
TRANSACTION = Hash32("0x" + "5".rjust(64, "c"))


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def logs_of(*replies: Any, first: int = 0, last: int = 100):
    return read_logs(raw(list(replies)), WANTED, first, last)


def test_logs_come_in_order() -> None:
    logs = logs_of(make_log(7), make_log(5, 2), make_log(5, 1))
    assert [(log.block_number, log.log_index) for log in logs] == [(5, 1), (5, 2), (7, 0)]
    assert logs[2].transaction_hash == "0x" + "7".rjust(64, "c")
    assert logs[0].block_timestamp is None


def test_case_is_folded() -> None:
    (log,) = logs_of(make_log(5, address=EMITTER.upper().replace("0X", "0x"), blockHash="0x" + "AB" * 32))
    assert (log.address, log.block_hash) == (EMITTER, "0x" + "ab" * 32)


@pytest.mark.parametrize(("sent", "read"), [("0x10", 16), ("0x0", None), (None, None)])
def test_block_timestamp_is_taken_where_it_is_there(sent: str | None, read: int | None) -> None:
    (log,) = logs_of(make_log(5, blockTimestamp=sent))
    assert log.block_timestamp == read


@pytest.mark.parametrize(
    "replies",
    [
        [make_log(101)],
        [make_log(9)],
        [make_log(50, address="0x" + "bb" * 20)],
        [make_log(50, topics=["0x" + "22" * 32])],
        [make_log(50, topics=[])],
        [make_log(50, topics=[TOPIC] * 5)],
        [make_log(50, topics=["0x11"])],
        [make_log(50, topics=["0x" + "zz" * 32])],
        [make_log(50, removed=True)],
        [make_log(50, blockNumber=None)],
        [make_log(50, blockHash=None)],
        [make_log(50, blockNumber="50")],
        [make_log(50, blockNumber="-0x1")],
        [make_log(50, blockHash="0x50")],
        [make_log(50, logIndex=0)],
        [make_log(50, data=None)],
        [make_log(50, data="00")],
        [make_log(50, address="0x50")],
        [make_log(50), make_log(50)],
        [make_log(50, 1), make_log(50, 2, blockHash=block_hash(50, "f"))],
        ["log"],
        [None],
    ],
)
def test_logs_that_cannot_be_true(replies: list[Any]) -> None:
    with pytest.raises(BadReply):
        logs_of(*replies, first=10)


@pytest.mark.parametrize("body", [b"null", b"{}", b'"0x"', b"[", b"", b"[1]", b"\xff"])
def test_logs_that_are_none(body: bytes) -> None:
    with pytest.raises(BadReply):
        read_logs(msgspec.Raw(body), WANTED, 0, 100)


def test_headers() -> None:
    header = read_header(raw(FakeNode().header(5)))
    assert header is not None
    assert (header.number, header.hash, header.parent_hash) == (5, block_hash(5), block_hash(4))
    assert (header.timestamp, header.base_fee) == (1_700_000_005, 7)
    assert read_header(raw(None)) is None


def test_headers_before_the_fee_market() -> None:
    body = FakeNode().header(5)
    assert body is not None
    del body["baseFeePerGas"], body["logsBloom"]
    header = read_header(raw(body))
    assert header is not None
    assert (header.base_fee, header.logs_bloom) == (None, "")


@pytest.mark.parametrize(
    "change", [{"hash": None}, {"hash": "0x1"}, {"number": None}, {"timestamp": 5}, {"parentHash": 1}]
)
def test_malformed_headers(change: dict[str, Any]) -> None:
    body = FakeNode().header(5)
    assert body is not None
    with pytest.raises(BadReply):
        read_header(raw(body | change))


def receipt(**changes: Any) -> dict[str, Any]:
    return {
        "transactionHash": TRANSACTION,
        "blockNumber": "0x5",
        "blockHash": block_hash(5),
        "gasUsed": "0x5208",
        "logs": [make_log(5)],
        "status": "0x1",
        "effectiveGasPrice": "0x9",
        "contractAddress": None,
    } | changes


def test_receipts() -> None:
    read = read_receipt(raw(receipt()), TRANSACTION)
    assert read is not None
    assert (read.succeeded, read.gas_used, read.effective_gas_price, len(read.logs)) == (True, 21000, 9, 1)
    failed = read_receipt(raw(receipt(status="0x0", logs=[], contractAddress=EMITTER)), TRANSACTION)
    assert failed is not None
    assert (failed.succeeded, failed.contract_address) == (False, EMITTER)


@pytest.mark.parametrize("body", [None, receipt(blockNumber=None, blockHash=None, logs=[])])
def test_no_receipt_while_in_no_block(body: Any) -> None:
    assert read_receipt(raw(body), TRANSACTION) is None


@pytest.mark.parametrize(
    "change",
    [
        {"transactionHash": "0x" + "00" * 32},
        {"status": None},
        {"logs": [make_log(6)]},
        {"logs": [make_log(5, blockHash=block_hash(5, "f"))]},
        {"logs": None},
        {"gasUsed": None},
    ],
)
def test_receipts_that_cannot_be_true(change: dict[str, Any]) -> None:
    with pytest.raises(BadReply):
        read_receipt(raw(receipt(**change)), TRANSACTION)


def test_fee_history() -> None:
    history = read_fee_history(raw({"oldestBlock": "0x1", "baseFeePerGas": ["0x1", "0x2"], "reward": [["0x3", "0x4"]]}))
    assert (history.base_fees, history.rewards) == ((1, 2), ((3, 4),))
    assert read_fee_history(raw({"oldestBlock": "0x1", "reward": None})).base_fees == ()


@pytest.mark.parametrize("body", [None, 5, "5", "0x", [], {"a": 1}])
def test_numbers_and_bytes_are_strict(body: Any) -> None:
    with pytest.raises(BadReply):
        read_number(raw(body))
    if body != "0x":
        with pytest.raises(BadReply):
            read_bytes(raw(body))
