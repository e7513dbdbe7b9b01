"""`seamark messages`: every cross-chain message, read from the database of the settings.

It works beside running services and when none runs. Exit codes: 0 done, 1 failed (no such message, a message that
failed), 2 wrong settings or arguments, 3 `--timeout` passed.
"""

from __future__ import annotations

from typing import Final

import typer

from seamark.cli.lazy import Lazy, lazy_group

__all__ = ["COMMANDS", "app"]

_CLI: Final = "seamark.cli"
COMMANDS: Final = (
    Lazy("list", f"{_CLI}.messages_list", "List messages, newest first.", "list_"),
    Lazy(
        "show",
        f"{_CLI}.messages_show",
        "Show one message: stages with times, what is normal on its lane, fees, tokens, why it failed, the evidence on "
        "chain, and what to do next.",
    ),
    Lazy("watch", f"{_CLI}.messages_watch", "Follow messages live: one ID to its end, or all that match."),
    Lazy(
        "report",
        f"{_CLI}.messages_report",
        "Report on a period: volume, success, latency, outliers, fees, errors and causes, access, formats, replays, "
        "savings, against the period before.",
    ),
    Lazy(
        "backfill",
        f"{_CLI}.messages_backfill",
        "Read the blocks from --from up to where the monitor of a chain began, beside it or while none runs.",
    ),
    Lazy(
        "recover",
        f"{_CLI}.recover",
        "Execute a message by hand: explain whether that is possible and would help, build the transaction, send it.",
    ),
    Lazy(
        "resend",
        f"{_CLI}.resend",
        "Send a round of one of our feeds to another chain again, when its message never left or came to nothing.",
    ),
)

app = typer.Typer(
    cls=lazy_group(COMMANDS),
    help="Look at cross-chain messages: where they are, how long that took, and why one failed.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    pass
