"""The contracts: forge's own tests, branch coverage, gas, generated artifacts, and whose code is in the tree.

Everything runs offline with the pinned tool chain from `npm ci`. A missing tool chain is a failure, not a skip.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from tools import contracts

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

FORGE_TIMEOUT_S = 540
MIN_BRANCH_COVERAGE = 0.95
GAS_TOLERANCE_PERCENT = 5
MAX_CODE_BYTES = 24_576 - 2_048  # EIP-170, less room for a fix
# Compiled without the optimizer, so gas limits do not hold; and the invariants reach nothing that unit tests do not.
NOT_FOR_COVERAGE = "GasTest|LaneInvariants"


def forge(*arguments: str) -> str:
    """Run forge in contracts/ and return what it printed; fail with that if it failed."""
    try:
        binary = contracts.forge_binary()
    except contracts.ContractsError as error:
        pytest.fail(str(error), pytrace=False)
    done = subprocess.run(
        [str(binary), *arguments],
        cwd=contracts.CONTRACTS,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=FORGE_TIMEOUT_S,
    )
    if done.returncode != 0:
        pytest.fail(f"forge {' '.join(arguments)}:\n{done.stdout[-8000:]}\n{done.stderr[-2000:]}", pytrace=False)
    return done.stdout


def test_a_failure_of_forge_is_seen() -> None:
    with pytest.raises(pytest.fail.Exception, match="no-such-command"):
        forge("no-such-command")


def test_forge_tests_pass() -> None:
    printed = forge("test")
    counts = re.search(r"(\d+) tests passed, (\d+) failed, (\d+) skipped", printed)
    assert counts, printed
    assert int(counts[1]) > 100
    assert counts.group(2, 3) == ("0", "0")


def test_sources_are_formatted() -> None:
    forge("fmt", "--check")


def test_gas_is_what_the_snapshot_says() -> None:
    forge("snapshot", "--check", "--tolerance", str(GAS_TOLERANCE_PERCENT), "--match-contract", "GasTest")


def test_branch_coverage(tmp_path: Path) -> None:
    report = tmp_path / "lcov.info"
    forge(
        *("coverage", "--report", "lcov", "--report-file", str(report)),
        *("--no-match-coverage", "^(test|node_modules)/", "--no-match-contract", NOT_FOR_COVERAGE),
    )
    lcov = report.read_text()
    files = set(re.findall(r"^SF:(.+)$", lcov, re.MULTILINE))
    found = sum(map(int, re.findall(r"^BRF:(\d+)$", lcov, re.MULTILINE)))
    hit = sum(map(int, re.findall(r"^BRH:(\d+)$", lcov, re.MULTILINE)))
    assert {"src/Aggregator.sol", "src/OracleWithCCIP.sol", "src/OracleReceiver.sol"} <= files
    assert found > 0
    assert hit / found >= MIN_BRANCH_COVERAGE, f"{hit} of {found} branches"


def test_contracts_fit_the_size_limit(tmp_path: Path) -> None:
    contracts.build(tmp_path)
    for name in contracts.NAMES:
        built = json.loads((tmp_path / f"{name}.sol" / f"{name}.json").read_text())
        size_bytes = len(built["deployedBytecode"]["object"].removeprefix("0x")) // 2
        assert 0 < size_bytes <= MAX_CODE_BYTES, name


def test_artifacts_are_those_of_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    status = contracts.main(["check"])
    assert status == 0, capsys.readouterr().err


def test_no_source_under_the_business_licence() -> None:
    sources = [path for folder in ("src", "test") for path in (contracts.CONTRACTS / folder).rglob("*.sol")]
    assert sources
    for path in sources:
        assert path.read_text().startswith("// SPDX-License-Identifier: MIT\n"), path


def test_only_mit_files_of_ccip_are_imported() -> None:
    modules = contracts.ROOT / "node_modules"
    imported = set()
    for path in contracts.CONTRACTS.joinpath("src").rglob("*.sol"):
        imported |= set(re.findall(r'"(@chainlink/[^"]+)"', path.read_text()))
    assert imported
    for name in imported:
        assert (modules / name).read_text().startswith("// SPDX-License-Identifier: MIT\n"), name


def test_lock_file_holds_no_addresses() -> None:
    lock = (contracts.ROOT / "package-lock.json").read_text()
    assert '"integrity"' in lock
    assert '"resolved"' not in lock
