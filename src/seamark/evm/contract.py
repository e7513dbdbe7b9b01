"""One contract at one address, read by names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seamark.core.ids import Address
from seamark.evm.abi import Abi, Function
from seamark.evm.ports import ChainReader
from seamark.evm.types import BlockTag, Call

__all__ = ["Contract"]


class Contract:
    """Reads through a `ChainReader`. A function with one output gives the bare value, any other a record."""

    def __init__(self, chain: ChainReader, address: Address, abi: Abi) -> None:
        self._chain = chain
        self.address = address
        self.abi = abi

    async def read(self, name: str, *arguments: Any, block: BlockTag = "latest") -> Any:
        """Call one function.

        Raises:
            CallReverted: The contract refused.
            DecodeError: The answer is not what the ABI says; nothing lives at the address.
            TemporaryError: No node answered.
        """
        function = self.abi.function(name)
        data = await self._chain.call(Call(self.address, function.encode(*arguments), block))
        return _value(function, data)

    async def read_many(self, reads: Sequence[tuple[str, tuple[Any, ...]]], *, block: BlockTag = "latest") -> list[Any]:
        """Call several functions, `(name, arguments)` each, in as few requests as possible.

        Name a block number where the answers must belong together. Raises what `read` raises, for the first that
        failed.
        """
        functions = [self.abi.function(name) for name, _ in reads]
        calls = [
            Call(self.address, function.encode(*arguments), block)
            for function, (_, arguments) in zip(functions, reads, strict=True)
        ]
        answers = await self._chain.calls(calls)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return [
            _value(function, answer)
            for function, answer in zip(functions, answers, strict=True)
            if isinstance(answer, bytes)
        ]


def _value(function: Function, data: bytes) -> Any:
    record = function.decode_result(data)
    return record[0] if len(record) == 1 else record
