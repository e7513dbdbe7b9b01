"""A node's key and certificate: made once, kept secret, and read with suspicion."""

import datetime as dt
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from seamark.core.errors import RejectedError, SettingsError
from seamark.oracle.reporting.network import PeerNetwork
from seamark.oracle.reporting.network import identity as module
from seamark.oracle.reporting.network.identity import (
    create_identity,
    fingerprint,
    load_identity,
    make_identity,
    read_certificate,
)
from seamark.oracle.reporting.network.ports import Peer


@pytest.fixture
def files(tmp_path):
    return tmp_path / "node.key", tmp_path / "node.crt"


def test_what_is_made_is_read(files):
    made = create_identity(*files)
    assert load_identity(*map(str, files), setting="reporting.key") == made
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600, 0o644]
    assert made.fingerprint == fingerprint(files[1].read_bytes())
    assert len(made.fingerprint) == 64


def test_the_key_is_not_shown(files):
    made = create_identity(*files)
    assert "PRIVATE" not in repr(made)
    assert "PRIVATE" not in str(made)


def test_nothing_is_overwritten(files):
    made = create_identity(*files)
    with pytest.raises(SettingsError, match="exists already"):
        create_identity(*files)
    files[0].unlink()
    with pytest.raises(SettingsError, match="exists already"):
        create_identity(*files)
    assert not files[0].exists(), "half a pair is none"
    assert files[1].read_bytes() == made.certificate


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(SettingsError, match="cannot be written: No such file"):
        create_identity(tmp_path / "no" / "key", tmp_path / "no" / "crt")


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660])
def test_a_key_that_others_can_read_is_refused(files, mode):
    create_identity(*files)
    files[0].chmod(mode)
    with pytest.raises(SettingsError, match=r"reporting.key: .* other users can read or change it; chmod 600"):
        load_identity(*map(str, files), setting="reporting.key")


def test_the_wrong_pair_is_refused(files, tmp_path):
    create_identity(*files)
    files[1].write_bytes(make_identity().certificate)
    with pytest.raises(SettingsError, match="is not the certificate of the key"):
        load_identity(*map(str, files), setting="reporting.key")


def test_what_is_no_key_is_refused_without_being_quoted(files):
    create_identity(*files)
    files[0].write_text("my secret words")
    with pytest.raises(SettingsError, match="holds no private key") as caught:
        load_identity(*map(str, files), setting="reporting.key")
    assert "secret words" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_what_is_no_certificate_is_refused(files, content):
    create_identity(*files)
    files[1].unlink()
    if content is not None:
        files[1].write_bytes(content)
    with pytest.raises(SettingsError, match=r"cannot read|not a certificate"):
        load_identity(*map(str, files), setting="reporting.key")


def test_a_certificate_whose_time_is_over_is_refused(files, monkeypatch):
    monkeypatch.setattr(module, "LIFETIME", dt.timedelta(minutes=-5))
    create_identity(*files)
    with pytest.raises(SettingsError, match="was valid until"):
        load_identity(*map(str, files), setting="reporting.key")


def test_the_end_of_a_certificate_is_told():
    left = make_identity().expires_at - dt.datetime.now(dt.UTC).timestamp()
    assert left == pytest.approx(3650 * 86400, abs=60)


def certificate(key, *, name=None, issuer=None, authority=False, constrained=True, signer=None):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name or module._name_of(key.public_key()))])
    by = subject if issuer is None else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
    )
    if constrained:
        builder = builder.add_extension(x509.BasicConstraints(authority, None), critical=True)
    return builder.sign(signer or key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_only_a_nodes_own_certificate_is_one():
    key, victim = ec.generate_private_key(ec.SECP256R1()), make_identity()
    assert read_certificate(certificate(key)).serial_number == 1
    refused = [
        certificate(key, authority=True),  # could vouch for others
        certificate(key, constrained=False),
        certificate(key, name=victim.fingerprint),  # would keep the victim out: TLS looks it up by its name
        certificate(key, issuer=victim.fingerprint),
        certificate(key) + victim.certificate,
        victim.certificate * 2,
        b"x" * 20_000,
    ]
    for each in refused:
        with pytest.raises(RejectedError):
            read_certificate(each)


def test_a_fingerprint_is_of_the_key_whatever_is_around_it():
    key = ec.generate_private_key(ec.SECP256R1())
    one, other = certificate(key), certificate(key)
    assert one != other
    assert fingerprint(one) == fingerprint(other)


def test_peers_with_one_key_or_none_are_refused():
    mine, other = make_identity(), make_identity()
    twice = [Peer("one", "127.0.0.1:1", other.certificate), Peer("two", "127.0.0.1:2", other.certificate)]
    with pytest.raises(SettingsError, match=r"reporting.peers: one and two have the same key"):
        PeerNetwork(mine, twice, listen="127.0.0.1:0")
    with pytest.raises(SettingsError, match=r"reporting.peers: one: not a certificate"):
        PeerNetwork(mine, [Peer("one", "127.0.0.1:1", b"junk")], listen="127.0.0.1:0")
