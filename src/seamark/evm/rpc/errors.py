"""What a node can answer instead of a result, sorted by what the caller can do.

    TemporaryError
    ├── NodeFault                    the endpoint could not answer; another one may, or this one later
    │   ├── RpcTimeout               no answer before the deadline
    │   ├── RpcUnavailable           no connection, HTTP 5xx, a node in trouble
    │   │   └── BadReply             not JSON-RPC, half a reply, wrong ids, or facts that contradict each other
    │   ├── RateLimited              too many requests; `retry_after` where the node says so
    │   ├── RangeTooWide             eth_getLogs over too many blocks; `suggested` blocks or `suggested_range`
    │   ├── ResultTooLarge           the answer would be too large: ask for less at once
    │   ├── BlockOutOfRange          this node does not have the block (yet)
    │   └── EndpointBehind           this node's chain is older than, or another than, what is known already
    └── NoEndpoint                   none of the chain's endpoints could answer; `causes` has one error for each
    RejectedError
    ├── CallReverted                 the contract refused; `data` is the revert data
    ├── RequestRefused               the node calls the question itself malformed
    │   └── MethodNotSupported
    └── TransactionRefused           the node will not take this transaction, by reason:
        NonceTooLow, NonceTooHigh, AlreadyKnown, ReplacementUnderpriced, Underpriced, InsufficientFunds,
        FeeCapExceeded, InvalidTransaction
    StopError
    └── WrongChain                   the endpoint serves another chain than the settings say

Every message names the endpoint by host alone and keeps the node's own words, with anything that stands in the
endpoint's URL behind the host blotted out.
"""

from __future__ import annotations

from collections.abc import Sequence

from seamark.core.errors import RejectedError, SettingsError, TemporaryError

__all__ = [
    "AlreadyKnown",
    "BadReply",
    "BlockOutOfRange",
    "CallReverted",
    "EndpointBehind",
    "FeeCapExceeded",
    "InsufficientFunds",
    "InvalidTransaction",
    "MethodNotSupported",
    "NoEndpoint",
    "NodeFault",
    "NonceTooHigh",
    "NonceTooLow",
    "RangeTooWide",
    "RateLimited",
    "ReplacementUnderpriced",
    "RequestRefused",
    "ResultTooLarge",
    "RpcTimeout",
    "RpcUnavailable",
    "TransactionRefused",
    "Underpriced",
    "WrongChain",
]


class NodeFault(TemporaryError):
    """One endpoint could not answer."""


class RpcTimeout(NodeFault):
    """No answer before the deadline."""


class RpcUnavailable(NodeFault):
    """No connection, an HTTP error, or a node that says it is in trouble."""


class BadReply(RpcUnavailable):
    """A reply that cannot be true or cannot be read."""


class RateLimited(NodeFault):
    """The endpoint asks for a pause; `retry_after` seconds where it names them."""


class RangeTooWide(NodeFault):
    """The endpoint answers eth_getLogs only for fewer blocks.

    Args:
        suggested: Number of blocks that it allows, where it says so.
        suggested_range: First and last block that would work, where it says so.
    """

    def __init__(
        self, message: str, *, suggested: int | None = None, suggested_range: tuple[int, int] | None = None
    ) -> None:
        super().__init__(message)
        self.suggested = suggested
        self.suggested_range = suggested_range


class ResultTooLarge(RangeTooWide):
    """The answer would be too large or takes too long; how many blocks are too many depends on what is in them."""


class BlockOutOfRange(NodeFault):
    """The node does not have the block that was asked for: it is behind, or the block does not exist yet."""


class EndpointBehind(NodeFault):
    """The endpoint's chain is older or another than the one that is known."""


class NoEndpoint(TemporaryError):
    """No endpoint of the chain could answer."""

    def __init__(self, message: str, *, causes: Sequence[Exception], retry_after: float | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.causes = tuple(causes)


class CallReverted(RejectedError):
    """The contract refused the call. `data` is the revert data, empty where there is none or the node hides it."""

    def __init__(self, message: str, *, data: bytes = b"") -> None:
        super().__init__(message)
        self.data = data


class RequestRefused(RejectedError):
    """The node calls the request malformed."""


class MethodNotSupported(RequestRefused):
    """The node has no such method, or has switched it off."""


class TransactionRefused(RejectedError):
    """The node will not take this transaction."""


class NonceTooLow(TransactionRefused):
    """The nonce is used up, quite possibly by an earlier attempt of ours."""


class NonceTooHigh(TransactionRefused):
    """An earlier nonce has to arrive first."""


class AlreadyKnown(TransactionRefused):
    """The node has exactly these bytes: as good as accepted."""


class ReplacementUnderpriced(TransactionRefused):
    """Another transaction with this nonce waits, and this one does not offer enough more."""


class Underpriced(TransactionRefused):
    """Below what the node takes at all."""


class InsufficientFunds(TransactionRefused):
    """The sender cannot pay."""


class FeeCapExceeded(TransactionRefused):
    """Above the node's own limit on what a transaction may cost."""


class InvalidTransaction(TransactionRefused):
    """No node will ever take these bytes."""


class WrongChain(SettingsError):
    """The endpoint serves another chain. `expected` and `actual` are chain ids."""

    def __init__(self, endpoint: str, *, expected: int, actual: int) -> None:
        super().__init__(
            "rpc",
            f"{endpoint} serves chain id {actual}, but the settings say {expected}",
            remedy="correct the endpoint's URL or the chain id",
        )
        self.endpoint = endpoint
        self.expected = expected
        self.actual = actual
