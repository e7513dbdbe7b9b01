"""The alert rules and the dashboard that ship: tried with promtool, and true to what /metrics really shows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.deploy.collectors import shown
from tests.unit.deploy.promql import matchers_in, metrics_in

ROOT = Path(__file__).resolve().parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "seamark.rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
SCENES = (PROMETHEUS / "seamark.rules.test.yml").read_text()
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana" / "seamark.json").read_text())
RUNBOOK = (ROOT / "docs" / "runbooks" / "alerts.md").read_text()
TARGET_LABELS = {"job", "instance"}


def expressions_of_the_dashboard() -> list[tuple[str, str]]:
    return [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


def promtool() -> str:
    found = shutil.which("promtool") or shutil.which("promtool", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip("no promtool: it is in Debian's package prometheus")
    return found


def run(*arguments: str, folder: Path = PROMETHEUS) -> subprocess.CompletedProcess[str]:
    command = [promtool(), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


# ---- the rules ----


@pytest.mark.timeout(60)
def test_promtool_takes_the_rules_and_every_scene_ends_as_written() -> None:
    checked = run("check", "rules", "seamark.rules.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tried = run("test", "rules", "seamark.rules.test.yml")
    assert tried.returncode == 0, tried.stdout + tried.stderr


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("was", "becomes"), [
    ("> 0.05", "> 0.5"), ("< 0.95", "< 0.94"), ('{token="LINK"} < 10', '{token="LINK"} < 9'),
    ("ccip_cursed == 1", "ccip_cursed == 2"), ("0 - oracle_heartbeat", "oracle_heartbeat"),
])  # fmt: skip
def test_the_scenes_notice_a_wrong_rule(tmp_path: Path, was: str, becomes: str) -> None:
    text = (PROMETHEUS / "seamark.rules.yml").read_text()
    assert was in text
    (tmp_path / "seamark.rules.yml").write_text(text.replace(was, becomes))
    (tmp_path / "seamark.rules.test.yml").write_text(SCENES)
    assert run("test", "rules", "seamark.rules.test.yml", folder=tmp_path).returncode == 1


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_each_rule_is_tried_and_says_what_to_do(rule: dict[str, Any]) -> None:
    assert f'"{rule["alert"]}"' in SCENES or f"alertname: {rule['alert']}\n" in SCENES
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert path == "docs/runbooks/alerts.md"
    assert anchor == rule["labels"]["kind"]
    assert f"\n### {anchor}\n" in RUNBOOK, "the runbook has no such section"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_each_rule_asks_for_metrics_that_exist(rule: dict[str, Any]) -> None:
    known = shown()
    assert metrics_in(rule["expr"]) <= set(known)
    for metric, labels in matchers_in(rule["expr"]):
        assert labels <= known[metric] | TARGET_LABELS, metric
    used = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
    available = set().union(*(known[metric] for metric in metrics_in(rule["expr"]) or {"up"})) | TARGET_LABELS
    assert used <= available


def test_the_runbook_s_defaults_are_in() -> None:
    expressions = " ".join(rule["expr"] for rule in RULES)
    for default in ("> 0.05", "< 0.95", '{token="LINK"} < 10', '{token="LINK"} < 5', "ccip_router_up == 0"):
        assert default in expressions
    names = [rule["alert"] for rule in RULES]
    assert len(names) == len(set(names))


# ---- the dashboard ----


@pytest.mark.parametrize(("title", "expression"), expressions_of_the_dashboard())
def test_each_panel_asks_for_metrics_that_exist(title: str, expression: str) -> None:
    known = shown()
    assert metrics_in(expression), title
    assert metrics_in(expression) <= set(known)
    for metric, labels in matchers_in(expression):
        assert labels <= known[metric] | TARGET_LABELS, metric


def test_panels_stand_beside_each_other() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_panels_use_the_variables_that_the_dashboard_has() -> None:
    names = {item["name"] for item in DASHBOARD["templating"]["list"]} | {"__rate_interval"}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps([panel.get("targets") for panel in DASHBOARD["panels"]])))
    assert used <= names
    assert {panel["type"] for panel in DASHBOARD["panels"]} == {"row", "stat", "timeseries", "heatmap"}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("title", "expression"), expressions_of_the_dashboard())
def test_each_panel_is_understood_by_prometheus(tmp_path: Path, title: str, expression: str) -> None:
    plain = expression.replace("$__rate_interval", "5m").replace("$source", ".*").replace("$dest", ".*")
    rules = {"groups": [{"name": "panel", "rules": [{"record": "panel", "expr": plain}]}]}
    (tmp_path / "panel.yml").write_text(yaml.safe_dump(rules))
    done = run("check", "rules", "panel.yml", folder=tmp_path)
    assert done.returncode == 0, (title, done.stderr)


# ---- the tools of this test ----


@pytest.mark.parametrize(
    ("expression", "metrics"),
    [
        ("up == 0", {"up"}),
        ('sum by (a, b) (rate(x_total{s="y",t=~"u"}[5m])) / on (a) z > 0.5 and v', {"x_total", "z", "v"}),
        ("histogram_quantile(0.95, sum by (le) (rate(x_bucket[1h])))", {"x_bucket"}),
        ("time() - max(x) > 120 or absent(y)", {"x", "y"}),
    ],
)
def test_metrics_are_found_in_expressions(expression: str, metrics: set[str]) -> None:
    assert metrics_in(expression) == metrics


def test_labels_are_found_in_matchers() -> None:
    assert matchers_in('x{a="b",c=~"d"} / y{e!="f"}') == [("x", {"a", "c"}), ("y", {"e"})]
