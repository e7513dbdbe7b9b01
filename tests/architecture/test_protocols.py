"""What a protocol may touch: its own folder, the settings, and the few lines that start its monitor."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "seamark"
PROTOCOLS = SOURCE / "messages" / "protocols"
CCIP = PROTOCOLS / "ccip"
GENERATIONS = ("v1_2", "v1_5", "v1_6", "v2_0")

HYPERLANE_MAY_BE_NAMED_IN = {
    "settings.py",  # its section
    "app/monitors.py",  # how its monitor is made
    "app/names.py",  # what its service is called
}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def modules_outside(folder: Path) -> list[Path]:
    found = [path for path in SOURCE.rglob("*.py") if folder not in path.parents]
    assert len(found) > 100
    return sorted(found)


def names_in(tree: ast.AST) -> Iterator[str]:
    """Every name that code uses: variables, attributes, arguments, imports; no prose."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.keyword(arg=str(name)):
                yield name
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases)
            case ast.ImportFrom(module=module, names=aliases):
                yield from (module or "", *(alias.name for alias in aliases))


def decisions_in(tree: ast.AST) -> Iterator[str]:
    """Texts that code compares with or branches on."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare | ast.match_case):
            parts = [node.left, *node.comparators] if isinstance(node, ast.Compare) else [node.pattern]
            for part in parts:
                for item in ast.walk(part):
                    if isinstance(item, ast.Constant) and isinstance(item.value, str):
                        yield item.value


def test_a_third_protocol_touches_its_folder_and_configuration_only() -> None:
    named = set()
    for path in modules_outside(PROTOCOLS / "hyperlane"):
        tree = parsed(path)
        if any("hyperlane" in text.lower() for text in (*names_in(tree), *decisions_in(tree))):
            named.add(path.relative_to(SOURCE).as_posix())
    assert named == HYPERLANE_MAY_BE_NAMED_IN


@pytest.mark.parametrize("folder", sorted(path.name for path in PROTOCOLS.iterdir() if (path / "__init__.py").exists()))
def test_the_tracker_its_store_and_its_judge_know_no_protocol(folder: str) -> None:
    for path in sorted((SOURCE / "messages").rglob("*.py")):
        if PROTOCOLS in path.parents:
            continue
        tree = parsed(path)
        names = [name for name in names_in(tree) if f"protocols.{folder}" in name]
        assert not names, f"{path.name} imports {names}"
        assert folder not in decisions_in(tree), f"{path.name} decides by the name of a protocol"


def files(folder: str) -> set[str]:
    return {path.stem for path in (CCIP / folder).glob("*.py")} - {"__init__"}


def test_each_generation_of_ccip_has_the_same_files() -> None:
    whole = {"events", "generation", "recovery", "keys", "decode"}
    assert files("v1_6") == whole
    assert files("evm2evm") == whole, "what 1.2 and 1.5 share, under the names that it would have in their folders"
    for old in ("v1_2", "v1_5"):
        assert files(old) == {"events", "generation", "recovery"}
    assert files("v2_0") >= whole
    assert {path.name for path in CCIP.glob("v*") if path.is_dir()} == set(GENERATIONS)


def test_generations_do_not_know_each_other() -> None:
    for folder in GENERATIONS:
        for path in sorted((CCIP / folder).glob("*.py")):
            names = list(names_in(parsed(path)))
            for other in set(GENERATIONS) - {folder}:
                found = [name for name in names if f"ccip.{other}" in name]
                assert not found, f"{folder}/{path.name} imports {found}"
