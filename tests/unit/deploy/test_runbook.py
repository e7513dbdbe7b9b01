"""Every kind of finding has its section in the runbook, and the runbook has none that nobody tells of."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "src" / "seamark"
RUNBOOK = (ROOT / "docs" / "runbooks" / "alerts.md").read_text()
RULES = ROOT / "deploy" / "prometheus" / "seamark.rules.yml"
KIND = re.compile(r"[a-z]+(_[a-z]+)+|cursed")
INTEROP_GRADES = {"unsafe", "safe", "final"}


def sections() -> list[str]:
    return re.findall(r"^### (.+)$", RUNBOOK, re.MULTILINE)


def kinds_of_findings() -> dict[str, str]:
    """Kind -> the file that tells of it."""
    found: dict[str, str] = {}
    for path in SOURCE.rglob("*.py"):
        text = path.read_text()
        if "Severity" not in text or ("monitoring" in path.parts and path.parent.name == "store"):
            continue
        for node in ast.walk(ast.parse(text)):
            for kind in kinds_in(node):
                found[kind] = path.name
    return found


def kinds_in(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("interop_"):
        return {node.value} if not node.value.endswith("_") else {f"{node.value}{grade}" for grade in INTEROP_GRADES}
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
        return {text for text in constants(node.value) if text == "chain_unreachable"}
    if isinstance(node, ast.Call) and says_how_bad(node):
        named = [keyword.value for keyword in node.keywords if keyword.arg == "kind"]
        return {text for part in (named or node.args[:3]) for text in constants(part)}
    if isinstance(node, ast.IfExp):
        return {text for text in constants(node) if text.startswith("service_")}
    return set()


def says_how_bad(call: ast.Call) -> bool:
    """Whoever makes a finding, by whatever helper, passes a severity."""
    passed = [*call.args, *(keyword.value for keyword in call.keywords)]
    return any(
        (isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "Severity")
        or (isinstance(part, ast.Name) and part.id == "severity")
        or (isinstance(part, ast.IfExp) and "Severity" in ast.unparse(part))
        for part in passed
    )


def constants(node: ast.AST) -> set[str]:
    return {
        item.value
        for item in ast.walk(node)
        if isinstance(item, ast.Constant) and isinstance(item.value, str) and KIND.fullmatch(item.value)
    }


def kinds_of_rules() -> set[str]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["labels"]["kind"] for group in groups for rule in group["rules"]}


def test_sections_are_written_once() -> None:
    assert len(sections()) == len(set(sections()))


def test_producers_are_found() -> None:
    """The search itself: it must see each way in which kinds are written."""
    assert {
        "message_stuck", "manual_execution", "chain_behind", "cursed", "runway_short", "source_silent", "service_down",
        "chain_unreachable", "interop_expired", "interop_invalid_final", "interop_verdict_changed",
    } <= set(kinds_of_findings())  # fmt: skip


@pytest.mark.parametrize("kind", sorted(kinds_of_findings()))
def test_each_kind_of_finding_has_a_section(kind: str) -> None:
    assert kind in sections(), (
        f"{kinds_of_findings()[kind]} tells of {kind}: write ### {kind} in docs/runbooks/alerts.md"
    )


def test_no_section_is_about_nothing() -> None:
    known = {*kinds_of_findings(), *kinds_of_rules(), "receiver_failing"}
    assert set(sections()) - known == set()


def test_each_section_says_something() -> None:
    parts = re.split(r"^#{2,3} .+$", RUNBOOK, flags=re.MULTILINE)[1:]
    bodies = [part.strip() for part in parts]
    titles = re.findall(r"^#{2,3} .+$", RUNBOOK, re.MULTILINE)
    for title, body in zip(titles, bodies, strict=True):
        assert len(body) > 40 or title.startswith("## "), title


def test_commands_in_it_exist() -> None:
    named = set(re.findall(r"seamark (alerts) ([a-z]+)", RUNBOOK))
    commands = (SOURCE / "cli" / "alerts.py").read_text()
    for _, command in named:
        assert f'"{command}"' in commands or f"def {command}(" in commands, command
