"""Settings of judging: when a message is late, a lane silent, a rate bad. The defaults are meant to be left alone.

messages:
  judge:
    lanes:
      - { source: besu, destination: "*", executed: 20m }
      - { destination: test-*, mute: true }
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from pydantic import Field

from seamark.core.units import Ppb, Seconds
from seamark.messages.protocol import LaneNames
from seamark.runtime.settings import Duration, Ratio, SettingsModel

__all__ = ["JudgeSettings", "LaneRule", "MessagesSettings", "rule_for"]


class LaneRule(SettingsModel):
    """What to expect of some lanes; the first rule that fits a lane counts. Without a time, that one is learned."""

    protocol: str = "*"
    """ccip, hyperlane, …; * and ? stand for any text, here and in the names below."""

    source: str = "*"
    """The source chain's name, as lists show it."""

    destination: str = "*"
    """The destination chain's name."""

    final: Duration | None = None
    """After a send it is late when its block is not final after so long."""

    committed: Duration | None = None
    """… when it is not committed after so long since the send."""

    executed: Duration | None = None
    """… when it is not executed after so long since the send."""

    latency: Duration | None = None
    """The lane is slow when one message in twenty takes longer than this."""

    silence: Duration | None = None
    """The lane is silent when nothing was sent for so long. 0s: never."""

    mute: bool = False
    """Report nothing about these lanes that time decides: late, slow, silent."""


class JudgeSettings(SettingsModel):
    """How messages are judged."""

    every: Duration = Field(Seconds(5.0), gt=0)
    """How often to look."""

    window: Duration = Field(Seconds(7 * 86_400.0), gt=0)
    """How far back to learn what is normal: a week has every hour and day in it."""

    min_messages: int = Field(50, ge=1)
    """Fewer delivered messages in the window teach nothing."""

    factor: float = Field(3.0, ge=1)
    """A message is late at so many times the learned 95th percentile."""

    critical_factor: float = Field(2.0, ge=1)
    """It is urgent at so many times the limit after which it is late."""

    floor: Duration = Seconds(120.0)
    """No learned limit is shorter: a lane of five seconds is not late after fifteen."""

    latency: Duration = Field(Seconds(300.0), gt=0)
    """Lanes whose source is final at once are slow when one message in twenty takes longer. Other lanes are slow when
    one in twenty would be late."""

    rate_window: Duration = Field(Seconds(86_400.0), gt=0)
    """Rates are of the messages sent in this time that are old enough to be delivered (at most the newest 1,000)."""

    min_rated: int = Field(20, ge=1)
    """Fewer messages make no rate."""

    success_rate: Ratio = Field(Ppb(950_000_000), le=10**9)
    """Fewer delivered than this is a finding."""

    error_rate: Ratio = Field(Ppb(50_000_000), le=10**9)
    """More with a failed attempt than this is a finding."""

    silence: Duration = Field(Seconds(1800.0), gt=0)
    """No lane is silent before this."""

    silence_factor: float = Field(5.0, ge=1)
    """A lane is silent after so many times the learned pause that 99 in 100 sends stay below."""

    chain_silent: Duration = Field(Seconds(120.0), gt=0)
    """A chain that could not be read, or was read far behind its head, for so long is a finding."""

    clock_skew: Duration = Field(Seconds(60.0), gt=0)
    """A newest block that is so far in the future is a finding."""

    reconcile_every: Duration = Field(Seconds(300.0), gt=0)
    """How often to compare the contracts' own counters with the ledger."""

    lanes: tuple[LaneRule, ...] = ()


class MessagesSettings(SettingsModel):
    """What holds for the messages of every protocol."""

    judge: JudgeSettings = JudgeSettings()


def rule_for(settings: JudgeSettings, protocol: str, names: LaneNames) -> LaneRule:
    """The first rule that fits a lane; an empty one if none does."""
    for rule in settings.lanes:
        wanted = ((protocol, rule.protocol), (names.source, rule.source), (names.destination, rule.destination))
        if all(fnmatchcase(text, pattern) for text, pattern in wanted):
            return rule
    return LaneRule()
