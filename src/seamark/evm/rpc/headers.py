"""Headers of one endpoint, asked the cheapest way that it knows (`lean`)."""

from __future__ import annotations

from collections.abc import Sequence

from seamark.evm.rpc.endpoint import Answer, Endpoint, Request
from seamark.evm.rpc.errors import BadReply, BlockOutOfRange, MethodNotSupported
from seamark.evm.rpc.wire import read_header
from seamark.evm.types import BlockHeader, BlockTag

__all__ = ["header_request", "header_result", "read_headers", "read_one"]


def header_request(endpoint: Endpoint, block: BlockTag) -> Request:
    """The question for one header, to be put among others."""
    return Request(*endpoint.lean.question(block))


def header_result(endpoint: Endpoint, answer: Answer) -> BlockHeader | None:
    """What came back for it; None for null.

    Raises:
        SeamarkError: The answer's own error.
    """
    if isinstance(answer, Exception):
        if isinstance(answer, MethodNotSupported):
            endpoint.lean.learned(works=False)
        raise answer
    endpoint.lean.saw(answer)
    return read_header(answer)


async def read_one(endpoint: Endpoint, block: BlockTag) -> BlockHeader | None:
    """One header; where it has become worth it, asked both ways."""
    if endpoint.lean.to_be_tried:
        return await _try_both(endpoint, block)
    (answer,) = await endpoint.ask_together([header_request(endpoint, block)])
    if isinstance(answer, MethodNotSupported) and endpoint.lean.known:
        endpoint.lean.learned(works=False)
        (answer,) = await endpoint.ask_together([header_request(endpoint, block)])
    return header_result(endpoint, answer)


async def read_headers(endpoint: Endpoint, blocks: Sequence[BlockTag]) -> list[BlockHeader | None]:
    """In one batch where it fits; None for each that the endpoint does not have."""
    answers = await endpoint.ask_many([header_request(endpoint, block) for block in blocks])
    if endpoint.lean.known and any(isinstance(answer, MethodNotSupported) for answer in answers):
        endpoint.lean.learned(works=False)
        answers = await endpoint.ask_many([header_request(endpoint, block) for block in blocks])
    found: list[BlockHeader | None] = []
    for block, answer in zip(blocks, answers, strict=True):
        if isinstance(answer, BlockOutOfRange):
            found.append(None)
            continue
        header = header_result(endpoint, answer)
        if header is not None and isinstance(block, int) and header.number != block:
            raise BadReply(f"{endpoint.label}: block {header.number} was sent for block {block}")
        found.append(header)
    return found


async def _try_both(endpoint: Endpoint, block: BlockTag) -> BlockHeader | None:
    lean = endpoint.lean
    small, full = await endpoint.ask_together([Request(*lean.asked(block)), Request(*lean.full(block))])
    header = header_result(endpoint, full)
    if header is None:
        return None
    if isinstance(small, Exception):
        lean.learned(works=False)
        return header
    try:
        told = read_header(small)
    except BadReply:
        told = None
    if told == header:
        lean.learned(works=True)
    elif told is None or told.number == header.number:  # else a block came in between: try again
        lean.learned(works=False)
    return header
