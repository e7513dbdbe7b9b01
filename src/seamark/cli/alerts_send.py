"""`seamark alerts test`: whether receivers can be reached, from the very settings that services run with."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from seamark.app.alerts import links_of
from seamark.cli.alerts_actions import WhoOption, who_acts
from seamark.cli.files import ConfigOption
from seamark.cli.loop import run_until_stopped
from seamark.cli.messages_database import find_settings
from seamark.cli.output import EXIT_FAILED, console, print_json
from seamark.core.errors import SettingsError
from seamark.monitoring.notifications.senders import open_receivers
from seamark.monitoring.notifications.text import compose_test
from seamark.runtime.clock import SystemClock
from seamark.runtime.http import make_session
from seamark.settings import load

__all__ = ["HELP", "send_test"]

HELP = "Send a test notice to receivers of the settings, at once. Exit code 1 if one does not take it."


def send_test(
    receivers: Annotated[
        list[str] | None, typer.Argument(help="Their names; all, where none is given.", metavar="RECEIVER...")
    ] = None,
    who: WhoOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    config: ConfigOption = None,
) -> None:
    run_until_stopped(_test(config, receivers or [], who_acts(who), as_json=as_json))


async def _test(config: Path | None, wanted: list[str], who: str, *, as_json: bool) -> None:
    file = find_settings(config)
    if file is None:
        raise SettingsError("--config", "there is no seamark.yaml here", remedy="receivers are named in a file")
    settings = load(file, os.environ)
    names = [receiver.name for receiver in settings.alerts.receivers]
    if not names:
        raise SettingsError(f"{file}: alerts.receivers", "is empty, so nobody would be told", remedy="add a receiver")
    if unknown := [name for name in wanted if name not in names]:
        raise SettingsError("RECEIVER", f"there is none called {unknown[0]!r}", remedy=f"known: {', '.join(names)}")
    results = []
    async with make_session() as session:
        clock = SystemClock()
        opened = await open_receivers(settings.alerts, session=session, clock=clock, environment=os.environ)
        for name in wanted or names:
            notice = compose_test(name, who, links_of(settings), round(time.time() * 1000))
            outcome = await opened[name].sender.send(notice)
            results.append({"receiver": name, "delivered": outcome.delivered, "error": outcome.error})
            if not as_json:
                said = "took it" if outcome.delivered else f"did not take it: {outcome.error}"
                console.print(f"{name}: {said}", markup=False)
    if as_json:
        print_json(results)
    if not all(result["delivered"] for result in results):
        raise typer.Exit(EXIT_FAILED)
