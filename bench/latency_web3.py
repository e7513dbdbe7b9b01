"""The peer's side of `bench.latency`: a price pusher as small as web3.py allows, and as such pushers are written.

For each push it asks the contract for its newest round, the node for nonce, fees and a gas estimate (web3.py does the
last two by itself), signs, and sends. Nothing is kept that a crash would need, and one push goes after the other.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from web3 import Web3

from seamark.core.ids import Address
from seamark.devnet.accounts import Role, account

__all__ = ["NAME", "push_all"]

NAME = f"pusher on web3.py {version('web3')}"
_ABI: Sequence[Any] = [
    {
        "type": "function", "name": "latestRoundData", "stateMutability": "view", "inputs": [],
        "outputs": [{"name": name, "type": kind} for name, kind in (
            ("roundId", "uint80"), ("answer", "int256"), ("startedAt", "uint256"), ("updatedAt", "uint256"),
            ("answeredInRound", "uint80"))],
    },
    {
        "type": "function", "name": "submit", "stateMutability": "payable", "outputs": [],
        "inputs": [{"name": name, "type": kind} for name, kind in (
            ("roundId", "uint80"), ("answer", "int256"), ("observedAt", "uint64"))],
    },
]  # fmt: skip


def push_all(rpc: str, addresses: Sequence[Address], *, every_s: float) -> list[float]:
    """One push to each contract; milliseconds from the price to the node's acceptance."""
    web3 = Web3(Web3.HTTPProvider(rpc))
    key = account(Role.PUBLISHER).private_key
    sender = Web3.to_checksum_address(account(Role.PUBLISHER).address)
    contracts = [web3.eth.contract(address=Web3.to_checksum_address(address), abi=_ABI) for address in addresses]
    taken = []
    for number, contract in enumerate(contracts):
        time.sleep(every_s)
        began = time.perf_counter()
        latest = contract.functions.latestRoundData().call()
        push = contract.functions.submit(latest[0] + 1, 2_000 * 10**8 + number, int(time.time()))
        nonce = web3.eth.get_transaction_count(sender, "pending")
        signed = web3.eth.account.sign_transaction(push.build_transaction({"from": sender, "nonce": nonce}), key)
        web3.eth.send_raw_transaction(signed.raw_transaction)
        taken.append((time.perf_counter() - began) * 1000)
    return taken
