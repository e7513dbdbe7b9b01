"""What docs/how-to/get-alerted.md shows is true: its settings are taken, its code checks our signature."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import yaml

from seamark.monitoring.notifications.model import Notice, NoticedAlert
from seamark.monitoring.notifications.senders.webhook import sign
from seamark.settings import Settings

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "how-to" / "get-alerted.md").read_text()


def block(language: str, containing: str) -> str:
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return next(text for text in blocks if containing in text)


def test_its_settings_are_taken() -> None:
    settings = Settings.model_validate(yaml.safe_load(block("yaml", "receivers:")))
    assert [receiver.name for receiver in settings.alerts.receivers] == ["ops", "chat", "pager"]
    assert settings.alerts.routing()[0].escalations[0].to == ("pager",)


def test_its_defaults_are_the_defaults() -> None:
    alerts = Settings().alerts
    spans = [alerts.wait, alerts.pause, alerts.fold_grace, alerts.give_up, alerts.calm, alerts.calm_limit]
    assert [float(span) for span in spans] == [10, 60, 300, 86_400, 60, 1800]


def test_its_code_checks_our_signature() -> None:
    space: dict[str, Any] = {}
    exec(compile(block("python", "is_ours"), "get-alerted.md", "exec"), space)
    now, body = int(time.time()), b'{"event":"firing"}'
    assert space["is_ours"](sign(b"key", now, body), body, b"key")
    assert not space["is_ours"](sign(b"key", now, body), body + b" ", b"key")
    assert not space["is_ours"](sign(b"other", now, body), body, b"key")
    assert not space["is_ours"](sign(b"key", now - 301, body), body, b"key")


def test_it_names_every_field_of_the_webhook() -> None:
    section = TEXT.split("## The webhook")[1].split("```python")[0]
    for name in (*Notice.__struct_fields__, *NoticedAlert.__struct_fields__):
        assert f"`{name}`" in section or name == "schema", name
