"""Logs: JSON lines in production, one readable line in a terminal. Secrets are blotted out by name and by shape."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

__all__ = ["BLOT", "configure_logs", "redact_url"]

_SECRET_NAME = re.compile(
    r"(private_?key|password|passphrase|secret|token|authorization|api_?key|mnemonic)$", re.IGNORECASE
)
_URL = re.compile(r"\b(https?|wss?|postgresql(?:\+\w+)?|redis)://[^\s'\"<>]+")
_URL_PARTS = re.compile(r"^(?P<scheme>[a-z+]+)://(?:[^@/?#\s]*@)?(?P<host>[^@/?#\s]*)(?P<rest>.*)$")
BLOT = "***"


def redact_url(url: str) -> str:
    """Keep scheme, host and port; hosted nodes carry their key in the user part, the path or the query."""
    match = _URL_PARTS.match(url)
    if match is None:
        return BLOT
    if "@" in match["rest"]:  # a password with a slash in it: nobody can tell where the host begins
        return f"{match['scheme']}://{BLOT}"
    tail = "" if match["rest"] in ("", "/") else f"/{BLOT}"
    return f"{match['scheme']}://{match['host']}{tail}"


def _blot_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if _SECRET_NAME.search(name):
            event[name] = BLOT
        elif isinstance(value, str) and "://" in value:
            event[name] = _URL.sub(lambda found: redact_url(found[0]), value)
    return event


def _lead_with_what_happened(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """When, how bad, what; then the rest as it was given: a raw line is read from the left."""
    first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}


def configure_logs(form: Literal["auto", "json", "console"] = "auto", level: str = "info") -> None:
    """Set up structlog for the process; the standard library's loggers go the same way."""
    pretty = form == "console" or (form == "auto" and sys.stderr.isatty())
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if pretty else "iso", utc=not pretty),
    ]
    # Blotting comes last: by then a traceback, which may quote a URL too, has become text. It is a plain one: the
    # prettier kinds print local variables, and with them connection strings and keys.
    ends: list[structlog.types.Processor] = [
        structlog.processors.format_exc_info,
        _blot_secrets,
        _lead_with_what_happened,
        structlog.dev.ConsoleRenderer(pad_event_to=28, exception_formatter=structlog.dev.plain_traceback)
        if pretty
        else structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[*shared, *ends],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # the stderr of the moment, not of the set-up
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(_Stderr())
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name], processors=[remove_meta, *ends]
        )
    )
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[handler], force=True)


class _Stderr:
    """The standard error of the moment: tests and daemons exchange it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()
