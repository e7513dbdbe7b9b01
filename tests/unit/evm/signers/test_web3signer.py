"""Web3Signer: found by its address, asked as documented, and told apart from what is none."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import ssl

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.support.key_services import ADDRESS, OTHER_SECRET, SECRET, Web3SignerService, point, served

from seamark.core.errors import SettingsError, TemporaryError
from seamark.evm.crypto import keccak256, recover_address
from seamark.evm.settings import SignerSettings
from seamark.evm.signers import RawKeySigner, open_backend
from seamark.evm.signers.remote import PROBE

SETTING = "oracle.signer"


async def opened(service, session, clock, **settings):
    wanted = {"url": service.url, "address": ADDRESS} | settings
    return await open_backend(SignerSettings(web3signer=wanted), SETTING, session=session, clock=clock)


async def refused(service, session, clock, **settings) -> str:
    with pytest.raises(SettingsError) as caught:
        await opened(service, session, clock, **settings)
    told = str(caught.value)
    assert told.startswith("oracle.signer.web3signer")
    assert "\n" not in told
    assert caught.value.remedy
    return told


async def test_it_signs_what_a_key_in_memory_would(session, clock):
    async with served(Web3SignerService()) as service:
        signer = await opened(service, session, clock)
        assert signer.address == ADDRESS
        for preimage in (b"\x02" + b"payload", bytes(128), b""):
            assert await signer.sign(preimage) == await RawKeySigner.from_hex(SECRET).sign(preimage)
        last = service.requests[-2]
        assert last.method == "POST"
        assert last.path == "/api/v1/eth1/sign/0x" + point(SECRET).hex()
        assert json.loads(last.body) == {"data": "0x" + "00" * 128}
        assert last.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("form", ["0x{}", "{}", "0x04{}"])
async def test_the_key_may_be_named_by_its_public_key(session, clock, form):
    async with served(Web3SignerService()) as service:
        key = form.format(point(SECRET).hex())
        assert (await opened(service, session, clock, address=None, public_key=key)).address == ADDRESS


async def test_a_base_path_is_kept(session, clock):
    async with served(Web3SignerService()) as service:
        told = await refused(service, session, clock, url=service.url + "/vault/")
        assert service.requests[0].path == "/vault/api/v1/eth1/publicKeys"
        assert "404" in told


async def test_a_text_is_signed_at_the_start_so_that_a_refusal_shows(session, clock):
    async with served(Web3SignerService()) as service:
        service.answers = [None, web.Response(status=403)]
        told = await refused(service, session, clock)
        assert json.loads(service.requests[1].body)["data"] == "0x" + PROBE.hex()
        assert "403" in told
        assert "--http-host-allowlist" in told


async def test_a_key_it_does_not_hold(session, clock):
    async with served(Web3SignerService(secrets=(OTHER_SECRET,))) as service:
        told = await refused(service, session, clock)
        assert "does not hold the key" in told
        assert RawKeySigner.from_hex(OTHER_SECRET).address in told.lower()
        assert "/reload" in told
    async with served(Web3SignerService(secrets=())) as service:
        assert "it holds none" in await refused(service, session, clock)


async def test_a_signature_by_another_key_never_leaves(session, clock):
    async with served(Web3SignerService()) as service:
        signer = await opened(service, session, clock)
        service.answers = [web.Response(text=service._signed(OTHER_SECRET, "0x01"))]
        with pytest.raises(TemporaryError, match="not 0x"):
            await signer.sign(b"\x01")


@pytest.mark.parametrize("text", ["", "0x1234", "error", "null", '{"signature": "0x00"}', "0x" + "zz" * 65])
async def test_an_answer_that_is_no_signature(session, clock, text):
    async with served(Web3SignerService()) as service:
        signer = await opened(service, session, clock)
        service.answers = [web.Response(text=text)]
        with pytest.raises(TemporaryError, match="no signature"):
            await signer.sign(b"\x01")


async def test_signatures_in_quotes_are_read_too(session, clock):
    async with served(Web3SignerService()) as service:
        signer = await opened(service, session, clock)
        service.answers = [web.json_response(service._signed(SECRET, "0x01"))]
        parity, r, s = await signer.sign(b"\x01")
        assert recover_address(keccak256(b"\x01"), parity, r, s) == ADDRESS


@pytest.mark.parametrize("text", ["", "{}", "[1]", "<html>", '["0x' + "11" * 64 + '"]'])
async def test_something_that_is_no_web3signer(session, clock, text):
    async with served(Web3SignerService()) as service:
        service.answers = [web.Response(text=text)]
        assert "eth1" in await refused(service, session, clock)


async def test_keys_of_other_kinds_in_the_list_are_passed_over(session, clock):
    async with served(Web3SignerService()) as service:
        service.answers = [web.json_response(["0x" + "ab" * 48, "0x" + point(SECRET).hex()])]
        assert (await opened(service, session, clock)).address == ADDRESS


async def test_what_may_pass_is_tried_again(session, clock):
    async with served(Web3SignerService()) as service:
        signer = await opened(service, session, clock)
        service.answers = [web.Response(status=503), web.Response(status=500)]
        await signer.sign(b"\x01")
        assert len(service.requests) == 2 + 3
        assert clock.slept == [0.1, 0.2]
        service.answers = [web.Response(status=503) for _ in range(3)]
        with pytest.raises(TemporaryError, match="503"):
            await signer.sign(b"\x01")


async def test_a_wait_that_is_asked_for_is_kept_up_to_a_limit(session, clock):
    async with served(Web3SignerService()) as service:
        signer = await opened(service, session, clock)
        service.answers = [
            web.Response(status=429, headers={"Retry-After": "1"}),
            web.Response(status=429, headers={"Retry-After": "3600"}),
        ]
        await signer.sign(b"\x01")
        assert clock.slept == [1.0, 2.0]


async def test_what_is_wrong_for_good_is_not_tried_again(session, clock):
    async with served(Web3SignerService()) as service:
        signer = await opened(service, session, clock)
        service.secrets = ()
        with pytest.raises(TemporaryError, match="404"):
            await signer.sign(b"\x01")
        assert clock.slept == []


async def test_nobody_there(session, clock):
    async with served(Web3SignerService()) as service:
        pass
    told = await refused(service, session, clock)
    assert "cannot be reached" in told
    assert clock.slept == [0.1, 0.2]


async def test_a_service_that_starts_later_is_waited_for(session, clock):
    async with served(Web3SignerService()) as service:
        wanted = SignerSettings(web3signer={"url": service.url, "address": ADDRESS})
        service.answers = [web.Response(status=503) for _ in range(7)]
        signer = await open_backend(wanted, SETTING, session=session, clock=clock, patience_s=30.0)
        assert signer.address == ADDRESS
        assert clock.slept.count(1.0) == 2
        service.answers = [web.Response(status=503) for _ in range(90)]
        with pytest.raises(SettingsError, match="503"):
            await open_backend(wanted, SETTING, session=session, clock=clock, patience_s=10.0)
        assert 60 < len(service.answers) < 90
        service.secrets = ()
        service.answers = []
        before = len(service.requests)
        with pytest.raises(SettingsError, match="does not hold"):
            await open_backend(wanted, SETTING, session=session, clock=clock, patience_s=10.0)
        assert len(service.requests) == before + 1, "what is wrong for good is told at once"


async def test_no_part_of_the_address_but_its_host_is_told(session, clock):
    async with served(Web3SignerService()) as service:
        service.answers = [web.Response(status=404)]
        url = service.url.replace("http://", "http://user:geheim@") + "/secret-path"
        told = await refused(service, session, clock, url=url)
        assert "geheim" not in told
        assert "secret-path" not in told


# ---- TLS -------------------------------------------------------------------------------------------------------------


def make_certificate(folder, name, *, issuer=None, authority=False):
    """A certificate for 127.0.0.1 and its key as PEM files; by itself, or by an issuer (certificate, key)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    signer, signer_key = (subject, key) if issuer is None else (issuer[0].subject, issuer[1])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(signer_key, SHA256())
    )
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file = folder / f"{name}.key"
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key_file.chmod(0o600)
    return certificate, key


@pytest.fixture
def guarded(tmp_path):
    """A server's TLS that asks for a client certificate of our authority."""
    authority = make_certificate(tmp_path, "ca", authority=True)
    make_certificate(tmp_path, "server", issuer=authority)
    make_certificate(tmp_path, "client", issuer=authority)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ca.pem")
    tls.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    tls.verify_mode = ssl.CERT_REQUIRED
    return tls


async def test_both_sides_show_certificates(session, clock, tmp_path, guarded):
    async with served(Web3SignerService(), guarded) as service:
        certificates = {
            "ca_file": str(tmp_path / "ca.pem"),
            "client_certificate": str(tmp_path / "client.pem"),
            "client_key": str(tmp_path / "client.key"),
        }
        signer = await opened(service, session, clock, **certificates)
        assert await signer.sign(b"\x01") == await RawKeySigner.from_hex(SECRET).sign(b"\x01")


async def test_without_our_certificate_or_trust_nothing_is_signed(session, clock, tmp_path, guarded):
    async with served(Web3SignerService(), guarded) as service:
        assert "ca_file" in await refused(service, session, clock)
        await refused(service, session, clock, ca_file=str(tmp_path / "ca.pem"))
        assert service.requests == []


async def test_certificates_that_cannot_be_used(session, clock, tmp_path, guarded):
    async with served(Web3SignerService(), guarded) as service:
        pair = {"client_certificate": str(tmp_path / "client.pem"), "client_key": str(tmp_path / "client.key")}
        assert "ca_file: " in await refused(service, session, clock, ca_file=str(tmp_path / "missing.pem"))
        assert "ca_file: " in await refused(service, session, clock, ca_file=str(tmp_path / "ca.key"))
        other = pair | {"client_key": str(tmp_path / "server.key")}
        assert "client_certificate: " in await refused(service, session, clock, **other)
        (tmp_path / "client.key").chmod(0o644)
        assert "0644" in await refused(service, session, clock, **pair)
