"""What refusals mean, from the words of the clients to what the sender does."""

from __future__ import annotations

import pytest
from tests.support.mempool import refusal

from seamark.core.errors import TemporaryError
from seamark.evm.rpc.errors import NoEndpoint, RpcTimeout
from seamark.evm.transactions.errors import Refusal, refusal_of


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("already known", Refusal.ALREADY_KNOWN),
        ("transaction already imported", Refusal.ALREADY_KNOWN),
        ("Known transaction", Refusal.ALREADY_KNOWN),
        ("AlreadyKnown", Refusal.ALREADY_KNOWN),
        ("nonce too low: next nonce 7, tx nonce 5", Refusal.NONCE_TOO_LOW),
        ("Nonce too low", Refusal.NONCE_TOO_LOW),
        ("OldNonce, Current nonce: 22, nonce of rejected tx: 17", Refusal.NONCE_TOO_LOW),
        ("NonceGap, Future nonce. Expected nonce: 10", Refusal.NONCE_TOO_HIGH),
        ("nonce too high", Refusal.NONCE_TOO_HIGH),
        ("replacement transaction underpriced", Refusal.REPLACEMENT_UNDERPRICED),
        ("transaction underpriced", Refusal.UNDERPRICED),
        ("Gas price below configured minimum gas price", Refusal.UNDERPRICED),
        ("max fee per gas less than block base fee", Refusal.UNDERPRICED),
        ("FeeTooLow, EffectivePriorityFeePerGas too low 10 < 20, BaseFee: 30", Refusal.UNDERPRICED),
        ("insufficient funds for gas * price + value", Refusal.NO_FUNDS),
        ("Upfront cost exceeds account balance", Refusal.NO_FUNDS),
        ("tx fee (1.10 ether) exceeds the configured cap (1.00 ether)", Refusal.FEE_CAP),
        ("intrinsic gas too low", Refusal.NEVER),
        ("exceeds block gas limit", Refusal.NEVER),
        ("oversized data: transaction size 200000, limit 131072", Refusal.NEVER),
        ("txpool is full", Refusal.UNAVAILABLE),
        ("internal error", Refusal.UNAVAILABLE),
    ],
)
def test_the_words_of_clients(words, meaning):
    assert refusal_of(refusal(words)) is meaning


@pytest.mark.parametrize("error", [RpcTimeout("late"), NoEndpoint("none", causes=()), TemporaryError("?")])
def test_trouble_is_no_refusal(error):
    assert refusal_of(error) is Refusal.UNAVAILABLE
