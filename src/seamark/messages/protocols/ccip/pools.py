"""Which token a pool is of. CCIP 1.6 names only the pool in what it sends; the pool says which token it holds.

That needs a call, and decoding makes none: a send's details keep the pool, and whoever shows them asks here.
"""

from __future__ import annotations

from collections.abc import Iterable

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address, ChainId
from seamark.evm.abi import Abi
from seamark.evm.ports import ChainReader
from seamark.evm.types import Call

__all__ = ["PoolTokens"]

POOL = Abi.parse("function getToken() view returns (address token)")
_GET_TOKEN = POOL.function("getToken")


class PoolTokens:
    """Tokens by pool, asked once: a pool keeps its token for life."""

    def __init__(self) -> None:
        self._found: dict[tuple[ChainId, str], Address] = {}

    async def find(self, reader: ChainReader, pools: Iterable[str]) -> dict[str, Address]:
        """The tokens of those pools that tell.

        Raises:
            TemporaryError: No answer.
        """
        wanted = list(dict.fromkeys(pools))
        missing = [pool for pool in wanted if (reader.chain_id, pool) not in self._found]
        answers = await reader.calls([Call(Address(pool), _GET_TOKEN.encode()) for pool in missing])
        for pool, answer in zip(missing, answers, strict=True):
            token = _read(answer)
            if token is not None:
                self._found[reader.chain_id, pool] = token
        found = {pool: self._found.get((reader.chain_id, pool)) for pool in wanted}
        return {pool: token for pool, token in found.items() if token is not None}


def _read(answer: bytes | Exception) -> Address | None:
    if isinstance(answer, TemporaryError):
        raise answer
    if isinstance(answer, Exception):
        return None
    try:
        return Address(_GET_TOKEN.decode_result(answer).token)
    except RejectedError:
        return None
