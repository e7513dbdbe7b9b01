"""Settings of judging, as people write them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from seamark.core.units import Seconds
from seamark.messages.judgement.settings import JudgeSettings, MessagesSettings, rule_for
from seamark.messages.protocol import LaneNames
from seamark.runtime.settings import SettingsProblems, validate_settings
from seamark.settings import Settings

HOW_TO = Path(__file__).parents[4] / "docs" / "how-to" / "judge-lanes.md"


def lane(source: str, destination: str) -> LaneNames:
    return LaneNames(source, destination, None, None, source_watched=True, destination_watched=True)


def test_the_how_to_is_right() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
    judge = validate_settings(Settings, yaml.safe_load(text)).messages.judge
    assert judge.lanes[0].executed == Seconds(1200)
    assert judge.lanes[1].mute
    assert (judge.success_rate, judge.error_rate) == (JudgeSettings().success_rate, JudgeSettings().error_rate)


def test_nothing_has_to_be_set() -> None:
    judge = validate_settings(Settings, {}).messages.judge
    assert (judge.every, judge.window, judge.floor, judge.latency) == tuple(map(Seconds, (5, 7 * 86_400, 120, 300)))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"every": 5}, "no unit"),
        ({"every": "0s"}, "greater than 0"),
        ({"success_rate": 0.95}, "no unit"),
        ({"success_rate": "101%"}, "less than or equal"),
        ({"factor": 0.5}, "greater than or equal to 1"),
        ({"window": "-1d"}, "negative"),
        ({"lane": []}, "did you mean lanes"),
        ({"lanes": [{"sourcce": "besu"}]}, "did you mean source"),
        ({"lanes": [{"executed": 20}]}, "no unit"),
    ],
)
def test_mistakes_are_named(values: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsProblems) as caught:
        validate_settings(MessagesSettings, {"judge": values})
    (problem,) = caught.value.problems
    assert problem.setting.startswith("judge.")
    assert says in f"{problem.problem}; {problem.remedy}"


def test_the_first_rule_that_fits() -> None:
    written = {
        "lanes": [
            {"source": "besu", "destination": "arb*", "executed": "1m"},
            {"protocol": "hyperlane", "executed": "2m"},
            {"source": "b?su", "executed": "3m"},
        ]
    }
    judge = validate_settings(JudgeSettings, written)
    assert rule_for(judge, "ccip", lane("besu", "arbitrum")).executed == Seconds(60)
    assert rule_for(judge, "hyperlane", lane("base", "arbitrum")).executed == Seconds(120)
    assert rule_for(judge, "ccip", lane("besu", "base")).executed == Seconds(180)
    assert rule_for(judge, "ccip", lane("base", "besu")).executed is None


def test_names_are_taken_as_they_are_written() -> None:
    judge = validate_settings(JudgeSettings, {"lanes": [{"source": "Besu", "executed": "1m"}]})
    assert rule_for(judge, "ccip", lane("besu", "base")).executed is None
