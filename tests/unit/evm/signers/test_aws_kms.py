"""AWS KMS: requests that its signature check takes, answers that become Ethereum's, and errors with a remedy."""

from __future__ import annotations

import base64
import json
import traceback

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.support.key_services import (
    ACCESS_KEY,
    ADDRESS,
    OTHER_ADDRESS,
    OTHER_SECRET,
    SECRET_KEY,
    SESSION_TOKEN,
    AwsKmsService,
    Service,
    aws_error,
    served,
)

from seamark.core.errors import SettingsError, TemporaryError
from seamark.evm.crypto import keccak256, recover_address
from seamark.evm.settings import SignerSettings
from seamark.evm.signers import open_backend
from seamark.evm.signers.aws_credentials import AwsIdentity

KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}


async def opened(service, session, clock, environment=KEYS, **settings):
    wanted = {"key_id": "alias/seamark", "region": "eu-central-1", "endpoint": service.url} | settings
    return await open_backend(
        SignerSettings(aws_kms=wanted), "oracle.signer", session=session, clock=clock, environment=environment
    )


async def refused(service, session, clock, environment=KEYS, **settings) -> str:
    with pytest.raises(SettingsError) as caught:
        await opened(service, session, clock, environment, **settings)
    told = "".join(traceback.format_exception(caught.value))
    for secret in (SECRET_KEY, SESSION_TOKEN):
        assert secret not in told
    assert str(caught.value).startswith("oracle.signer.aws_kms")
    assert caught.value.remedy
    return str(caught.value)


async def test_it_signs(session, clock):
    async with served(AwsKmsService()) as service:
        signer = await opened(service, session, clock, address=ADDRESS)
        assert signer.address == ADDRESS
        for number in range(12):
            preimage = bytes([number]) * 128
            parity, r, s = await signer.sign(preimage)
            assert recover_address(keccak256(preimage), parity, r, s) == ADDRESS
        sent = json.loads(service.requests[-1].body)
        assert sent == {
            "KeyId": "alias/seamark",
            "Message": base64.b64encode(keccak256(preimage)).decode(),
            "MessageType": "DIGEST",
            "SigningAlgorithm": "ECDSA_SHA_256",
        }


async def test_the_address_may_be_left_to_the_key(session, clock):
    async with served(AwsKmsService()) as service:
        assert (await opened(service, session, clock)).address == ADDRESS


async def test_temporary_credentials_carry_their_token(session, clock):
    async with served(AwsKmsService(token=SESSION_TOKEN)) as service:
        signer = await opened(service, session, clock, KEYS | {"AWS_SESSION_TOKEN": SESSION_TOKEN})
        assert signer.address == ADDRESS
        assert "security token" in await refused(service, session, clock)


async def test_another_key_than_configured(session, clock):
    async with served(AwsKmsService()) as service:
        told = await refused(service, session, clock, address=OTHER_ADDRESS)
        assert told.startswith("oracle.signer.aws_kms.address: ")
        assert ADDRESS in told.lower()
        assert OTHER_ADDRESS in told.lower()


async def test_a_key_of_another_kind(session, clock):
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    encoded = other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    async with served(AwsKmsService(public_key=encoded)) as service:
        assert "ECC_SECG_P256K1" in await refused(service, session, clock)
    async with served(AwsKmsService(usage="KEY_AGREEMENT")) as service:
        assert "SIGN_VERIFY" in await refused(service, session, clock)


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("AccessDeniedException", "kms:Sign"),
        ("DisabledException", "enable the key"),
        ("com.amazonaws.kms#KMSInvalidStateException", "enable the key"),
        ("SomethingNew", "reference"),
    ],
)
async def test_refusals_name_a_remedy(session, clock, kind, remedy):
    async with served(AwsKmsService()) as service:
        service.answers = [None, aws_error(kind, "User is\nnot allowed")]
        told = await refused(service, session, clock)
        assert kind.rpartition("#")[2] in told
        assert remedy in told
        assert clock.slept == []


async def test_a_wrong_secret_key_or_region(session, clock):
    async with served(AwsKmsService()) as service:
        told = await refused(service, session, clock, KEYS | {"AWS_SECRET_ACCESS_KEY": "wrong"})
        assert "InvalidSignatureException" in told
        assert "clock" in told
        assert "InvalidSignatureException" in await refused(service, session, clock, region="us-east-1")
        assert "check key_id" in await refused(service, session, clock, key_id="alias/other")


async def test_throttling_is_waited_out(session, clock):
    async with served(AwsKmsService()) as service:
        signer = await opened(service, session, clock)
        service.answers = [
            aws_error("ThrottlingException", "Rate exceeded"),
            aws_error("KMSInternalException", "", 500),
        ]
        await signer.sign(b"\x01")
        assert clock.slept == [0.1, 0.2]
        dates = [seen.headers["X-Amz-Date"] for seen in service.requests[-3:]]
        assert dates == sorted(dates)
        service.answers = [aws_error("ThrottlingException", "Rate exceeded") for _ in range(3)]
        with pytest.raises(TemporaryError, match="Rate exceeded"):
            await signer.sign(b"\x01")


async def test_a_signature_by_another_key_never_leaves(session, clock):
    async with served(AwsKmsService()) as service:
        signer = await opened(service, session, clock)
        service.secret = OTHER_SECRET
        with pytest.raises(TemporaryError, match=r"oracle.signer.aws_kms .*is not"):
            await signer.sign(b"\x01")


@pytest.mark.parametrize("body", [b"", b"{}", b'{"Signature": "@"}', b'{"Signature": "AAAA"}', b"<html>"])
async def test_an_answer_that_is_no_signature(session, clock, body):
    async with served(AwsKmsService()) as service:
        signer = await opened(service, session, clock)
        service.answers = [web.Response(body=body)]
        with pytest.raises(TemporaryError, match="no signature"):
            await signer.sign(b"\x01")


async def test_something_that_is_no_kms(session, clock):
    async with served(AwsKmsService()) as service:
        service.answers = [web.Response(text="hello")]
        assert "no public key" in await refused(service, session, clock)


# ---- credentials -----------------------------------------------------------------------------------------------------


class Platform(Service):
    """STS, a container's endpoint and EC2's metadata service."""

    ends = "2023-11-14T23:13:20Z"  # an hour after the fake clock's start
    given = 0

    def answer(self, seen):
        self.given += 1
        body = {"AccessKeyId": f"AK{self.given}", "SecretAccessKey": "geheim", "Token": "tok", "Expiration": self.ends}
        if seen.path == "/latest/api/token":
            assert seen.method == "PUT"
            assert seen.headers["X-aws-ec2-metadata-token-ttl-seconds"] == "21600"
            return web.Response(text="metadata-token")
        if seen.path.startswith("/latest/meta-data/iam/security-credentials/"):
            assert seen.headers["X-aws-ec2-metadata-token"] == "metadata-token"
            return web.json_response(body) if seen.path.endswith("/publisher") else web.Response(text="publisher\n")
        if seen.path == "/pod":
            assert seen.headers["Authorization"] == "pod-token"
            return web.json_response(body)
        assert b"WebIdentityToken=web-token" in seen.body
        assert b"RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr" in seen.body
        assert seen.headers["Accept"] == "application/json"
        credentials = {
            "AccessKeyId": "AKSTS",
            "SecretAccessKey": "geheim",
            "SessionToken": "tok",
            "Expiration": 1.7e9 + 3600,
        }
        return web.json_response(
            {"AssumeRoleWithWebIdentityResponse": {"AssumeRoleWithWebIdentityResult": {"Credentials": credentials}}}
        )


def identity(environment, platform, session, clock):
    return AwsIdentity(
        environment, "eu-central-1", session=session, clock=clock, ec2_host=platform.url, sts_url=platform.url
    )


async def test_a_machines_role_is_renewed_before_it_ends(session, clock):
    async with served(Platform()) as platform:
        who = identity({}, platform, session, clock)
        first = await who.get()
        assert (first.secret_key, first.token) == ("geheim", "tok")
        assert await who.get() is first
        await clock.sleep(3600 - 301)
        assert await who.get() is first
        await clock.sleep(2)
        assert (await who.get()).access_key != first.access_key


async def test_the_old_ones_serve_while_new_ones_cannot_be_had(session, clock):
    async with served(Platform()) as platform:
        who = identity({}, platform, session, clock)
        first = await who.get()
        await clock.sleep(3600 - 100)
        platform.answers = [web.Response(status=500)]
        assert await who.get() is first
        await clock.sleep(200)
        platform.answers = [web.Response(status=500)]
        with pytest.raises(TemporaryError, match="status 500"):
            await who.get()


async def test_a_pods_identity(session, clock, tmp_path):
    (tmp_path / "token").write_text("pod-token\n")
    async with served(Platform()) as platform:
        environment = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": platform.url + "/pod",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
        }
        assert (await identity(environment, platform, session, clock).get()).access_key == "AK1"
        missing = environment | {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "none")}
        with pytest.raises(TemporaryError, match="cannot read the token file"):
            await identity(missing, platform, session, clock).get()


@pytest.mark.parametrize("url", ["http://example.com/x", "http://10.0.0.1/x", "ftp://127.0.0.1/x", "x"])
async def test_credentials_do_not_travel_an_open_network(session, clock, url):
    who = AwsIdentity({"AWS_CONTAINER_CREDENTIALS_FULL_URI": url}, "eu-central-1", session=session, clock=clock)
    with pytest.raises(TemporaryError, match="open network"):
        await who.get()


async def test_a_web_identity(session, clock, tmp_path):
    (tmp_path / "token").write_text("web-token")
    environment = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_ROLE_ARN": "arn:aws:iam::1:role/r"}
    async with served(Platform()) as platform:
        found = await identity(environment, platform, session, clock).get()
        assert (found.access_key, found.token) == ("AKSTS", "tok")
        assert found.expires_at == 1.7e9 + 3600


async def test_no_credentials_anywhere(session, clock):
    async with served(AwsKmsService()) as service:
        told = await refused(service, session, clock, {"AWS_EC2_METADATA_DISABLED": "true"})
        assert "AWS_ACCESS_KEY_ID" in told


async def test_credentials_that_end_early_are_fetched_again(session, clock):
    async with (
        served(AwsKmsService(access_key="AK1", secret_key="geheim", token="tok")) as service,
        served(Platform()) as platform,
    ):
        environment = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": platform.url + "/pod",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "pod-token",
        }
        signer = await opened(service, session, clock, environment)
        service.access_key = "AK2"
        await signer.sign(b"\x01")
        assert platform.given == 2
