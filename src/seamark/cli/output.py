"""What commands print: progress of long steps, one line per event, one line per error.

People read standard output; errors go to standard error as `seamark: …`. Colour only in a terminal.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Collection

import msgspec
from rich.console import Console

from seamark.core.errors import SeamarkError, SettingsError
from seamark.core.times import with_times
from seamark.core.units import format_duration
from seamark.runtime.settings import SettingsProblems

__all__ = [
    "EXIT_FAILED",
    "EXIT_SETTINGS",
    "EXIT_TIMEOUT",
    "Steps",
    "aside",
    "console",
    "print_error",
    "print_json",
    "print_problems",
    "to_json",
]

EXIT_FAILED = 1
EXIT_SETTINGS = 2
EXIT_TIMEOUT = 3  # of commands that wait for something

_PIPE_WIDTH = 160

console = Console(highlight=False, soft_wrap=True)
_errors = Console(stderr=True, highlight=False, soft_wrap=True)


def page() -> Console:
    """Where tables go: the terminal, or in a pipe lines so long that nothing is cut."""
    return console if console.is_terminal else Console(width=_PIPE_WIDTH, highlight=False)


def aside(text: str) -> None:
    """A remark on standard error, where it harms no script."""
    _errors.print(text, style="dim" if sys.stderr.isatty() else None, markup=False)


def print_error(error: SeamarkError) -> int:
    """Show the error and return the exit code that belongs to it."""
    text = str(error)
    _errors.print(f"seamark: {text}", style="red" if sys.stderr.isatty() else None, markup=False)
    return EXIT_SETTINGS if isinstance(error, SettingsError) else EXIT_FAILED


def print_problems(error: SettingsProblems) -> None:
    """Every problem on a line of its own."""
    for problem in error.problems:
        where = f"{error.source}:{problem.line}" if problem.line else error.source
        remedy = f"; {problem.remedy}" if problem.remedy else ""
        _errors.print(f"{where}: {problem.setting}: {problem.problem}{remedy}".lstrip(": "), markup=False)


def print_json(value: object) -> None:
    """The result for programs: one JSON document on standard output, and nothing else there."""
    console.print_json(json.dumps(value))


def to_json(value: object, *, seconds: Collection[str] = (), indent: int = -1) -> str:
    """A value of ours for programs, with moments in ISO 8601 as the API tells them.

    Args:
        seconds: Fields that are moments though their names do not say so (`with_times`).
        indent: -1 for one line.
    """
    text = msgspec.json.encode(with_times(msgspec.to_builtins(value), seconds))
    return (msgspec.json.format(text, indent=indent) if indent >= 0 else text).decode()


class Steps:
    """Long work shown step by step, each with the time it took.

    Args:
        aside: Tell it on standard error, because standard output belongs to programs.
    """

    def __init__(self, *, aside: bool = False) -> None:
        self._started = time.monotonic()
        self._console = _errors if aside else console

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._started

    def done(self, what: str, detail: str = "") -> None:
        """Tell of a finished step."""
        dim = f" [dim]{detail}[/]" if detail else ""
        self._console.print(f"[green]✓[/] {what}{dim} [dim]({format_duration(self.elapsed)})[/]")
