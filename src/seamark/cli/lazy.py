"""Commands whose code is imported when they are run, so that `seamark --help` and a wrong name cost nothing.

Importing all of Seamark takes a second or two; a look at messages needs neither the web server nor the devnet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

__all__ = ["Lazy", "lazy_group"]

MARKUP: Final = "rich"


@dataclass(frozen=True, slots=True)
class Lazy:
    """A command of `module`, or its `app`, a group of them; `help` is the line that the list of commands shows."""

    name: str
    module: str
    help: str
    function: str = ""  # called otherwise than the command

    def load(self) -> Any:
        """Its code: the module's `app`, else its function of the command's name with the module's `HELP`."""
        module = import_module(self.module)
        group = getattr(module, "app", None)
        if group is not None:
            return get_group(group)
        alone = typer.Typer(add_completion=False, rich_markup_mode=MARKUP)
        alone.command(self.name, help=module.HELP)(getattr(module, self.function or self.name))
        return get_command(alone)


def lazy_group(commands: Sequence[Lazy]) -> type[TyperGroup]:
    """A group class that lists `commands` and imports the one that is run."""
    found = {command.name: command for command in commands}

    class LazyGroup(TyperGroup):
        def __init__(self, **values: Any) -> None:
            super().__init__(**values)
            for command in commands:
                self.add_command(TyperCommand(command.name, help=command.help, rich_markup_mode=MARKUP))

        def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
            name, command, rest = super().resolve_command(ctx, args)
            return name, found[name].load() if name in found else command, rest

    return LazyGroup
