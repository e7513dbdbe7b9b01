"""One Ethereum node in memory: accounts, a transaction pool with real replacement rules, blocks, reorgs.

It implements what a `Sender` needs (`ChainWriter`), and decodes what it is given with `rlp`, not with the code tested.
What replaces what, and in which words a refusal is told, is the client family's (`pools.py`). A full pool drops its
cheapest transaction, or refuses the newcomer if that is the cheapest; `mempool_rpc.py` serves a node over HTTP.

`before` and `after` are called around every request with the method's name; what they raise is what the caller gets. So
`before` is a request that never arrived, and `after` one whose answer was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import rlp  # type: ignore[import-untyped]
from sha3 import keccak_256

from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.crypto import recover_address
from seamark.evm.rpc.classify import classify
from seamark.evm.types import BlockHeader, BlockTag, Receipt
from tests.support.pools import FAMILIES, Family

GWEI = 10**9
ETHER = 10**18
GENESIS_TIME = 1_700_000_000
BLOCK_TIME_S = 2
PLAIN_GAS = 21_000
LOCAL = ChainId(31337)


def refusal(words: str, method: str = "eth_sendRawTransaction", code: int = -32000) -> Exception:
    """What our client makes of a node's error."""
    return classify("memory", method, code, words)


def keccak(data: bytes) -> bytes:
    return bytes(keccak_256(data).digest())


@dataclass(frozen=True)
class Tx:
    """A decoded raw transaction."""

    raw: bytes
    hash: Hash32
    sender: Address
    chain_id: int
    nonce: int
    tip: int
    cap: int
    gas: int
    to: Address | None
    value: int
    data: bytes
    legacy: bool = False

    @property
    def cost(self) -> int:
        return self.gas * self.cap + self.value

    def price(self, base_fee: int) -> int:
        return min(self.cap, base_fee + self.tip)


def decode(raw: bytes) -> Tx:
    if raw[0] == 2:
        fields = rlp.decode(raw[1:])
        chain_id, nonce, tip, cap, gas = map(number, fields[:5])
        to, value, data, access_list, parity, r, s = fields[5:]
        assert access_list == []
        digest, parity_bit = keccak(b"\x02" + rlp.encode(fields[:9])), number(parity)
    else:
        fields = rlp.decode(raw)
        nonce, cap, gas = map(number, fields[:3])
        to, value, data, v, r, s = fields[3:]
        tip = cap
        chain_id, parity_bit = (number(v) - 35) // 2, (number(v) - 35) % 2
        digest = keccak(rlp.encode([*fields[:6], rlp.sedes.big_endian_int.serialize(chain_id), b"", b""]))
    return Tx(
        raw=raw,
        hash=Hash32("0x" + keccak(raw).hex()),
        sender=recover_address(digest, parity_bit, number(r), number(s)),
        chain_id=chain_id,
        nonce=nonce,
        tip=tip,
        cap=cap,
        gas=gas,
        to=Address("0x" + to.hex()) if to else None,
        value=number(value),
        data=data,
        legacy=raw[0] != 2,
    )


def number(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


@dataclass(frozen=True)
class MinedBlock:
    header: BlockHeader
    transactions: tuple[Tx, ...] = ()
    foreign: tuple[Address, ...] = ()  # nonces used up by transactions we never saw


@dataclass(frozen=True)
class History:
    base_fees: tuple[int, ...]
    rewards: tuple[tuple[int, ...], ...]


def nothing(_method: str) -> None:
    return


@dataclass
class MemoryNode:
    """The node and its chain."""

    chain_id: ChainId = LOCAL
    rule: str = "geth"  # a name of `pools.FAMILIES`
    base_fee: int | None = GWEI
    market_tip: int = GWEI
    min_tip: int = 0
    funds: int = 100 * ETHER
    gas_needed: int = 50_000
    keeps_gaps: bool = True
    pool_size: int = 10_000
    room: int = 1_000  # transactions in a block
    revert: Exception | None = None
    before: Callable[[str], None] = nothing
    after: Callable[[str], None] = nothing
    blocks: list[MinedBlock] = field(default_factory=list)
    pool: dict[tuple[Address, int], Tx] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    accepted: list[Tx] = field(default_factory=list)  # everything ever taken, in order
    _forks: int = 0

    def __post_init__(self) -> None:
        if not self.blocks:
            self._append((), ())

    # ---- what tests do to it ----

    def mine(self, count: int = 1) -> None:
        """Blocks with every pooled transaction that can pay and whose turn it is."""
        for _ in range(count):
            taken: list[Tx] = []
            for (sender, nonce), tx in sorted(self.pool.items(), key=lambda item: item[0]):
                turn = self.count(sender) + sum(one.sender == sender for one in taken)
                if nonce == turn and tx.cap >= (self.base_fee or 0) and len(taken) < self.room:
                    taken.append(tx)
            for tx in taken:
                del self.pool[tx.sender, tx.nonce]
            self._append(tuple(taken), ())

    def mine_foreign(self, sender: Address) -> None:
        """Somebody else uses the key: the next nonce is gone."""
        nonce = self.count(sender)
        self.pool.pop((sender, nonce), None)
        self._append((), (sender,))

    def reorg(self, depth: int, *, keep: bool = True) -> None:
        """Replace the newest `depth` blocks by empty ones; `keep` puts their transactions back into the pool."""
        depth = min(depth, len(self.blocks) - 1)
        self._forks += 1
        orphaned = self.blocks[len(self.blocks) - depth :]
        del self.blocks[len(self.blocks) - depth :]
        for tx in (tx for block in orphaned for tx in block.transactions if keep):
            self.pool.setdefault((tx.sender, tx.nonce), tx)
        for _ in range(depth):
            self._append((), ())

    def drop_pool(self) -> None:
        self.pool.clear()

    def crowd(self, count: int, price: int) -> None:
        """Others fill the pool with transactions that wait and pay this much."""
        for at in range(count):
            sender = Address(f"0x{len(self.pool) + at + 1:040x}")
            name = Hash32("0x" + keccak(sender.encode()).hex())
            self.pool[sender, 1] = Tx(b"", name, sender, self.chain_id, 1, price, price, PLAIN_GAS, None, 0, b"")

    @property
    def family(self) -> Family:
        return FAMILIES[self.rule]

    @property
    def mined(self) -> list[Tx]:
        """On the canonical chain, in order."""
        return [tx for block in self.blocks for tx in block.transactions]

    def count(self, sender: Address, last: int | None = None) -> int:
        """Transactions of this sender on the chain, up to block `last`."""
        blocks = self.blocks if last is None else self.blocks[: last + 1]
        return sum(sum(tx.sender == sender for tx in one.transactions) + one.foreign.count(sender) for one in blocks)

    def _append(self, transactions: tuple[Tx, ...], foreign: tuple[Address, ...]) -> None:
        height = len(self.blocks)
        parent = self.blocks[-1].header.hash if self.blocks else Hash32("0x" + "00" * 32)
        seed = f"{parent}{self._forks}{[tx.hash for tx in transactions]}{foreign}"
        header = BlockHeader(
            number=height,
            hash=Hash32("0x" + keccak(seed.encode()).hex()),
            parent_hash=parent,
            timestamp=GENESIS_TIME + BLOCK_TIME_S * height,
            base_fee=self.base_fee,
        )
        self.blocks.append(MinedBlock(header, transactions, foreign))

    # ---- ChainWriter ----

    def _enter(self, method: str) -> None:
        self.calls.append(method)
        self.before(method)

    async def header(self, block: BlockTag) -> BlockHeader | None:
        self._enter("header")
        if block == "latest":
            return self.blocks[-1].header
        if isinstance(block, int):
            return self.blocks[block].header if block < len(self.blocks) else None
        return None  # a chain without such tags

    async def nonce(self, address: Address, block: BlockTag = "latest") -> int:
        self._enter("nonce")
        count = self.count(address, block if isinstance(block, int) else None)
        while block == "pending" and (address, count) in self.pool:
            count += 1
        return count

    async def balance(self, address: Address) -> int:
        self._enter("balance")
        return self.funds

    async def receipts(self, transactions: Sequence[Hash32]) -> list[Receipt | None]:
        self._enter("receipts")
        found = {
            tx.hash: Receipt(
                transaction_hash=tx.hash,
                block_number=block.header.number,
                block_hash=block.header.hash,
                succeeded=tx.gas >= PLAIN_GAS,
                gas_used=min(tx.gas, self.gas_needed),
                effective_gas_price=tx.price(block.header.base_fee or 0),
                logs=(),
            )
            for block in self.blocks
            for tx in block.transactions
        }
        return [found.get(one) for one in transactions]

    async def send_raw(self, raw: bytes) -> Hash32:
        self._enter("send_raw")
        tx = decode(raw)
        refused = self.take(tx)
        if refused is not None:
            raise refusal(refused[1], code=refused[0])
        self.after("send_raw")
        return tx.hash

    def take(self, tx: Tx) -> tuple[int, str] | None:
        """Put it into the pool; else the code and the words of the refusal."""
        kind = self._problem(tx) or self._make_room(tx)
        if kind is None:
            self.pool[tx.sender, tx.nonce] = tx
            self.accepted.append(tx)
            return None
        if kind not in self.family.words:
            return None  # taken, and dropped
        code, words = self.family.words[kind]
        least = max(self.min_tip, self.family.least_cap)
        return code, words.format(tx=tx, next=self.count(tx.sender), base=self.base_fee, least=least)

    def _problem(self, tx: Tx) -> str | None:  # noqa: PLR0911 - a pool's list of questions
        known = self.pool.get((tx.sender, tx.nonce))
        next_nonce = self.count(tx.sender)
        if tx.chain_id != self.chain_id:
            return "chain"
        if known is not None and known.hash == tx.hash:
            return "known"
        if tx.nonce < next_nonce:
            return "nonce_low"
        if tx.nonce > next_nonce and not self.keeps_gaps and (tx.sender, tx.nonce - 1) not in self.pool:
            return "gap"
        if self.family.most_ahead is not None and tx.nonce - next_nonce > self.family.most_ahead:
            return "gap"
        if tx.gas < PLAIN_GAS:
            return "gas"
        if tx.tip < self.min_tip or (tx.cap < self.family.least_cap and self.funds):
            return "least"
        if self.family.base_is_least and self.base_fee is not None and tx.cap < self.base_fee:
            return "base"
        mine = [one for (sender, _), one in self.pool.items() if sender == tx.sender]
        others = sum(one.cost for one in mine if one.nonce != tx.nonce) if self.family.counts_queue else 0
        if tx.cost + others > self.funds:
            return "funds"
        if known is not None and not self.family.replaces(known, tx, self.base_fee, len(mine)):
            return "replacement"
        return None

    def _make_room(self, tx: Tx) -> str | None:
        if len(self.pool) < self.pool_size or (tx.sender, tx.nonce) in self.pool:
            return None
        base = self.base_fee or 0
        cheapest = min(self.pool.values(), key=lambda one: one.price(base))
        if cheapest.price(base) >= tx.price(base):
            return "full"
        del self.pool[cheapest.sender, cheapest.nonce]
        return None

    async def fee_history(self, blocks: int, newest: BlockTag, percentiles: Sequence[float]) -> History:
        self._enter("fee_history")
        if self.base_fee is None:
            raise refusal("the method eth_feeHistory does not exist/is not available", "eth_feeHistory")
        count = min(blocks, len(self.blocks))
        return History((self.base_fee,) * (count + 1), ((self.market_tip,),) * count)

    async def gas_price(self) -> int:
        self._enter("gas_price")
        return (self.base_fee or 0) + self.market_tip

    async def max_priority_fee(self) -> int:
        self._enter("max_priority_fee")
        return self.market_tip

    async def estimate_gas(self, *, sender: Address, to: Address | None, data: bytes, value: int = 0) -> int:
        self._enter("estimate_gas")
        if self.revert is not None:
            raise self.revert
        return self.gas_needed

    async def simulate(self, *, sender: Address, to: Address | None, data: bytes, value: int = 0) -> bytes:
        self._enter("simulate")
        if self.revert is not None:
            raise self.revert
        return b""
