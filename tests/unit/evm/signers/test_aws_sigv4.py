"""Signature Version 4: vectors of AWS's own test suite, and the documentation's example."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.evm.signers.aws_sigv4 import Credentials, signed_headers

KEY = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwth"
    "Ax7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAk"
    "iY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
SUITE_TIME = 1_440_938_160.0  # 2015-08-30T12:36:00Z
DOCS_TIME = 1_315_611_360.0  # 2011-09-09T23:36:00Z


def authorization(credentials, **changes):
    request: dict[str, Any] = {
        "method": "POST",
        "host": "example.amazonaws.com",
        "headers": {},
        "body": b"",
        "region": "us-east-1",
        "service": "service",
        "now": SUITE_TIME,
    }
    return signed_headers(credentials, **(request | changes))["Authorization"]


@pytest.mark.parametrize(
    ("changes", "names", "signature"),
    [
        (
            {"method": "GET"},
            "host;x-amz-date",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),  # get-vanilla
        ({}, "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),  # post-vanilla
        (
            {"headers": {"My-Header1": "VALUE1"}},
            "host;my-header1;x-amz-date",
            "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
        ),  # post-header-value-case
        (
            {"headers": {"Content-Type": "application/x-www-form-urlencoded"}, "body": b"Param1=value1"},
            "content-type;host;x-amz-date",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),  # post-x-www-form-urlencoded
    ],
)
def test_vectors_of_the_suite(changes, names, signature):
    scope = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
    expected = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"
    assert authorization(KEY, **changes) == expected


def test_a_session_token_is_sent_and_signed():  # post-sts-header-before
    temporary = Credentials(KEY.access_key, KEY.secret_key, TOKEN)
    assert authorization(temporary).endswith(
        "SignedHeaders=host;x-amz-date;x-amz-security-token,"
        " Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"
    )
    assert (
        signed_headers(
            temporary, method="GET", host="h", headers={}, body=b"", region="r", service="s", now=SUITE_TIME
        )["X-Amz-Security-Token"]
        == TOKEN
    )


def test_the_example_of_the_documentation():
    told = authorization(
        KEY,
        host="iam.amazonaws.com",
        headers={"Content-type": "application/x-www-form-urlencoded; charset=utf-8"},
        body=b"Action=ListUsers&Version=2010-05-08",
        service="iam",
        now=DOCS_TIME,
    )
    assert told.endswith(
        "SignedHeaders=content-type;host;x-amz-date,"
        " Signature=ced6826de92d2bdeed8f846f0bf508e8559e98e4b0199114b84c54174deb456c"
    )


def test_a_byte_more_is_another_signature():
    assert authorization(KEY, body=b"a") != authorization(KEY, body=b"b")


def test_credentials_are_not_shown():
    shown = repr(Credentials("AKID", "the-secret", "the-token", 5.0))
    assert "the-secret" not in shown
    assert "the-token" not in shown
    assert "AKID" not in shown
