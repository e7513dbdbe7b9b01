from __future__ import annotations

import pytest

from seamark.evm.address import AddressError, address_from_bytes, address_from_word, parse_address, to_checksum

# EIP-55's own examples.
CHECKSUMMED = [
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0xde709f2102306220921060314715629080e2fb77",
]


@pytest.mark.parametrize("text", CHECKSUMMED)
def test_checksums(text: str) -> None:
    assert to_checksum(text.lower()) == text
    assert parse_address(text) == text.lower()
    assert parse_address(f"  {text.lower()}\n") == text.lower()
    assert parse_address("0x" + text[2:].upper()) == text.lower()


def test_a_wrong_checksum_shows_the_right_one() -> None:
    with pytest.raises(AddressError, match=r"wrong checksum.*0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"):
        parse_address("0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")


@pytest.mark.parametrize(
    "text", ["", "0x", "0x" + "0" * 39, "0x" + "0" * 41, "0" * 40, "0x" + "g" * 40, "0x" + "٣" * 40, "vitalik.eth"]
)
def test_not_an_address(text: str) -> None:
    with pytest.raises(AddressError, match="not an address"):
        parse_address(text)


def test_from_bytes_and_words() -> None:
    assert address_from_bytes(b"\xab" * 20) == "0x" + "ab" * 20
    assert address_from_word(bytes(12) + b"\xab" * 20) == "0x" + "ab" * 20
    assert address_from_word("0x" + "00" * 12 + "ab" * 20) == "0x" + "ab" * 20


@pytest.mark.parametrize("word", [b"", bytes(31), b"\1" + bytes(31), "0xzz", "0x" + "11" * 32])
def test_words_without_an_address(word) -> None:
    with pytest.raises(AddressError):
        address_from_word(word)


def test_wrong_number_of_bytes() -> None:
    with pytest.raises(AddressError, match="20 bytes, not 19"):
        address_from_bytes(bytes(19))
