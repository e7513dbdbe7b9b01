"""Google Cloud KMS: tokens from a key file or the metadata server, checksums both ways, errors with a remedy."""

from __future__ import annotations

import json
import traceback

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.support.key_services import (
    ADDRESS,
    KEY_VERSION,
    OTHER_ADDRESS,
    OTHER_SECRET,
    GcpKmsService,
    gcp_error,
    served,
)

from seamark.core.errors import SettingsError, TemporaryError
from seamark.evm.crypto import keccak256, recover_address
from seamark.evm.settings import SignerSettings
from seamark.evm.signers import open_backend
from seamark.evm.signers.gcp_tokens import GcpIdentity

RSA = rsa.generate_private_key(65537, 2048)
PEM = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def key_file(folder, service, **changes):
    content = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "the-key-id",
        "private_key": PEM,
        "client_email": service.email,
        "token_uri": service.url + "/token",
    }
    path = folder / "account.json"
    path.write_text(json.dumps(content | changes))
    path.chmod(0o600)
    return str(path)


@pytest.fixture
async def service(clock):
    async with served(GcpKmsService(account_key=RSA.public_key(), now=clock.now())) as one:
        yield one


async def opened(service, session, clock, folder, **settings):
    wanted = {"key_version": KEY_VERSION, "endpoint": service.url, "credentials_file": key_file(folder, service)}
    return await open_backend(SignerSettings(gcp_kms=wanted | settings), "oracle.signer", session=session, clock=clock)


async def refused(service, session, clock, folder, **settings) -> str:
    with pytest.raises(SettingsError) as caught:
        await opened(service, session, clock, folder, **settings)
    told = "".join(traceback.format_exception(caught.value))
    assert service.token not in told
    assert PEM[60:120] not in told
    assert str(caught.value).startswith("oracle.signer.gcp_kms")
    assert caught.value.remedy
    return str(caught.value)


async def test_it_signs(service, session, clock, tmp_path):
    signer = await opened(service, session, clock, tmp_path, address=ADDRESS)
    for number in range(12):
        preimage = bytes([number]) * 128
        parity, r, s = await signer.sign(preimage)
        assert recover_address(keccak256(preimage), parity, r, s) == ADDRESS
    assert service.grants == 1
    assert service.requests[-1].path == f"/v1/{KEY_VERSION}:asymmetricSign"


async def test_a_token_is_renewed_before_it_ends(service, session, clock, tmp_path):
    signer = await opened(service, session, clock, tmp_path)
    await clock.sleep(3599 - 241)
    await signer.sign(b"\x01")
    assert service.grants == 1
    await clock.sleep(2)
    service.now, service.token = clock.now(), "ya29.second"
    await signer.sign(b"\x01")
    assert service.grants == 2


async def test_a_token_that_ends_early_is_fetched_again(service, session, clock, tmp_path):
    signer = await opened(service, session, clock, tmp_path)
    service.token = "ya29.second"
    await signer.sign(b"\x01")
    assert service.grants == 2


async def test_the_metadata_server(service, session, clock):
    who = GcpIdentity(None, session=session, clock=clock, metadata_host=service.url)
    assert await who.get() == service.token
    service.answers = [web.Response(status=404)]
    who.forget()
    with pytest.raises(TemporaryError, match="credentials_file"):
        await who.get()
    service.answers = [web.json_response({"error": "x"})]
    with pytest.raises(TemporaryError, match="has none"):
        await who.get()


async def test_another_key_than_configured(service, session, clock, tmp_path):
    told = await refused(service, session, clock, tmp_path, address=OTHER_ADDRESS)
    assert told.startswith("oracle.signer.gcp_kms.address: ")


async def test_a_key_for_something_else(service, session, clock, tmp_path):
    service.algorithm = "EC_SIGN_P256_SHA256"
    assert "EC_SIGN_SECP256K1_SHA256" in await refused(service, session, clock, tmp_path)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("pem", "damaged"),
        ("signature", "damaged"),
        ("digest", "did not get our digest whole"),
        ("name", "another key version"),
    ],
)
async def test_damage_on_the_way_is_noticed(service, session, clock, tmp_path, *, damage, problem):
    service.damage = damage
    assert problem in await refused(service, session, clock, tmp_path)


async def test_a_signature_by_another_key_never_leaves(service, session, clock, tmp_path):
    signer = await opened(service, session, clock, tmp_path)
    service.secret = OTHER_SECRET
    with pytest.raises(TemporaryError, match=r"oracle.signer.gcp_kms .*is not"):
        await signer.sign(b"\x01")


@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        ((403, "PERMISSION_DENIED", "Permission denied"), "signerVerifier"),
        ((400, "FAILED_PRECONDITION", "is not enabled"), "enable the key version"),
        ((418, "TEAPOT", "short and stout"), "reference"),
    ],
)
async def test_refusals_name_a_remedy(service, session, clock, tmp_path, *, answer, remedy):
    service.answers = [None, None, gcp_error(*answer)]
    assert remedy in await refused(service, session, clock, tmp_path)
    assert clock.slept == []


async def test_what_may_pass_is_tried_again(service, session, clock, tmp_path):
    signer = await opened(service, session, clock, tmp_path)
    service.answers = [gcp_error(503, "UNAVAILABLE"), gcp_error(429, "RESOURCE_EXHAUSTED")]
    await signer.sign(b"\x01")
    assert clock.slept == [0.1, 0.2]
    service.answers = [gcp_error(503, "UNAVAILABLE", "try later") for _ in range(3)]
    with pytest.raises(TemporaryError, match="try later"):
        await signer.sign(b"\x01")


@pytest.mark.parametrize("body", [b"", b"{}", b'{"signature": "@"}', b"<html>"])
async def test_an_answer_that_is_no_signature(service, session, clock, tmp_path, body):
    signer = await opened(service, session, clock, tmp_path)
    service.answers = [web.Response(body=body)]
    with pytest.raises(TemporaryError, match=r"oracle\.signer\.gcp_kms"):
        await signer.sign(b"\x01")


@pytest.mark.parametrize("changes", [{"type": "authorized_user"}, {"private_key": "x"}, {"client_email": 5}])
async def test_a_file_that_is_no_key_file(service, session, clock, tmp_path, changes):
    path = key_file(tmp_path, service, **changes)
    wanted = {"key_version": KEY_VERSION, "endpoint": service.url, "credentials_file": path}
    with pytest.raises(SettingsError, match=r"credentials_file: .*no service account's key file"):
        await open_backend(SignerSettings(gcp_kms=wanted), "oracle.signer", session=session, clock=clock)


async def test_a_key_file_that_others_can_read(service, session, clock, tmp_path):
    path = key_file(tmp_path, service)
    (tmp_path / "account.json").chmod(0o640)
    wanted = {"key_version": KEY_VERSION, "endpoint": service.url, "credentials_file": path}
    with pytest.raises(SettingsError, match="0640"):
        await open_backend(SignerSettings(gcp_kms=wanted), "oracle.signer", session=session, clock=clock)


async def test_a_wrong_clock_is_a_refused_token(service, session, clock, tmp_path):
    service.now = clock.now() - 600
    told = await refused(service, session, clock, tmp_path)
    assert "token endpoint answers with status 400" in told
    assert "clock" in told
