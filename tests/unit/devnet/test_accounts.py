from __future__ import annotations

import pytest
from eth_account import Account

from seamark.devnet.accounts import DON_SIGNERS, Role, account
from seamark.evm.signers import RawKeySigner

MNEMONIC = "test test test test test test test test test test test junk"


def test_the_keys_are_the_published_ones_of_the_test_mnemonic():
    Account.enable_unaudited_hdwallet_features()
    derived = [Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{number}") for number in range(len(Role))]
    assert [account(role).address for role in Role] == [each.address.lower() for each in derived]
    assert [account(role).private_key for role in Role] == [
        "0x" + each.key.hex().removeprefix("0x") for each in derived
    ]


@pytest.mark.parametrize("role", Role)
def test_each_key_belongs_to_its_address(role):
    assert RawKeySigner.from_hex(account(role).private_key).address == account(role).address


def test_roles_are_distinct_and_keys_are_not_shown_by_accident():
    assert len({account(role).address for role in Role}) == len(Role)
    assert account(Role.USER).private_key not in repr(account(Role.USER))


def test_four_nodes_sign_so_that_one_may_be_faulty():
    assert len({RawKeySigner.from_hex(key).address for key in DON_SIGNERS}) == 4
