"""What Circle attests: found in a receipt, asked for by its hash, encoded as the pool takes it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from eth_abi.abi import encode

from seamark.core.errors import RejectedError
from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.crypto import keccak256, keccak256_hex
from seamark.evm.merkle import prove
from seamark.evm.types import Log, Receipt
from seamark.messages.protocols.ccip.cctp import Circle, burn_messages, pool_data
from seamark.messages.protocols.ccip.recoverers import ccip_recovery
from seamark.messages.protocols.ccip.recovery import RampMessage, Report
from seamark.messages.protocols.ccip.v1_6.recovery import RAMPS
from seamark.messages.recovery import Gas
from tests.unit.messages.recovery.cases import case, message_id

TRANSMITTER = Address("0x" + "7a" * 20)
BURN = b"a message of CCTP" * 10
SIGNED = b"\x6e" * 65
TOPIC = Hash32("0x" + keccak256(b"MessageSent(bytes)").hex())


def log(payload: bytes, *topics: Hash32) -> Log:
    return Log(
        address=TRANSMITTER,
        topics=topics,
        data="0x" + payload.hex(),
        block_number=1,
        block_hash=Hash32("0x" + "01" * 32),
        transaction_hash=Hash32("0x" + "02" * 32),
        log_index=0,
    )


def receipt(*logs: Log) -> Receipt:
    return Receipt(
        transaction_hash=Hash32("0x" + "02" * 32),
        block_number=1,
        block_hash=Hash32("0x" + "01" * 32),
        succeeded=True,
        gas_used=1,
        effective_gas_price=0,
        logs=logs,
    )


def burn(message: bytes = BURN) -> Log:
    return log(encode(["bytes"], [message]), TOPIC)


class StandIn:
    """Circle's API."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def get(self, url: str) -> bytes | None:
        self.asked.append(url)
        return None if self.answer is None else json.dumps(self.answer).encode()


def test_the_burn_is_told_from_other_logs() -> None:
    strange = log(b"\x01", TOPIC)  # the same name, another shape
    other = log(b"", Hash32("0x" + "09" * 32))
    assert burn_messages(receipt(other, strange, burn())) == [BURN]


def test_the_pool_gets_message_and_attestation() -> None:
    assert pool_data(BURN, SIGNED) == encode(["(bytes,bytes)"], [(BURN, SIGNED)])


async def test_it_is_asked_for_by_the_hash_of_the_message() -> None:
    circle = StandIn({"status": "complete", "attestation": "0x" + SIGNED.hex()})
    found = await Circle("https://circle.test/", circle.get).find(receipt(burn()))
    assert found.data == pool_data(BURN, SIGNED)
    assert circle.asked == [f"https://circle.test/v1/attestations/{keccak256_hex(BURN)}"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "has not seen"),
        ({"status": "pending_confirmations", "attestation": None}, "pending_confirmations"),
        ({"status": "pending_confirmations", "attestation": "PENDING"}, "not attested"),
        ({"status": "complete", "attestation": "PENDING"}, "no answer of Circle's kind"),
        (["?"], "no answer of Circle's kind"),
    ],
)
async def test_why_there_is_none_is_told(answer: object, words: str) -> None:
    found = await Circle("https://circle.test", StandIn(answer).get).find(receipt(burn()))
    assert found.data is None
    assert words in found.text


async def test_what_brings_no_usdc_or_several_is_not_asked_for() -> None:
    circle = StandIn(None)
    assert (await Circle("https://circle.test", circle.get).find(receipt())).text == ""
    assert "several" in (await Circle("https://circle.test", circle.get).find(receipt(burn(), burn(b"2")))).text
    assert circle.asked == []


def message(*token_data: bytes) -> RampMessage:
    pool = encode(["address"], [TRANSMITTER])
    struct = (
        (bytes.fromhex(message_id(1)[2:]), 1, 2, 1, 0), b"", b"", TRANSMITTER, 9,
        ((pool, TRANSMITTER, 5, b"", 7),),
    )  # fmt: skip
    return RampMessage(message_id(1), 1, TRANSMITTER, b"", 9, (5,), struct, b"", token_data)


def test_it_goes_into_the_trial_and_into_the_call() -> None:
    given = message(b"attested")
    for data in (RAMPS.trial_call(given, Gas()), RAMPS.manual_call([report(given)], Gas())):
        assert b"attested".hex() in data.hex()
    assert b"attested".hex() not in RAMPS.trial_call(message(), Gas()).hex()


def report(item: RampMessage) -> Report:
    return Report(1, (item,), prove([b"\x01" * 32], [0]), "0x" + "01" * 32)


def test_2_0_has_them_among_its_verifier_results() -> None:
    wanted = case(1, version="2.0.0")
    destination: Any = object()
    with pytest.raises(RejectedError, match="verifiers say"):
        ccip_recovery((), {wanted.id: (b"x",)}).recoverer(wanted, {ChainId(2): destination})
