"""A CCIP 1.6 message as both ramps see it: read from the OnRamp's event, hashed and encoded for the OffRamp.

Sources: `OnRamp.sol`, `OffRamp.sol`, `Internal.sol` of @chainlink/contracts-ccip, version 1.6.0. The hash computed here
is checked in a test against the deployed `MessageHasher`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seamark.core.ids import Address, Hash32, Selector
from seamark.evm.abi import Event, Function, compile_decoder, compile_encoder, parse_params
from seamark.evm.crypto import keccak256
from seamark.evm.types import Log

__all__ = [
    "CCIP_MESSAGE_SENT",
    "CCIP_SEND",
    "SENT_TOPIC",
    "LaneId",
    "RampMessage",
    "extra_args_v2",
    "leaf_hash",
    "read_sent",
]

EXTRA_ARGS_V2_TAG = bytes.fromhex("181dcf10")  # GenericExtraArgsV2: gas limit, out of order
_TAG_BYTES = 4
_LEAF_DOMAIN = bytes(32)
_MESSAGE_DOMAIN = keccak256(b"Any2EVMMessageHashV1")

CCIP_MESSAGE_SENT = Event.parse(
    "CCIPMessageSent(uint64 indexed destChainSelector, uint64 indexed sequenceNumber, ((bytes32 messageId,"
    " uint64 sourceChainSelector, uint64 destChainSelector, uint64 sequenceNumber, uint64 nonce) header,"
    " address sender, bytes data, bytes receiver, bytes extraArgs, address feeToken, uint256 feeTokenAmount,"
    " uint256 feeValueJuels, (address sourcePoolAddress, bytes destTokenAddress, bytes extraData, uint256 amount,"
    " bytes destExecData)[] tokenAmounts) message)"
)
SENT_TOPIC = CCIP_MESSAGE_SENT.topic0
CCIP_SEND = Function.parse(
    "ccipSend(uint64 selector, (bytes receiver, bytes data, (address token, uint256 amount)[] tokenAmounts,"
    " address feeToken, bytes extraArgs) message) payable returns (bytes32)"
)

_encode_address = compile_encoder(parse_params("address"))
_decode_address = compile_decoder(parse_params("address"))
_decode_uint = compile_decoder(parse_params("uint256"))
_encode_extra = compile_encoder(parse_params("uint256, bool"))
_encode_meta = compile_encoder(parse_params("bytes32, uint64, uint64, bytes32"))
_encode_header = compile_encoder(parse_params("bytes32, address, uint64, uint256, uint64"))
_encode_outer = compile_encoder(parse_params("bytes32, bytes32, bytes32, bytes32, bytes32, bytes32"))
_TOKENS = "(bytes sourcePool, address destToken, uint32 destGas, bytes extraData, uint256 amount)[] tokens"
_encode_tokens = compile_encoder(parse_params(_TOKENS))


@dataclass(frozen=True, slots=True)
class LaneId:
    """One direction between two chains."""

    source: Selector
    dest: Selector

    def __str__(self) -> str:
        return f"{self.source}->{self.dest}"


@dataclass(frozen=True, slots=True)
class RampMessage:
    """A message as its source sent it. `nonce` 0 means: may be executed out of order.

    `tokens` are in the OffRamp's form: (source pool as bytes, destination token, gas, extra data, amount).
    """

    message_id: Hash32
    lane: LaneId
    sequence: int
    nonce: int
    sender: Address
    receiver: Address
    data: bytes
    gas_limit: int
    tokens: tuple[tuple[Any, ...], ...]
    block_number: int
    transaction_hash: Hash32

    def for_offramp(self) -> tuple[Any, ...]:
        """The struct `Any2EVMRampMessage`."""
        header = (self.message_id, self.lane.source, self.lane.dest, self.sequence, self.nonce)
        return header, _encode_address([self.sender]), self.data, self.receiver, self.gas_limit, self.tokens


def extra_args_v2(gas_limit: int, *, out_of_order: bool = True) -> bytes:
    """GenericExtraArgsV2, tag and body."""
    return EXTRA_ARGS_V2_TAG + _encode_extra([gas_limit, out_of_order])


def read_sent(log: Log) -> RampMessage:
    """Read a `CCIPMessageSent` log of a 1.6 OnRamp towards an EVM chain."""
    message = CCIP_MESSAGE_SENT.decode(log).message
    header = message.header
    return RampMessage(
        message_id=Hash32("0x" + header.messageId.hex()),
        lane=LaneId(Selector(header.sourceChainSelector), Selector(header.destChainSelector)),
        sequence=header.sequenceNumber,
        nonce=header.nonce,
        sender=Address(message.sender),
        receiver=Address(_decode_address(message.receiver)[0]),
        data=message.data,
        gas_limit=_decode_uint(message.extraArgs[_TAG_BYTES:])[0],
        tokens=tuple(_token(token) for token in message.tokenAmounts),
        block_number=log.block_number,
        transaction_hash=log.transaction_hash,
    )


def leaf_hash(message: RampMessage, onramp: Address) -> bytes:
    """The leaf that a commit report's root is made of, `Internal._hash(Any2EVMRampMessage, …)`."""
    lane = message.lane
    metadata = _encode_meta([_MESSAGE_DOMAIN, lane.source, lane.dest, keccak256(_encode_address([onramp]))])
    header = [message.message_id, message.receiver, message.sequence, message.gas_limit, message.nonce]
    parts = [
        _LEAF_DOMAIN,
        keccak256(metadata),
        keccak256(_encode_header(header)),
        keccak256(_encode_address([message.sender])),
        keccak256(message.data),
        keccak256(_encode_tokens([message.tokens])),
    ]
    return keccak256(_encode_outer(parts))


def _token(token: Any) -> tuple[Any, ...]:
    pool = _encode_address([token.sourcePoolAddress])
    destination = _decode_address(token.destTokenAddress)[0]
    return pool, destination, _decode_uint(token.destExecData)[0], token.extraData, token.amount
