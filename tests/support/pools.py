"""The transaction pools of the client families, as rules: what may replace what, what is refused, and in which words.

Read in the clients' own sources (public repositories, at these commits):

- geth: ethereum/go-ethereum core/txpool/legacypool/list.go (03de691f), core/txpool/errors.go (0dfc43ad): both fees must
  be higher, and each at least 10 % higher.
- Erigon: erigontech/erigon txnprovider/txpool/pool.go (addLocked), txpoolcfg/txpoolcfg.go (05916db2): both fees at
  least 10 % higher; the *tip's* threshold is multiplied by the sender's transactions if the value grows; a pool takes
  nothing below 1 wei of fee cap.
- Nethermind: NethermindEth/nethermind Comparison/CompareReplacedTxByFee.cs (02b23995): the price paid at the present
  base fee at least 10 % higher; transactions without fees may always be replaced. Words of today are in
  TxPoolErrorMessages.cs; those before 2026 in chainlink-evm's table of client errors.
- Besu: hyperledger/besu TransactionReplacementByFeeMarketRule.java (1e4580a7), RpcErrorType.java (06af6b57),
  TransactionReplacementByGasPriceRule.java (39d18fa1): the price paid at the present base fee *strictly* more than 10 %
  higher, the effective tip not lower, never for a price of zero. A chain with `zeroBaseFee` and `--min-gas-price=0` has
  a bump of 0 %; whether nothing replaces nothing there depends on the version, so there are two of that family.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

BUMP: Final = 10  # percent: the default of all four


class Priced(Protocol):
    """What a pool looks at."""

    @property
    def cap(self) -> int: ...

    @property
    def tip(self) -> int: ...

    @property
    def legacy(self) -> bool: ...

    @property
    def value(self) -> int: ...

    def price(self, base_fee: int) -> int: ...


@dataclass(frozen=True)
class Offer:
    """A transaction as a pool compares it."""

    cap: int
    tip: int
    legacy: bool = False
    value: int = 0

    def price(self, base_fee: int) -> int:
        return self.cap if self.legacy else min(self.cap, base_fee + self.tip)


Replaces = Callable[[Priced, Priced, "int | None", int], bool]
"""(old, new, base fee, the sender's transactions in the pool) -> whether the new one takes the old one's place."""


def _geth(old: Priced, new: Priced, _base: int | None, _count: int) -> bool:
    if new.cap <= old.cap or new.tip <= old.tip:
        return False
    return new.cap >= old.cap * (100 + BUMP) // 100 and new.tip >= old.tip * (100 + BUMP) // 100


def _erigon(old: Priced, new: Priced, _base: int | None, count: int) -> bool:
    tip = old.tip * (100 + BUMP) // 100 * (count if new.value > old.value else 1)
    return new.tip >= tip and new.cap >= old.cap * (100 + BUMP) // 100


def _nethermind(old: Priced, new: Priced, base: int | None, _count: int) -> bool:
    if old.cap == 0:
        return True
    before, after = (old.cap, new.cap) if old.legacy and new.legacy else (old.price(base or 0), new.price(base or 0))
    step = before // BUMP
    return after > before + step or (after == before + step and step > 0)


def _besu(bump: int) -> Replaces:
    def bumped(before: int, after: int) -> bool:
        return after * 100 > before * (100 + bump)

    def replaces(old: Priced, new: Priced, base: int | None, _count: int) -> bool:
        if old.legacy and new.legacy:
            return new.cap > old.cap * (100 + bump) // 100
        if base is None or new.price(base) == 0:
            return False
        tips = old.price(base) - base, new.price(base) - base
        if bumped(old.price(base), new.price(base)):
            return tips[1] >= tips[0]
        return old.price(base) == new.price(base) and bumped(*tips)

    return replaces


def _always(_old: Priced, _new: Priced, _base: int | None, _count: int) -> bool:
    return True


@dataclass(frozen=True)
class Family:
    """A client's pool. `words`: (code, text) of each refusal; texts may name {tx} and {next}, {base}, {least}. A family
    without words for a full pool takes what it has no room for, and drops it.
    """

    name: str
    replaces: Replaces
    words: Mapping[str, tuple[int, str]]
    least_cap: int = 0  # wei per gas below which it takes nothing
    base_is_least: bool = False  # refuses what does not pay the present base fee, instead of keeping it for later
    counts_queue: bool = False  # the sender's funds must cover all that it has in the pool
    most_ahead: int | None = None  # nonces beyond the account's next that it keeps


def _words(**changes: tuple[int, str]) -> dict[str, tuple[int, str]]:
    return {**_GETH_WORDS, **changes}


_GETH_WORDS: Final = {
    "known": (-32000, "already known"),
    "nonce_low": (-32000, "nonce too low: next nonce {next}, tx nonce {tx.nonce}"),
    "gap": (-32000, "nonce too high: next nonce {next}, tx nonce {tx.nonce}"),
    "replacement": (-32000, "replacement transaction underpriced"),
    "least": (-32000, "transaction underpriced: gas tip cap {tx.tip}, minimum needed {least}"),
    "base": (-32000, "max fee per gas less than block base fee: maxFeePerGas: {tx.cap}, baseFee: {base}"),
    "funds": (-32000, "insufficient funds for gas * price + value: balance 0, tx cost 1, overshot 1"),
    "full": (-32000, "transaction underpriced"),
    "gas": (-32000, "intrinsic gas too low: gas {tx.gas}, minimum needed 21000"),
    "chain": (-32000, "invalid chain id for signer"),
}

_BESU_WORDS: Final = {
    "known": (-32000, "Known transaction"),
    "nonce_low": (-32001, "Nonce too low"),
    "gap": (-32000, "Transaction nonce is too distant from current sender nonce"),
    "replacement": (-32000, "Replacement transaction underpriced"),
    "least": (-32009, "Gas price below configured minimum gas price"),
    "base": (-32009, "Gas price below current base fee"),
    "funds": (-32004, "Upfront cost exceeds account balance"),
    "gas": (-32003, "Intrinsic gas exceeds gas limit"),
    "chain": (-32000, "Wrong chainId"),
}

FAMILIES: Final = {
    family.name: family
    for family in (
        Family("geth", _geth, _words(), counts_queue=True),
        Family(
            "erigon",
            _erigon,
            _words(
                known=(-32000, "INTERNAL_ERROR: existing tx with same hash"),
                nonce_low=(-32000, "INTERNAL_ERROR: nonce too low"),
                replacement=(-32000, "INTERNAL_ERROR: could not replace existing tx"),
                least=(-32000, "INTERNAL_ERROR: underpriced"),
                funds=(-32000, "INTERNAL_ERROR: insufficient funds"),
                full=(-32000, "INTERNAL_ERROR: pending sub-pool is full"),
                gas=(-32000, "INTERNAL_ERROR: IntrinsicGas"),
            ),
            least_cap=1,
        ),
        Family("nethermind", _nethermind, _words(base=(-32010, "transaction underpriced")), base_is_least=True),
        Family(
            "nethermind-2025",
            _nethermind,
            _words(
                known=(-32010, "AlreadyKnown"),
                nonce_low=(-32010, "OldNonce, Current nonce: {next}, nonce of rejected tx: {tx.nonce}"),
                gap=(-32010, "NonceGap, Future nonce. Expected nonce: {next}"),
                replacement=(-32010, "ReplacementNotAllowed"),
                least=(-32010, "FeeTooLow"),
                base=(-32010, "FeeTooLow, MaxFeePerGas too low. MaxFeePerGas: {tx.cap}, BaseFee: {base}"),
                funds=(-32010, "InsufficientFunds, Account balance: 0, cumulative cost: 1"),
                full=(-32010, "FeeTooLowToCompete"),
            ),
            base_is_least=True,
        ),
        Family(
            "besu",
            _besu(BUMP),
            _BESU_WORDS,
            least_cap=1000,
            base_is_least=True,
            most_ahead=200,
        ),
        Family("besu-free", _besu(0), _BESU_WORDS, most_ahead=200),
        Family("besu-free-replacing", _always, _BESU_WORDS, most_ahead=200),
    )
}
PAID: Final = tuple(name for name in FAMILIES if not name.startswith("besu-free"))
FREE: Final = tuple(name for name in FAMILIES if name.startswith("besu-free"))
