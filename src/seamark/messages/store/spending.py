"""What senders paid lately."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import Connection, select

from seamark.core.ids import ChainId
from seamark.messages.store.tables import message

__all__ = ["spending"]

MOST = 20_000
"""Messages of one sender that are added up; who sends more in the window is judged by the newest ones."""


def spending(
    connection: Connection, chain_id: ChainId, senders: Iterable[str], *, since: int, now: int
) -> dict[tuple[str, str], float]:
    """Base units of a fee token per second, by (sender, fee token), over the messages sent on a chain since a time.

    A sender that began within the window is judged over all of it: its pace is not known yet, and less than it seems.
    """
    found: dict[tuple[str, str], float] = {}
    columns = (message.c.time, message.c.fee_token, message.c.fee_amount)
    for sender in senders:
        query = (
            select(*columns)
            .where(message.c.sender == sender, message.c.time >= since, message.c.source_chain == chain_id)
            .order_by(message.c.time.desc(), message.c.no.desc())
            .limit(MOST)
        )
        rows = connection.execute(query).all()
        paid: defaultdict[str, int] = defaultdict(int)
        for row in rows:
            if row.fee_token:
                paid[row.fee_token] += int(row.fee_amount)
        window = now - (rows[-1].time if len(rows) == MOST else since)
        found |= {(sender, token): amount / max(window, 1) for token, amount in paid.items()}
    return found
