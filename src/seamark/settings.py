"""The whole of a settings file, and how a process finds its settings.

    database: sqlite:///.seamark/seamark.db
    chains:
      besu: {chain_id: 138, selector: "…", rpc: [http://127.0.0.1:8545]}
    oracle: {signer: …, feeds: […], watch: […]}
    ccip: {chains: [{chain: besu, router: "0x…"}]}
    messages: {judge: {lanes: [{source: besu, executed: 20m}]}}
    hyperlane: {chains: [{chain: besu, mailbox: "0x…"}]}
    interop: {chains: [{chain: op}, {chain: base}]}
    alerts: {receivers: […], routes: […]}
    api: {port: 8400}
    metrics: {port: 8000}
    health: {port: 8080}

Each part is defined beside the code that it configures. Without a file, environment variables alone start a publisher
of one feed or a monitor of one chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from seamark.api.settings import ApiSettings
from seamark.core.errors import SettingsError
from seamark.core.units import Seconds
from seamark.evm.settings import ChainSettings
from seamark.messages.judgement.settings import MessagesSettings
from seamark.messages.protocols.ccip.settings import CcipSettings
from seamark.messages.protocols.hyperlane.settings import HyperlaneSettings
from seamark.messages.protocols.op_interop.settings import InteropSettings
from seamark.messages.recovery.settings import RecoverySettings
from seamark.monitoring.settings import AlertSettings
from seamark.oracle.administration.settings import OperationsSettings
from seamark.oracle.settings import OracleSettings, ReportingFeedSettings
from seamark.runtime.settings import Duration, Host, Port, SettingsModel, load_settings
from seamark.storage.settings import RetentionSettings

__all__ = ["DEFAULT_FILE", "HealthSettings", "LogSettings", "MetricsSettings", "Settings", "load"]

DEFAULT_FILE = Path("seamark.yaml")
DEFAULT_DATABASE = "sqlite:///.seamark/seamark.db"


class MetricsSettings(SettingsModel):
    """Where Prometheus reads."""

    host: Host = "127.0.0.1"
    port: Port = 8000


class HealthSettings(SettingsModel):
    """Where an orchestrator asks."""

    host: Host = "127.0.0.1"
    port: Port = 8080


class LogSettings(SettingsModel):
    """What is logged, and how."""

    form: Literal["auto", "json", "console"] = "auto"
    """auto: one readable line in a terminal, JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(SettingsModel):
    """Everything that one process may run."""

    database: str = Field(DEFAULT_DATABASE, repr=False)
    """sqlite:///path or postgresql://user:password@host/name."""

    start_timeout: Duration = Seconds(15.0)
    """How long to wait at the start for nodes that do not answer. 0s asks once."""

    chains: dict[str, ChainSettings] = Field(default_factory=dict)
    oracle: OracleSettings = OracleSettings()
    ccip: CcipSettings = CcipSettings()
    operations: OperationsSettings = OperationsSettings()
    hyperlane: HyperlaneSettings = HyperlaneSettings()
    interop: InteropSettings = InteropSettings()
    messages: MessagesSettings = MessagesSettings()
    alerts: AlertSettings = AlertSettings()
    recovery: RecoverySettings = RecoverySettings()
    retention: RetentionSettings = RetentionSettings()
    api: ApiSettings = ApiSettings()
    metrics: MetricsSettings = MetricsSettings()
    health: HealthSettings = HealthSettings()
    logs: LogSettings = LogSettings()


def load(path: Path, environment: Mapping[str, str]) -> Settings:
    """Read, check, and check what refers to what.

    Raises:
        SettingsError: Names the setting and the remedy.
    """
    settings = load_settings(Settings, path, environment)
    for setting, chain in _references(settings):
        if chain not in settings.chains:
            known = ", ".join(sorted(settings.chains)) or "none is defined"
            raise SettingsError(f"{path}: {setting}", f"there is no chain {chain!r}", remedy=f"chains: {known}")
    return settings


def _references(settings: Settings) -> list[tuple[str, str]]:
    """(setting, name of a chain) for everything that names one."""
    return [
        *((f"oracle.feeds[{i}].chain", feed.chain) for i, feed in enumerate(settings.oracle.feeds)),
        *((f"oracle.watch[{i}].chain", feed.chain) for i, feed in enumerate(settings.oracle.watch)),
        *((f"oracle.reporting.feeds[{i}].chain", feed.chain) for i, feed in enumerate(_reported(settings))),
        *((f"ccip.chains[{i}].chain", item.chain) for i, item in enumerate(settings.ccip.chains)),
        *((f"recovery.policy.chains[{i}]", name) for i, name in enumerate(_allowed(settings))),
        *((f"hyperlane.chains[{i}].chain", item.chain) for i, item in enumerate(settings.hyperlane.chains)),
        *((f"interop.chains[{i}].chain", item.chain) for i, item in enumerate(settings.interop.chains)),
    ]


def _reported(settings: Settings) -> tuple[ReportingFeedSettings, ...]:
    reporting = settings.oracle.reporting
    return () if reporting is None else reporting.feeds


def _allowed(settings: Settings) -> tuple[str, ...]:
    policy = settings.recovery.policy
    return () if policy is None else policy.chains
