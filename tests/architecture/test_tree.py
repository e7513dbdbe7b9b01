"""What import-linter cannot say about the tree."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "seamark"
MODULES = sorted(path for path in SOURCE.rglob("*.py") if "migrations" not in path.parts)
CEILING_LINES = 600
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_no_file_outgrows_a_reader(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= CEILING_LINES


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_each_module_opens_with_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not tree.body or ast.get_docstring(tree), "open with the model and the invariant"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_nothing_unfinished_behind_a_finished_name(path: Path) -> None:
    assert not UNFINISHED.search(path.read_text())


def test_lock_files_hold_hashes_and_no_addresses() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text, named(lock)
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text()


def test_no_licence_that_forbids_production_in_our_contracts() -> None:
    for folder in ("src", "test"):
        for path in (ROOT / "contracts" / folder).rglob("*.sol"):
            assert "BUSL" not in path.read_text(), named(path)


TYPED_DECODE = re.compile(r"msgspec\.(json\.decode\([^)\n]*type=(?!dict\[str, str\]|tuple\[tuple\[str)|convert\()")
IN_ONE_THREAD = {"evm/artifacts.py", "devnet/deployment.py", "devnet/venues.py", "evm/transactions/store.py"}


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_types_are_made_known_to_msgspec_in_one_thread(path: Path) -> None:
    """msgspec 0.22 crashes the process where two threads are the first to decode into a Struct: so a `Decoder` is made
    when the module is imported. Excepted are modules that decode in the event loop alone, or see to it themselves.
    """
    if str(path.relative_to(SOURCE)) not in IN_ONE_THREAD:
        assert not TYPED_DECODE.search(path.read_text())
