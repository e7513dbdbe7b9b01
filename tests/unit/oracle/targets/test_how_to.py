"""What docs/how-to/publish-to-flux-or-ocr2.md shows is true: its settings are taken, its table is the code's."""

import re
from pathlib import Path

import yaml

from seamark.oracle.settings import OracleSettings
from seamark.oracle.targets.flux import GAS_LIMIT, LOOK_EVERY_S, RESERVE_ROUNDS, FluxTarget
from seamark.runtime.settings import validate_settings
from tests.unit.oracle.fakes import FEED, SIGNER, FakeChain, FakeClock

from .test_flux import WORDS

TEXT = (Path(__file__).parents[4] / "docs" / "how-to" / "publish-to-flux-or-ocr2.md").read_text()


def test_its_settings_are_taken():
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    settings = validate_settings(OracleSettings, yaml.safe_load(block)["oracle"])
    assert settings.feeds[0].contract == "flux"


def test_its_numbers_are_the_codes():
    assert f"every\n  {LOOK_EVERY_S:g} seconds" in TEXT
    assert f"**Gas**: {GAS_LIMIT:,} is offered" in TEXT
    assert RESERVE_ROUNDS == 2
    assert "less than two rounds' payments" in TEXT


def test_its_table_of_refusals_is_the_codes():
    rows = [row for row in TEXT.splitlines() if row.startswith("| `") and "kind" not in row]
    kinds = {kind for _, kind, _ in WORDS} - {"rejected", "not_yet_oracle"}
    told = set(re.findall(r"`([a-z_]+)`", "".join(row.split("|")[2] for row in rows))) & kinds
    assert told == kinds
    target = FluxTarget(FakeChain(FakeClock()), FEED, SIGNER)
    assert target.look_every == LOOK_EVERY_S
