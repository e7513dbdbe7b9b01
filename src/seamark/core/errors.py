"""The one error tree, split by what the caller can do.

    SeamarkError
    ├── TemporaryError     try again, perhaps elsewhere: a node that times out, a rate limit, a busy database
    ├── RejectedError      this one item is bad and will stay bad: count it, report it, go on with the others
    └── StopError          nothing helps until a person acts: wrong settings, wrong chain, a key that cannot be read
        └── SettingsError  names the setting and the remedy

Libraries' errors are wrapped with their cause (`raise … from error`) and never leak. A message reads as one line: what
failed, where, and what to do next. Secrets never go into a message.
"""

from __future__ import annotations

__all__ = ["RejectedError", "SeamarkError", "SettingsError", "StopError", "TemporaryError"]


class SeamarkError(Exception):
    """Root of all errors raised on purpose.

    Args:
        message: What failed and where, in one line.
        remedy: What the operator can do next; shown after the message.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class TemporaryError(SeamarkError):
    """Worth another try, here or at another endpoint.

    Args:
        retry_after: Seconds to wait at least, where the other side named them.
    """

    def __init__(self, message: str, *, remedy: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after


class RejectedError(SeamarkError):
    """One item is bad; the rest goes on."""


class StopError(SeamarkError):
    """Cannot go on until somebody changes something."""


class SettingsError(StopError):
    """A setting is missing, malformed or does not fit the world.

    Args:
        setting: Dotted path or name of the environment variable, as the user writes it.
    """

    def __init__(self, setting: str, problem: str, *, remedy: str = "") -> None:
        super().__init__(f"{setting}: {problem}", remedy=remedy)
        self.setting = setting
        self.problem = problem
