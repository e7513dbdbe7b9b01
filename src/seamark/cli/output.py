"""What commands print: progress of long steps, one line per event, one line per error.

People read standard output; errors go to standard error as `seamark: …`. Colour only in a terminal.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from seamark.core.errors import SeamarkError, SettingsError
from seamark.core.units import format_duration
from seamark.runtime.settings import SettingsProblems

__all__ = ["EXIT_FAILED", "EXIT_SETTINGS", "Steps", "console", "print_error"]

EXIT_FAILED = 1
EXIT_SETTINGS = 2

console = Console(highlight=False, soft_wrap=True)
_errors = Console(stderr=True, highlight=False, soft_wrap=True)


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


class Steps:
    """Long work shown step by step, each with the time it took."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._started

    def done(self, what: str, detail: str = "") -> None:
        """Tell of a finished step."""
        dim = f" [dim]{detail}[/]" if detail else ""
        console.print(f"[green]✓[/] {what}{dim} [dim]({format_duration(self.elapsed)})[/]")

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show that something is going on, then that it is done; on an error the line says so and the error goes on."""
        started = time.monotonic()
        with console.status(what) if console.is_terminal else _plain(what):
            try:
                yield
            except BaseException:
                console.print(f"[red]✗[/] {what}")
                raise
        console.print(f"[green]✓[/] {what} [dim]{format_duration(time.monotonic() - started)}[/]")


@contextmanager
def _plain(_: str) -> Iterator[None]:
    yield
