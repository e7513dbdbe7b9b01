"""Everything that apprise can send to, by one URL: slack://…, mailto://…, pagerduty://…, and the rest.

apprise is synchronous and loads 130 plug-ins at its first use, so it is imported and called in a thread. What it logs
quotes addresses and keys: its logger is cut off, and of a failure only the status and a few words of ours are kept.

A pager must see one incident, not one per notice: where the service knows a deduplication key (PagerDuty), it gets the
notice's, and a resolve notice closes what it opened.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from seamark.core.errors import SettingsError
from seamark.core.findings import Severity
from seamark.monitoring.notifications.model import Event, Notice, Outcome

__all__ = ["AppriseSender"]

TIMEOUT_S: Final = 30.0  # of one notice to one service, all its requests together
A = TypeVar("A")
R = TypeVar("R")
_STATUS: Final = re.compile(r"\berror\s*=\s*(\d{3})\b")
_UNREACHABLE: Final = re.compile(r"connection error|socket exception|timed? ?out|refused", re.IGNORECASE)


class AppriseSender:
    """Sends notices to what one URL names."""

    def __init__(self, url: str) -> None:
        self._url = url
        # Not the loop's own threads: a service that hangs would hold up whoever else needs one, such as name lookups.
        self._thread = ThreadPoolExecutor(1, "apprise")

    async def check(self, setting: str) -> None:
        """Whether the URL names a service.

        Raises:
            SettingsError: It does not; names the setting and never shows the URL.
        """
        if await self._aside(self._plugin, None) is None:
            remedy = "write it as https://appriseit.com/services says, for example slack://TokenA/TokenB/TokenC"
            raise SettingsError(setting, "is no URL that apprise understands", remedy=remedy)

    async def send(self, notice: Notice) -> Outcome:
        return await self._aside(self._send, notice)

    async def _aside(self, work: Callable[[A], R], argument: A) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, argument)

    def _send(self, notice: Notice) -> Outcome:
        import apprise  # noqa: PLC0415 - loads for a quarter of a second, only where it is used

        plugin = self._plugin(notice)
        if plugin is None:
            return Outcome(delivered=False, error="the URL is no longer understood")
        made = apprise.Apprise(asset=_asset())
        made.add(plugin)
        result = made.notify(body=notice.text, title=notice.title, notify_type=_type(notice), timeout=TIMEOUT_S)
        if result:
            return Outcome(delivered=True)
        return Outcome(delivered=False, error=_words(" ".join(entry.message for entry in result.logs())))

    def _plugin(self, notice: Notice | None) -> Any:
        """The service, made anew for each notice because a deduplication key is one of its settings; None if none."""
        import apprise  # noqa: PLC0415

        _cut_off_logger()
        values: Any = apprise.plugins.url_to_dict(self._url, secure_logging=True)  # type: ignore[no-untyped-call]
        if not values:
            return None
        if notice is not None and values.get("schema") == "pagerduty":
            own = {"dedup": notice.dedup_key, "action": "map", "group": notice.group, "click": notice.link}
            values = {**own, **{name: value for name, value in values.items() if value is not None}}
        return apprise.Apprise.instantiate(values, asset=_asset())


def _asset() -> Any:
    """Said to be from Seamark; nothing kept on disk, no plug-ins or configuration of the user's own, no keys made."""
    import apprise  # noqa: PLC0415

    return apprise.AppriseAsset(
        app_id="Seamark",
        app_desc="Seamark alerts",
        app_url="",
        async_mode=False,
        secure_logging=True,
        storage_mode="memory",
        pgp_autogen=False,
        pem_autogen=False,
        image_url_mask="",
        image_url_logo="",
    )


def _cut_off_logger() -> None:
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.WARNING)  # of its own: what went wrong is read from it, however quiet our log is set
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _type(notice: Notice) -> str:
    if notice.event is Event.RESOLVED:
        return "success"
    kinds = {Severity.CRITICAL: "failure", Severity.WARNING: "warning", Severity.INFO: "info"}
    return kinds[notice.severity]


def _words(logged: str) -> str:
    status = _STATUS.search(logged)
    if status:
        return f"the service answered {status[1]}"
    return "the service cannot be reached" if _UNREACHABLE.search(logged) else "the service did not take it"
