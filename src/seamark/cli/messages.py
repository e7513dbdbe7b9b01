"""`seamark messages`: every cross-chain message, read from the database of the settings.

It works beside running services and when none runs. Exit codes: 0 done, 1 failed (no such message, a message that
failed), 2 wrong settings or arguments, 3 `--timeout` passed.
"""

from __future__ import annotations

import typer

from seamark.cli import (
    messages_backfill,
    messages_list,
    messages_report,
    messages_show,
    messages_watch,
    recover,
    resend,
)

__all__ = ["app"]

app = typer.Typer(
    help="Look at cross-chain messages: where they are, how long that took, and why one failed.",
    no_args_is_help=True,
)
app.command("list", help=messages_list.HELP)(messages_list.list_)
app.command("show", help=messages_show.HELP)(messages_show.show)
app.command("watch", help=messages_watch.HELP)(messages_watch.watch)
app.command("report", help=messages_report.HELP)(messages_report.report)
app.command("backfill", help=messages_backfill.HELP)(messages_backfill.backfill)
app.command("recover", help=recover.RECOVER_HELP)(recover.recover)
app.command("resend", help=resend.RESEND_HELP)(resend.resend)
