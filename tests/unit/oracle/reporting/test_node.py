"""A node's files and feeds are checked before anything starts; its health is that of its feeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seamark.app.reporting_files import Files, make_files
from seamark.core.errors import SettingsError
from seamark.evm.signers import RawKeySigner
from seamark.oracle.model import FeedRef
from seamark.oracle.reporting.node import ReportingNode, open_member, open_peers
from seamark.oracle.reporting.settings import ReportingNodeSettings
from seamark.runtime.health import Status
from tests.support.reporting_config import CHAIN, CONTRACT


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return make_files(tmp_path / "a", "a", "a.example:7100")


@pytest.fixture
def peer(tmp_path: Path) -> Files:
    return make_files(tmp_path / "b", "b", "b.example:7100")


def settings(files: Files, *peers: Files, **changes: Any) -> ReportingNodeSettings:
    values = {
        "certificate": str(files.folder / "certificate.pem"),
        "certificate_key": str(files.folder / "certificate.key"),
        "keys": str(files.folder / "offchain.json"),
        "signer": {"private_key_file": str(files.folder / "signer.key")},
        "transmitter": {"private_key_file": str(files.folder / "transmitter.key")},
        "peers": [
            {"address": peer.identity.address, "certificate": str(peer.folder / "certificate.pem")} for peer in peers
        ],
        **changes,
    }
    return ReportingNodeSettings.model_validate(values)


def signer_of(files: Files, role: str) -> RawKeySigner:
    return RawKeySigner.from_hex((files.folder / f"{role}.key").read_text().strip())


def test_files_of_the_ceremony_are_what_a_node_opens(files: Files, peer: Files) -> None:
    made = settings(files, peer)
    member, identity = open_member(made, signer=signer_of(files, "signer"), transmitter=signer_of(files, "transmitter"))
    public = files.identity
    assert member.peer == identity.fingerprint == public.peer
    assert (member.signer, member.transmitter) == (public.signer, public.transmitter)
    assert member.observation_key.public.hex() == public.observation_key
    assert member.encryption_key.public.hex() == public.encryption_key
    (other,) = open_peers(made)
    assert (other.name, other.address) == ("b.example:7100", "b.example:7100")


def test_secrets_are_in_files_of_their_owner_alone(files: Files) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in files.folder.iterdir()}
    for secret in ("offchain.json", "certificate.key", "signer.key", "transmitter.key"):
        assert modes[secret] == 0o600
    text = (files.folder / "identity.yaml").read_text()
    for secret in ("signer.key", "transmitter.key", "offchain.json", "certificate.key"):
        content = (files.folder / secret).read_text()
        assert not any(word in text for word in content.split() if len(word) > 30)


def test_keys_are_never_overwritten(files: Files) -> None:
    before = {path.name: path.read_bytes() for path in files.folder.iterdir()}
    with pytest.raises(SettingsError, match="cannot be made: File exists; choose a folder without keys"):
        make_files(files.folder, "a", "a.example:7100")
    assert {path.name: path.read_bytes() for path in files.folder.iterdir()} == before


def test_accounts_whose_keys_are_elsewhere_get_no_files(tmp_path: Path) -> None:
    made = make_files(tmp_path / "c", "c", "c:1", {"signer": CONTRACT, "transmitter": None})
    assert made.identity.signer == CONTRACT
    assert not (tmp_path / "c" / "signer.key").exists()
    assert (tmp_path / "c" / "transmitter.key").exists()


def test_one_account_for_both_is_refused(files: Files, peer: Files) -> None:
    signer = signer_of(files, "signer")
    with pytest.raises(SettingsError, match="is the account that signs reports"):
        open_member(settings(files, peer), signer=signer, transmitter=signer)


Damage = Callable[[Files, Files], None]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda a, _: (a.folder / "offchain.json").chmod(0o644), "keys: .*has mode 0644"),
        (lambda a, _: (a.folder / "offchain.json").write_text("{}"), "keys: holds no off-chain keys"),
        (lambda a, _: (a.folder / "offchain.json").unlink(), "keys: cannot read"),
        (lambda a, _: (a.folder / "certificate.key").chmod(0o640), "oracle.reporting.certificate"),
        (
            lambda a, b: (a.folder / "certificate.pem").write_bytes((b.folder / "certificate.pem").read_bytes()),
            "oracle.reporting.certificate",
        ),
    ],
)
def test_a_node_s_own_files_are_checked(files: Files, peer: Files, damage: Damage, words: str) -> None:
    damage(files, peer)
    with pytest.raises(SettingsError, match=words):
        open_member(
            settings(files, peer), signer=signer_of(files, "signer"), transmitter=signer_of(files, "transmitter")
        )


def test_peers_certificates_are_checked(files: Files, peer: Files, tmp_path: Path) -> None:
    where = {"address": "b:1", "certificate": str(peer.folder / "certificate.pem")}
    again = {"address": "c:1", "certificate": str(peer.folder / "certificate.pem")}
    with pytest.raises(SettingsError, match=r"peers\[1\]\.certificate: is another peer's certificate too"):
        open_peers(settings(files, peers=[where, again]))
    with pytest.raises(SettingsError, match=r"peers\[0\]\.certificate: cannot read"):
        open_peers(settings(files, peers=[where | {"certificate": str(tmp_path / "missing.pem")}]))
    (tmp_path / "junk.pem").write_text("junk")
    with pytest.raises(SettingsError, match=r"peers\[0\]\.certificate: .*junk\.pem: not a certificate"):
        open_peers(settings(files, peers=[where | {"certificate": str(tmp_path / "junk.pem")}]))


@dataclass
class Feed:
    name: str
    trouble: str | None

    @property
    def ref(self) -> FeedRef:
        return FeedRef(self.name, "besu", CHAIN, CONTRACT)

    def problem(self) -> str | None:
        return self.trouble

    def connected(self) -> int:
        return 4


async def test_health_names_each_feed_with_a_problem() -> None:
    well, ill = Feed("ETH/USD", None), Feed("BTC/USD", "no round was completed for 2m")
    found = await ReportingNode((well, ill), ()).health()  # type: ignore[arg-type]
    assert found.status is Status.DEGRADED
    assert found.detail == "BTC/USD: no round was completed for 2m"
    found = await ReportingNode((well,), ()).health()  # type: ignore[arg-type]
    assert found.status is Status.OK
    assert found.detail == "ETH/USD: 4 nodes"
