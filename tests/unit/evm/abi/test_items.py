from __future__ import annotations

import pytest

from seamark.core.ids import Address, Hash32
from seamark.evm.abi import (
    Abi,
    AbiTypeError,
    DecodeError,
    Error,
    Event,
    Function,
    compile_encoder,
    decode_revert,
    parse_params,
)
from seamark.evm.types import Log

MESSAGE_SENT = """event CCIPMessageSent(uint64 indexed destChainSelector, uint64 indexed sequenceNumber,
  ((bytes32 messageId, uint64 sourceChainSelector, uint64 destChainSelector, uint64 sequenceNumber, uint64 nonce)
  header, address sender, bytes data, bytes receiver, bytes extraArgs, address feeToken, uint256 feeTokenAmount,
  uint256 feeValueJuels, (address sourcePoolAddress, bytes destTokenAddress, bytes extraData, uint256 amount,
  bytes destExecData)[] tokenAmounts) message)"""


def topic(number: int) -> Hash32:
    return Hash32(f"0x{number:064x}")


def log_of(*topics: Hash32, data: str = "0x") -> Log:
    return Log(Address("0x" + "00" * 20), topics, data, 1, topic(1), topic(2), 0)


# Identifiers as published (ERC-20, Chainlink feeds and CCIP).
@pytest.mark.parametrize(
    ("line", "topic0"),
    [
        (
            "event Transfer(address indexed from, address indexed to, uint256 value)",
            "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
        ),
        (MESSAGE_SENT, "0x192442a2b2adb6a7948f097023cb6b57d29d3a7a5dd33e6666d33c39cc456f32"),
        (
            "ExecutionStateChanged(uint64 indexed a,uint64 indexed b,bytes32 indexed c,bytes32,uint8,bytes,uint256);",
            "0x05665fe9ad095383d018353f4cbcba77e84db27dd215081bbf7cdf9ae6fbe48b",
        ),
        ("event Cursed(bytes16[] subjects)", "0x1716e663a90a76d3b6c7e5f680673d1b051454c19c627e184c8daf28f3104f74"),
    ],
)
def test_topics(line: str, topic0: str) -> None:
    assert Event.parse(line).topic0 == topic0


@pytest.mark.parametrize(
    ("line", "selector"),
    [
        ("function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80)", "feaf968c"),
        ("function getRoundData(uint80 id) view returns (uint80 roundId, int256 answer)", "9a6fc8f5"),
        ("transfer(address,uint)", "a9059cbb"),
    ],
)
def test_selectors(line: str, selector: str) -> None:
    assert Function.parse(line).selector.hex() == selector


def test_function_parts() -> None:
    function = Function.parse("function f(uint8 a, (bool b) c) public payable returns (uint8 x);")
    assert (function.name, function.mutability) == ("f", "payable")
    assert function.signature == "f(uint8,(bool))"
    calldata = function.encode(1, (True,))
    assert function.decode_call(calldata).c.b is True
    assert function.decode_result(calldata[4:36]).x == 1
    with pytest.raises(DecodeError, match="not a call of"):
        function.decode_call(b"\0" * 68)


def test_an_empty_answer_hints_at_the_address() -> None:
    with pytest.raises(DecodeError, match="no such contract"):
        Function.parse("decimals() returns (uint8)").decode_result(b"")
    assert Function.parse("pause()").decode_result(b"") == ()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "function",
        "function f",
        "function f(",
        "event f()",
        "f(uint8",
        "f() returns uint8",
        "f() sideways",
        "function f() returns (uint7)",
    ],
)
def test_malformed_functions(line: str) -> None:
    with pytest.raises(AbiTypeError):
        Function.parse(line)


@pytest.mark.parametrize(
    "line", ["event E(uint8) view", "E(uint8 indexed a, uint8 indexed b, uint8 indexed c, uint8 indexed d)"]
)
def test_malformed_events(line: str) -> None:
    with pytest.raises(AbiTypeError):
        Event.parse(line)


def test_event_record_is_in_order_of_declaration() -> None:
    event = Event.parse("event E(uint8 a, address indexed b, string indexed c, bytes d)")
    data = compile_encoder(parse_params("uint8,bytes"))((7, b"xyz"))
    record = event.decode_log([event.topic0, topic(0xAB), topic(5)], "0x" + data.hex())
    assert record == (7, f"0x{0xAB:040x}", (5).to_bytes(32, "big"), b"xyz")
    assert record._fields == ("a", "b", "c", "d")
    assert event.decode_log([event.topic0, topic(0xAB), topic(5)], data) == record


def test_nested_records_of_a_real_event() -> None:
    event = Event.parse(MESSAGE_SENT)
    sender = "0x" + "11" * 20
    message = ((b"\1" * 32, 1, 2, 3, 4), sender, b"data", b"r", b"x", sender, 5, 6, ((sender, b"t", b"", 9, b""),))
    body = compile_encoder(event.inputs[2:])((message,))
    log = log_of(event.topic0, topic(2), topic(3), data="0x" + body.hex())
    record = event.decode(log)
    assert record.destChainSelector == 2
    assert record.message == message
    assert record.message.header.messageId == b"\1" * 32
    assert record.message.tokenAmounts[0].amount == 9


@pytest.mark.parametrize(
    ("topics", "data", "problem"),
    [
        ([], "0x", "0 topics instead of 2"),
        (["T"], "0x", "1 topics instead of 2"),
        ([topic(9), topic(1)], "0x", "of another event"),
        (["T", topic(256)], "0x", "out of range for uint8"),
        (["T", "0x01"], "0x", "has not 32 bytes"),
        (["T", "0x" + "zz" * 32], "0x", "not hex"),
        (["T", topic(1)], "0x0", "not hex"),
        (["T", topic(1)], "0x", "ends too early"),
        (["T", topic(1)], "0x" + "0 " * 32, "not hex"),
    ],
)
def test_logs_that_are_not_this_event(topics, data: str, problem: str) -> None:
    event = Event.parse("event E(uint8 indexed a, uint8 b)")
    with pytest.raises(DecodeError, match=problem):
        event.decode_log([event.topic0 if item == "T" else item for item in topics], data)


def test_anonymous_events_have_no_topic0() -> None:
    event = Event.parse("event E(uint8 indexed a) anonymous")
    assert event.decode_log([topic(5)], "0x") == (5,)


def test_reverts_in_words() -> None:
    reason = Error.parse("error Error(string reason)").encode("No data present")
    assert str(decode_revert(reason)) == "reverted: No data present"
    panic = Error.parse("error Panic(uint256 code)")
    assert str(decode_revert(panic.encode(0x11))) == "reverted: arithmetic overflow (Panic 0x11)"
    assert str(decode_revert(panic.encode(0x99))) == "reverted: panic (Panic 0x99)"
    own = Error.parse("error ChainNotSupported(uint64 selector, bytes4 why)")
    decoded = decode_revert(own.encode(7, b"\1\2\3\4"), [own])
    assert (decoded.name, decoded.values.selector) == ("ChainNotSupported", 7)
    assert str(decoded) == "reverted: ChainNotSupported(7, 0x01020304)"
    assert str(decode_revert(b"")) == "reverted without a reason"
    assert str(decode_revert(b"\1\2\3\4" * 30)).startswith("reverted with unknown data 0x0102")
    assert str(decode_revert(reason[:20])).startswith("reverted with unknown data")


ABI = Abi.from_json(
    [
        {"type": "constructor", "inputs": [{"name": "owner", "type": "address"}]},
        {"type": "function", "name": "f", "inputs": [], "outputs": [{"name": "", "type": "uint8"}], "stateMutability": "view"},  # noqa: E501
        {"type": "function", "name": "g", "inputs": [{"name": "a", "type": "uint8"}], "outputs": []},
        {"type": "function", "name": "g", "inputs": [{"name": "a", "type": "uint8"}, {"name": "b", "type": "bool"}], "outputs": []},  # noqa: E501
        {"type": "event", "name": "E", "inputs": [{"name": "a", "type": "uint8", "indexed": True}], "anonymous": False},
        {"type": "error", "name": "Bad", "inputs": [{"name": "code", "type": "uint8"}]},
        {"type": "receive", "stateMutability": "payable"},
    ]
)  # fmt: skip


def test_a_whole_abi() -> None:
    assert ABI.encode_call("f") == ABI.function("f").selector
    assert ABI.decode_result("f", (3).to_bytes(32, "big")) == (3,)
    assert (
        ABI.encode_call("g(uint8,bool)", 1, True)
        == ABI.function("g(uint8,bool)").selector + bytes(31) + b"\1" + bytes(31) + b"\1"
    )
    assert ABI.constructor.encode("0x" + "11" * 20) == bytes(12) + b"\x11" * 20
    assert str(ABI.decode_error(ABI.error("Bad").encode(4))) == "reverted: Bad(4)"
    event = ABI.event("E")
    log = log_of(event.topic0, topic(4))
    assert ABI.decode_log(log) == (event, (4,))


def test_overloaded_and_missing_names() -> None:
    with pytest.raises(AbiTypeError, match="overloaded; give its full signature"):
        ABI.function("g")
    with pytest.raises(AbiTypeError, match="function h does not exist"):
        ABI.function("h")
    with pytest.raises(DecodeError, match="no event of this contract"):
        ABI.decode_log(log_of(topic(4)))


def test_abi_from_lines() -> None:
    abi = Abi.parse("function f() view returns (uint8)", "event E(uint8 indexed a)", "error Bad(uint8 code)")
    assert abi.function("f").selector == ABI.function("f").selector
    assert abi.event("E").topic0 == ABI.event("E").topic0
    with pytest.raises(AbiTypeError, match="must start with"):
        Abi.parse("f()")


def test_unknown_kind_of_entry() -> None:
    with pytest.raises(AbiTypeError, match="modifier"):
        Abi.from_json([{"type": "modifier", "name": "m"}])
