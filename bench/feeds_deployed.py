"""Contracts for the benchmarks of the oracle."""

from __future__ import annotations

from seamark.core.ids import Address
from seamark.devnet.accounts import Role, account
from seamark.devnet.node_client import NodeClient, Tx, Wallet
from seamark.evm.artifacts import load
from seamark.evm.crypto import keccak256
from seamark.evm.signers import RawKeySigner

__all__ = ["deploy"]

PER_BLOCK = 20  # deployments that fit into a block of 60 M gas


async def deploy(node: NodeClient, count: int) -> list[Address]:
    """Aggregators that the publisher may write to."""
    wallet = Wallet(node, RawKeySigner.from_hex(account(Role.HOME_DEPLOYER).private_key))
    artifact = load("Aggregator")
    role = keccak256(b"PUBLISHER_ROLE")
    grant = artifact.abi.encode_call("grantRole", role, account(Role.PUBLISHER).address)
    creations = []
    for number in range(count):
        config = (number.to_bytes(32, "big"), f"F{number} / USD", 8, 1, 10**20, 0)
        creations.append(Tx(None, artifact.creation(config, wallet.address)))
    addresses: list[Address] = []
    for start in range(0, count, PER_BLOCK):  # anvil mines once per arrival: more than a block holds would be left over
        made = await wallet.run(creations[start : start + PER_BLOCK])
        addresses += [receipt.contract_address for receipt in made if receipt.contract_address is not None]
        await wallet.run([Tx(address, grant) for address in addresses[start:]])
    return addresses
