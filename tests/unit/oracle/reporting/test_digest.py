"""Hashes and signatures against what the published contract computed and accepted."""

import hashlib
from dataclasses import replace

import pytest

from seamark.core.errors import RejectedError
from seamark.core.ids import ChainId
from seamark.evm.crypto import keccak256
from seamark.evm.signers import RawKeySigner
from seamark.oracle.reporting.digest import (
    config_digest,
    extra_hash,
    observation_payload,
    report_digest,
    report_preimage,
)
from seamark.oracle.reporting.signatures import (
    AttestedReport,
    ReportSignature,
    check_attested,
    is_signed_by,
    transmission,
)

from .vectors import VECTORS, config_of, context_of, place_of, raw, report_of

CASES = pytest.mark.parametrize("case", VECTORS, ids=lambda case: f"config {case['configCount']}")


def signatures_of(case):
    values = zip(raw(case["rawVs"]), case["rs"], case["ss"], strict=False)
    return [ReportSignature(v, int(r, 16), int(s, 16)) for v, r, s in values]


def verifier(case, context=None, report=None):
    digest = report_digest(context or context_of(case), report or raw(case["report"]))
    return lambda signer, signature: is_signed_by(config_of(case).signers[signer], digest, signature)


def attested_of(case):
    return AttestedReport(raw(case["report"]), tuple(zip(case["sigIds"], signatures_of(case), strict=True)))


@CASES
def test_the_digest_names_the_configuration(case):
    chain, contract = place_of(case)
    assert config_digest(chain, contract, config_of(case)) == raw(case["configDigest"])


@CASES
def test_the_digest_changes_with_every_part(case):
    chain, contract = place_of(case)
    config = config_of(case)
    others = [
        config_digest(ChainId(chain + 1), contract, config),
        config_digest(chain, config.signers[0], config),
        config_digest(chain, contract, replace(config, count=9)),
        config_digest(chain, contract, replace(config, f=0)),
        config_digest(chain, contract, replace(config, signers=config.signers[::-1])),
        config_digest(chain, contract, replace(config, offchain=b"")),
    ]
    assert len({raw(case["configDigest"]), *others}) == 1 + len(others)
    assert all(one[:2] == b"\0\1" for one in others)


@CASES
def test_what_is_signed(case):
    report, context = report_of(case).encode(), context_of(case)
    assert keccak256(report) == raw(case["reportHash"])
    assert report_digest(context, report) == raw(case["sigHash"])
    assert len(report_preimage(context, report)) == 128
    assert keccak256(report_preimage(context, report)) == raw(case["sigHash"])


@CASES
async def test_signatures_are_those_that_the_contract_accepted(case):
    """RFC 6979: the same key and hash give the same signature."""
    for signer, expected in zip(case["sigIds"], signatures_of(case), strict=True):
        key = RawKeySigner((signer + 1).to_bytes(32, "big"))
        assert key.address == config_of(case).signers[signer]
        assert is_signed_by(key.address, raw(case["sigHash"]), expected)
        assert not is_signed_by(config_of(case).signers[1], raw(case["sigHash"]), expected)


@CASES
def test_a_transmission_is_built_as_it_was_accepted(case):
    call = transmission(context_of(case), report_of(case).encode(), signatures_of(case))
    assert call.encode() == raw(case["calldata"])


@CASES
def test_f_plus_one_signatures_of_distinct_nodes_in_any_order(case):
    attested = attested_of(case)
    verify = verifier(case)
    assert check_attested(attested, n=4, f=1, verify=verify) is None
    backwards = replace(attested, signatures=attested.signatures[::-1])
    assert check_attested(backwards, n=4, f=1, verify=verify) is None


@CASES
def test_wrong_signatures_are_refused(case):
    attested = attested_of(case)
    (first, signature), (second, other) = attested.signatures

    def fault(*signatures, verify=None):
        verify = verify or verifier(case)
        return check_attested(replace(attested, signatures=signatures), n=4, f=1, verify=verify)

    assert "1 signatures" in fault((first, signature))
    assert "3 signatures" in fault((first, signature), (second, other), (1, other))
    assert "two signatures" in fault((first, signature), (first, signature))
    assert "unknown node" in fault((first, signature), (4, other))
    assert "unknown node" in fault((first, signature), (-1, other))
    assert "no signature of node 3" in fault((first, signature), (second, signature))
    assert "no signature" in fault(*attested.signatures, verify=verifier(case, report=raw(case["report"])[:-1] + b"x"))
    later = replace(context_of(case), round=2)
    assert "no signature" in fault(*attested.signatures, verify=verifier(case, context=later))


def test_a_signature_has_65_bytes():
    signature = ReportSignature(1, 5, 6)
    assert ReportSignature.decode(signature.encode()) == signature
    for bad in (signature.encode()[:-1], signature.encode() + b"\0", signature.encode()[:-1] + b"\x1b", b""):
        with pytest.raises(RejectedError):
            ReportSignature.decode(bad)
    assert not is_signed_by(config_of(VECTORS[0]).signers[0], bytes(32), ReportSignature(0, 0, 0))
    assert not is_signed_by(config_of(VECTORS[0]).signers[0], bytes(32), ReportSignature(0, 2**256 - 1, 1))


def test_the_payload_of_an_observation_is_spelled_out():
    digest = b"\7" * 32
    written = (
        digest + bytes.fromhex("00000102" + "03") + (2).to_bytes(8, "big") + b"qq" + (3).to_bytes(8, "big") + b"obs"
    )
    assert observation_payload(digest, 0x102, 3, b"qq", b"obs") == hashlib.sha256(written).digest()


def test_the_extra_hash_is_spelled_out():
    written = (1).to_bytes(8, "big") + b"q" + (2).to_bytes(8, "big")
    written += (2).to_bytes(8, "big") + b"ab" + b"\x05" + (0).to_bytes(8, "big") + b"\x01"
    assert extra_hash(b"q", [(5, b"ab"), (1, b"")]) == hashlib.sha256(written).digest()
    assert extra_hash(b"q", [(1, b""), (5, b"ab")]) != extra_hash(b"q", [(5, b"ab"), (1, b"")])
