"""From settings to receivers: secrets are read once, at the start, and checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from seamark.core.errors import SettingsError
from seamark.monitoring.notifications.model import Notice, Outcome
from seamark.monitoring.notifications.senders.by_apprise import AppriseSender
from seamark.monitoring.notifications.senders.webhook import WebhookSender
from seamark.monitoring.settings import AlertSettings, ReceiverSettings, SecretSettings
from seamark.runtime.clock import Clock
from seamark.runtime.http_post import Session

__all__ = ["Receiver", "Sender", "open_receivers"]


class Sender(Protocol):
    """A way to send."""

    async def send(self, notice: Notice) -> Outcome:
        """Try once. Failures are answers, not errors."""
        ...


@dataclass(frozen=True, slots=True)
class Receiver:
    """Somebody who can be told, ready."""

    name: str
    sender: Sender
    per_minute: int


async def open_receivers(
    settings: AlertSettings,
    *,
    session: Session,
    clock: Clock,
    environment: Mapping[str, str],
) -> dict[str, Receiver]:
    """Every receiver of the settings, by name.

    Raises:
        SettingsError: A secret cannot be read or is no address; names the setting, never shows the secret.
    """
    opened = {}
    for index, item in enumerate(settings.receivers):
        setting = f"alerts.receivers[{index}]"
        sender = await _open(item, setting, session=session, clock=clock, environment=environment)
        opened[item.name] = Receiver(item.name, sender, item.per_minute)
    return opened


async def _open(
    item: ReceiverSettings,
    setting: str,
    *,
    session: Session,
    clock: Clock,
    environment: Mapping[str, str],
) -> Sender:
    if item.webhook is not None:
        url = _read(item.webhook, f"{setting}.webhook", environment)
        _check_address(url, f"{setting}.webhook")
        secret = None if item.signing is None else _read(item.signing, f"{setting}.signing", environment).encode()
        return WebhookSender(url, secret, session=session, clock=clock)
    assert item.apprise is not None  # the settings see to it
    sender = AppriseSender(_read(item.apprise, f"{setting}.apprise", environment))
    await sender.check(f"{setting}.apprise")
    return sender


def _read(secret: SecretSettings, setting: str, environment: Mapping[str, str]) -> str:
    if secret.file is not None:
        # Imported late: the signers' package is heavier than a monitor without files needs.
        from seamark.evm.signers.secret_files import read_secret_file  # noqa: PLC0415

        text = _decode(read_secret_file(secret.file, setting=f"{setting}.file"), f"{setting}.file")
    elif secret.env is not None:
        text = environment.get(secret.env, "").strip()
        if not text:
            raise SettingsError(f"{setting}.env", f"the variable {secret.env} is not set", remedy="export it")
    else:
        assert secret.value is not None
        text = secret.value.get_secret_value().strip()
    if not text:
        raise SettingsError(setting, "is empty", remedy="put the secret there")
    return text


def _decode(content: bytes, setting: str) -> str:
    try:
        return content.decode().strip()
    except UnicodeDecodeError:
        raise SettingsError(setting, "holds no text", remedy="is this the right file?") from None


def _check_address(url: str, setting: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(setting, "is no address of a web server", remedy="write https://…")
