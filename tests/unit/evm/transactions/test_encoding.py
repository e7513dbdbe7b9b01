"""RLP's published examples (ethereum.org, "Recursive-length prefix") and EIP-155's own transaction."""

from __future__ import annotations

import pytest

from seamark.core.ids import Address, ChainId
from seamark.evm.signers import RawKeySigner
from seamark.evm.transactions.encoding import Unsigned, intrinsic_gas, rlp_encode, transaction_hash
from seamark.evm.transactions.model import Fees

LOREM = b"Lorem ipsum dolor sit amet, consectetur adipisicing elit"


@pytest.mark.parametrize(
    ("item", "encoded"),
    [
        (b"dog", b"\x83dog"),
        ([b"cat", b"dog"], b"\xc8\x83cat\x83dog"),
        (b"", b"\x80"),
        ([], b"\xc0"),
        (0, b"\x80"),
        (15, b"\x0f"),
        (1024, b"\x82\x04\x00"),
        (b"\x00", b"\x00"),
        (b"\x7f", b"\x7f"),
        (b"\x80", b"\x81\x80"),
        ([[], [[]], [[], [[]]]], b"\xc7\xc0\xc1\xc0\xc3\xc0\xc1\xc0"),
        (LOREM, b"\xb8\x38" + LOREM),
        (b"a" * 55, b"\xb7" + b"a" * 55),
        ([b"a" * 55], b"\xf8\x38\xb7" + b"a" * 55),
    ],
)
def test_rlp(item, encoded):
    assert rlp_encode(item) == encoded


async def test_the_example_of_eip_155():
    unsigned = Unsigned(
        ChainId(1), 9, Address("0x" + "35" * 20), b"", 10**18, 21_000, Fees(20 * 10**9, 20 * 10**9, legacy=True)
    )
    assert unsigned.digest().hex() == "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"
    raw = unsigned.signed(*await RawKeySigner.from_hex("46" * 32).sign(unsigned.preimage()))
    assert raw.hex() == (
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc"
        "2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb196"
        "6a3b6d83"
    )
    assert transaction_hash(raw) == "0x33469b22e9f636356c4160a87eb19df52b7412e8eac32a4a55ffe88ea8350788"


def test_what_the_bytes_alone_cost():
    somebody = Address("0x" + "22" * 20)
    assert intrinsic_gas(somebody, b"") == 21_000
    assert intrinsic_gas(somebody, b"\x00\x01\x00\x02") == 21_000 + 2 * 4 + 2 * 16
    assert intrinsic_gas(None, b"\x01" * 33) == 21_000 + 33 * 16 + 32_000 + 2 * 2
