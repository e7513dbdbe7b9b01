"""What refusals mean, from the words of the clients to what the sender does."""

from __future__ import annotations

import pytest
from tests.support.mempool import refusal
from tests.support.pools import FAMILIES

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
        ("txpool is full", Refusal.UNDERPRICED),
        ("internal error", Refusal.UNAVAILABLE),
    ],
)
def test_the_words_of_clients(words, meaning):
    assert refusal_of(refusal(words)) is meaning


OF_KIND = {
    "known": Refusal.ALREADY_KNOWN,
    "nonce_low": Refusal.NONCE_TOO_LOW,
    "gap": Refusal.NONCE_TOO_HIGH,
    "replacement": Refusal.REPLACEMENT_UNDERPRICED,
    "least": Refusal.UNDERPRICED,
    "base": Refusal.UNDERPRICED,
    "funds": Refusal.NO_FUNDS,
    "gas": Refusal.NEVER,
    "chain": Refusal.NEVER,
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", OF_KIND)
def test_every_family_is_understood(family, kind):
    code, words = FAMILIES[family].words[kind]
    assert refusal_of(refusal(words, code=code)) is OF_KIND[kind]


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if "full" in family.words])
def test_a_full_pool_wants_more(family):
    code, words = FAMILIES[family].words["full"]
    assert refusal_of(refusal(words, code=code)) is Refusal.UNDERPRICED


@pytest.mark.parametrize(
    ("code", "words", "meaning"),
    [
        (-32000, "tx already exists in cache", Refusal.ALREADY_KNOWN),
        (-32602, "Invalid transaction type", Refusal.NEVER),
        (-32000, "transaction type not supported", Refusal.NEVER),
        (-32000, "fork supporting this transaction type is not activated yet", Refusal.NEVER),
        (-32000, "pending transaction type conflict", Refusal.UNAVAILABLE),
        (-32000, "Max priority fee per gas exceeds max fee per gas", Refusal.NEVER),
        (-32000, "max priority fee per gas higher than max fee per gas", Refusal.NEVER),
        (-32000, "ChainId is required", Refusal.NEVER),
        (-32000, "gas limit is too high", Refusal.NEVER),
        (-32000, "Transaction fee cap exceeded", Refusal.FEE_CAP),
        (-32000, "transaction gas price below minimum: gas tip cap 1, minimum needed 7", Refusal.UNDERPRICED),
        (-32000, "An invalid transaction with a lower nonce exists", Refusal.UNAVAILABLE),
        (-32000, "future transaction tries to replace pending", Refusal.UNAVAILABLE),
        (-32007, "Sender account not authorized to send transactions", Refusal.UNAVAILABLE),
        (-32002, "Transaction pool not enabled. (Either txpool explicitly disabled, ...)", Refusal.UNAVAILABLE),
    ],
)
def test_rarer_words(code, words, meaning):
    assert refusal_of(refusal(words, code=code)) is meaning


@pytest.mark.parametrize("error", [RpcTimeout("late"), NoEndpoint("none", causes=()), TemporaryError("?")])
def test_trouble_is_no_refusal(error):
    assert refusal_of(error) is Refusal.UNAVAILABLE
