"""The transaction journal: tables and queries.

The journal is written and committed before anything is broadcast, so a process killed at any instruction finds on its
restart every nonce it may have used, with the very bytes. It holds no secrets: what is signed here is public once sent.

The database itself enforces the two rules that everything hangs on: one *current* entry per (chain, signer, nonce),
and one entry per (chain, signer, key) unless somebody else took its nonce (FOREIGN), in which case the key may be
journalled anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    and_,
    func,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError

from seamark.core.errors import StopError, TemporaryError
from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.ports import TxState
from seamark.evm.transactions.model import Attempt, Entry, Fees
from seamark.evm.transactions.spending import Cost, owner_of, paid
from seamark.evm.types import Receipt
from seamark.storage.bulk import chunks
from seamark.storage.schema import AUTO_ID, metadata

__all__ = ["Change", "Draft", "Journal", "JournalConflict", "find_entries"]

_ABOVE_ALL = 2**63 - 1  # a nonce has 64 bits (EIP-2681), the column 63; nobody gets near
_PAGE = 1000  # rows at once, going back through what was confirmed
_OPEN = (TxState.SIGNED, TxState.BROADCAST, TxState.MINED)

_transaction = Table(
    "evm_transaction",
    metadata,
    Column("id", AUTO_ID, primary_key=True, autoincrement=True),
    Column("chain_id", BigInteger, nullable=False),
    Column("signer", Text, nullable=False),
    Column("nonce", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    Column("recipient", Text),
    Column("data", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("gas", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("is_current", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("receipt", Text),
    sqlite_autoincrement=True,
)
Index(
    "uq_evm_transaction_nonce",
    _transaction.c.chain_id,
    _transaction.c.signer,
    _transaction.c.nonce,
    unique=True,
    sqlite_where=text("is_current"),
    postgresql_where=text("is_current"),
)
Index(
    "uq_evm_transaction_key",
    _transaction.c.chain_id,
    _transaction.c.signer,
    _transaction.c.key,
    unique=True,
    sqlite_where=text("state <> 'foreign'"),
    postgresql_where=text("state <> 'foreign'"),
)
Index(
    "ix_evm_transaction_state",
    _transaction.c.chain_id,
    _transaction.c.signer,
    _transaction.c.state,
    _transaction.c.nonce,
)

# As a literal, so that the planners of both engines see that the index over keys holds all that is asked for. Without
# it, and by a nonce without states, they would read all that was ever sent.
_LIVE = text("evm_transaction.state <> 'foreign'")
_LIVE_STATES = tuple(state for state in TxState if state is not TxState.FOREIGN)

_attempt = Table(
    "evm_attempt",
    metadata,
    Column(
        "transaction_id",
        AUTO_ID,
        ForeignKey("evm_transaction.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("hash", Text, nullable=False, index=True),
    Column("raw", Text, nullable=False),
    Column("cap", Text, nullable=False),
    Column("tip", Text, nullable=False),
    Column("legacy", Boolean, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("head", BigInteger, nullable=False),
)

_signer = Table(
    "evm_signer",
    metadata,
    Column("chain_id", BigInteger, primary_key=True, autoincrement=False),
    Column("signer", Text, primary_key=True),
    Column("genesis", Text, nullable=False),
)


class JournalConflict(TemporaryError):
    """A nonce or key is in the journal already; nothing was stored."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry that is not stored yet."""

    key: str
    nonce: int
    to: Address | None
    data: bytes
    value: int
    gas: int
    created_ms: int
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Change:
    """An entry's new state; `receipt` replaces the stored one (None erases it)."""

    entry: Entry
    state: TxState
    current: bool
    receipt: Receipt | None


class Journal:
    """The journal of one signer on one chain. All methods are units of work or parts of one."""

    def __init__(self, chain_id: ChainId, signer: Address) -> None:
        self._chain_id = chain_id
        self._signer = signer
        self._ours = and_(_transaction.c.chain_id == chain_id, _transaction.c.signer == signer)

    # ---- reading ----

    def check_genesis(self, connection: Connection, genesis: Hash32) -> None:
        """Remember the chain by its first block.

        Raises:
            StopError: The journal belongs to another chain with the same id: a development chain was started anew.
        """
        where = and_(_signer.c.chain_id == self._chain_id, _signer.c.signer == self._signer)
        known = connection.execute(select(_signer.c.genesis).where(where)).scalar()
        if known is None:
            row = {"chain_id": self._chain_id, "signer": self._signer, "genesis": genesis}
            connection.execute(_signer.insert(), row)
        elif known != genesis:
            raise StopError(
                f"chain {self._chain_id} is another one than before: its block 0 is {genesis}, the journal's {known}",
                remedy="give a chain that was started anew a new database, or point the endpoint at the old chain",
            )

    def load_open(self, connection: Connection) -> list[Entry]:
        """Every entry of each nonce that has an unfinished one, by nonce and age."""
        nonces = connection.execute(select(_transaction.c.nonce).where(self._ours, _transaction.c.state.in_(_OPEN)))
        live = _transaction.c.state.in_(_LIVE_STATES)
        found = [
            self._load(connection, _transaction.c.nonce.in_(part), live)
            for part in chunks(sorted(set(nonces.scalars())))
        ]
        return [entry for part in found for entry in part]

    def highest_confirmed(self, connection: Connection) -> int | None:
        """The highest nonce that a transaction of ours used for good."""
        query = select(func.max(_transaction.c.nonce)).where(self._ours, _transaction.c.state == TxState.CONFIRMED)
        found: int | None = connection.execute(query).scalar()
        return found

    def confirmed_from(self, connection: Connection, nonce: int) -> Entry | None:
        """The confirmed entry with the lowest nonce from this one on."""
        confirmed = and_(self._ours, _transaction.c.state == TxState.CONFIRMED, _transaction.c.nonce >= nonce)
        lowest = select(func.min(_transaction.c.nonce)).where(confirmed).scalar_subquery()
        found = self._load(connection, _transaction.c.state == TxState.CONFIRMED, _transaction.c.nonce == lowest)
        return found[0] if found else None

    def costs_since(self, connection: Connection, since_ms: int) -> list[tuple[int, Cost]]:
        """What confirmed transactions that were journalled since then have cost, by nonce."""
        found: list[tuple[int, Cost]] = []
        below = _ABOVE_ALL
        while True:
            older = _transaction.c.nonce < below
            wanted = and_(self._ours, _transaction.c.state == TxState.CONFIRMED, older)
            query = select(_transaction).where(wanted).order_by(_transaction.c.nonce.desc()).limit(_PAGE)
            rows = connection.execute(query).all()
            entries = [_to_entry(row, ()) for row in rows]
            young = [entry for entry in entries if entry.created_ms >= since_ms and entry.receipt is not None]
            found += [(one.nonce, Cost(owner_of(one.key), one.created_ms, paid(one), settled=True)) for one in young]
            if len(young) < _PAGE:
                return found[::-1]
            below = rows[-1].nonce

    def find(self, connection: Connection, key: str) -> Entry | None:
        """The newest entry with this key, FOREIGN ones included: those are older than a live one."""
        named = _transaction.c.key == key
        found = self._load(connection, named, _LIVE) or self._load(
            connection, named, _transaction.c.state == TxState.FOREIGN
        )
        return max(found, key=lambda entry: entry.id) if found else None

    def known(self, connection: Connection, keys: Sequence[str]) -> dict[str, Entry]:
        """The live entries (not FOREIGN) among these keys."""
        found = [self._load(connection, _transaction.c.key.in_(part), _LIVE) for part in chunks(keys)]
        return {entry.key: entry for part in found for entry in part}

    def _load(self, connection: Connection, *conditions: Any) -> list[Entry]:
        query = select(_transaction).where(self._ours, *conditions).order_by(_transaction.c.nonce, _transaction.c.id)
        rows = connection.execute(query).all()
        attempts: dict[int, list[Attempt]] = {row.id: [] for row in rows}
        for ids in chunks(list(attempts)):
            chosen = select(_attempt).where(_attempt.c.transaction_id.in_(ids)).order_by(_attempt.c.number)
            for row in connection.execute(chosen):
                attempts[row.transaction_id].append(_to_attempt(row))
        return [_to_entry(row, tuple(attempts[row.id])) for row in rows]

    # ---- writing ----

    def add(self, connection: Connection, drafts: Sequence[Draft]) -> list[Entry]:
        """Store new entries, all or none.

        Raises:
            JournalConflict: The journal has one of the keys, or another process took one of the nonces.
        """
        try:
            return self._insert(connection, drafts)
        except IntegrityError as error:
            raise JournalConflict(
                f"another process sends for {self._signer} on chain {self._chain_id}",
                remedy="run one sender per key and chain",
            ) from error

    def supersede(self, connection: Connection, old: Entry, draft: Draft) -> Entry:
        """Make a newer intent the current one of its nonce. Raises as `add`."""
        connection.execute(update(_transaction).where(_transaction.c.id == old.id).values(is_current=False))
        return self.add(connection, [draft])[0]

    def _insert(self, connection: Connection, drafts: Sequence[Draft]) -> list[Entry]:
        statement = _transaction.insert().returning(_transaction.c.id, sort_by_parameter_order=True)
        ids = list(connection.execute(statement, [self._row(draft) for draft in drafts]).scalars())
        attempts = [_attempt_row(identity, 0, draft.attempt) for identity, draft in zip(ids, drafts, strict=True)]
        connection.execute(_attempt.insert(), attempts)
        return [_stored(identity, draft) for identity, draft in zip(ids, drafts, strict=True)]

    def _row(self, draft: Draft) -> dict[str, Any]:
        return {
            "chain_id": self._chain_id,
            "signer": self._signer,
            "nonce": draft.nonce,
            "key": draft.key,
            "recipient": draft.to,
            "data": draft.data.hex(),
            "value": str(draft.value),
            "gas": draft.gas,
            "state": TxState.SIGNED.value,
            "is_current": True,
            "created_ms": draft.created_ms,
            "updated_ms": draft.created_ms,
        }

    def add_attempts(self, connection: Connection, attempts: Iterable[tuple[Entry, Attempt]]) -> None:
        """Store a further signed version of each entry."""
        for entry, attempt in attempts:
            connection.execute(_attempt.insert(), _attempt_row(entry.id, len(entry.attempts), attempt))

    def mark_broadcast(self, connection: Connection, ids: Iterable[int]) -> None:
        """A node accepted them. Never takes back a later state."""
        for part in chunks(list(ids)):
            waiting = and_(_transaction.c.id.in_(part), _transaction.c.state == TxState.SIGNED)
            connection.execute(update(_transaction).where(waiting).values(state=TxState.BROADCAST.value))

    def reopen_from(self, connection: Connection, nonce: int, now_ms: int) -> list[Entry]:
        """Confirmed entries (and what they replaced) from this nonce on become BROADCAST again; returns them."""
        settled = (TxState.CONFIRMED, TxState.REPLACED)
        lost = self._load(connection, _transaction.c.nonce >= nonce, _transaction.c.state.in_(settled))
        reopened = [replace(entry, state=TxState.BROADCAST, receipt=None) for entry in lost]
        self.change(connection, [Change(entry, entry.state, entry.current, None) for entry in reopened], now_ms)
        return reopened

    def change(
        self, connection: Connection, changes: Sequence[Change], now_ms: int, accepted: Iterable[int] = ()
    ) -> None:
        """Store new states, after marking `accepted` entries as broadcast."""
        self.mark_broadcast(connection, accepted)
        for change in changes:
            values = {
                "state": change.state.value,
                "is_current": change.current,
                "updated_ms": now_ms,
                "receipt": _receipt_text(change.receipt) if change.receipt else None,
            }
            connection.execute(update(_transaction).where(_transaction.c.id == change.entry.id).values(values))


def find_entries(connection: Connection, chain_id: ChainId, keys: Sequence[str]) -> dict[str, Entry]:
    """The entries of a chain with these keys, whoever signed them."""
    signers = connection.execute(select(_signer.c.signer).where(_signer.c.chain_id == chain_id)).scalars().all()
    found: dict[str, Entry] = {}
    for signer in signers:
        found |= Journal(chain_id, Address(signer)).known(connection, keys)
    return found


def _stored(identity: int, draft: Draft) -> Entry:
    return Entry(
        id=identity,
        key=draft.key,
        nonce=draft.nonce,
        to=draft.to,
        data=draft.data,
        value=draft.value,
        gas=draft.gas,
        state=TxState.SIGNED,
        created_ms=draft.created_ms,
        current=True,
        attempts=(draft.attempt,),
    )


def _attempt_row(identity: int, number: int, attempt: Attempt) -> dict[str, Any]:
    return {
        "transaction_id": identity,
        "number": number,
        "hash": attempt.hash,
        "raw": attempt.raw.hex(),
        "cap": str(attempt.fees.cap),
        "tip": str(attempt.fees.tip),
        "legacy": attempt.fees.legacy,
        "at_ms": attempt.at_ms,
        "head": attempt.head,
    }


def _to_attempt(row: Any) -> Attempt:
    fees = Fees(int(row.cap), int(row.tip), legacy=row.legacy)
    return Attempt(Hash32(row.hash), bytes.fromhex(row.raw), fees, row.at_ms, row.head)


def _to_entry(row: Any, attempts: tuple[Attempt, ...]) -> Entry:
    return Entry(
        id=row.id,
        key=row.key,
        nonce=row.nonce,
        to=None if row.recipient is None else Address(row.recipient),
        data=bytes.fromhex(row.data),
        value=int(row.value),
        gas=row.gas,
        state=TxState(row.state),
        created_ms=row.created_ms,
        current=row.is_current,
        attempts=attempts,
        receipt=_read_receipt(json.loads(row.receipt)) if row.receipt else None,
    )


msgspec.json.Decoder(Receipt)  # msgspec (0.22) crashes where two threads are the first to use a type; this is the first


def _read_receipt(values: dict[str, Any]) -> Receipt:
    return msgspec.convert(values, Receipt)


def _receipt_text(receipt: Receipt) -> str:
    return json.dumps(msgspec.to_builtins(receipt))  # json, for integers above 64 bits
