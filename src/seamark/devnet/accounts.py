"""The accounts of a devnet, one for each role.

Their keys are PUBLIC: the first ten of the mnemonic "test test test test test test test test test test test junk",
which anvil, Hardhat and Foundry print at every start. Whoever sends real funds to one of them loses these within
seconds. They are funded with 10,000 units of native currency on every anvil chain and exist for nothing else. The
keys of the four oracle nodes that sign CCIP commit reports are hashes of published words, as public as the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from seamark.core.ids import Address
from seamark.evm.crypto import keccak256

__all__ = ["DON_SIGNERS", "PublicAccount", "Role", "account"]


class Role(StrEnum):
    """Who does what on a devnet."""

    HOME_DEPLOYER = "home-deployer"  # deploys and administers on the home chain
    REMOTE_DEPLOYER = "remote-deployer"  # the same on the remote chain: so that addresses differ between the chains
    PUBLISHER = "publisher"  # the oracle
    SECOND_PUBLISHER = "second-publisher"  # confirms parked answers
    OPERATOR = "operator"  # pauser and operator of our contracts
    COMMITTER = "committer"  # transmits commit reports
    EXECUTOR = "executor"  # transmits execution reports
    USER = "user"  # sends messages, executes by hand


@dataclass(frozen=True, slots=True)
class PublicAccount:
    """A well-known account. The key is public, and still not shown by accident, so that logs look as in production."""

    address: Address
    private_key: str = field(repr=False)


_KEYS = {
    Role.HOME_DEPLOYER: (
        "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
        "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    ),
    Role.REMOTE_DEPLOYER: (
        "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
        "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    ),
    Role.PUBLISHER: (
        "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
        "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    ),
    Role.SECOND_PUBLISHER: (
        "0x90f79bf6eb2c4f870365e785982e1f101e93b906",
        "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    ),
    Role.OPERATOR: (
        "0x15d34aaf54267db7d7c367839aaf71a00a2c6a65",
        "0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    ),
    Role.COMMITTER: (
        "0x9965507d1a55bcc2695c58ba16fb37d819b0a4dc",
        "0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    ),
    Role.EXECUTOR: (
        "0x976ea74026e726554db657fa54763abd0c3a0aa9",
        "0x92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
    ),
    Role.USER: (
        "0x14dc79964da2c08b23698b3d3cc7ca32193d9955",
        "0x4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
    ),
}


def account(role: Role) -> PublicAccount:
    """The account of a role, the same on every chain."""
    address, key = _KEYS[role]
    return PublicAccount(Address(address), key)


DON_SIGNERS = tuple("0x" + keccak256(f"seamark devnet oracle node {number}".encode()).hex() for number in range(1, 5))
"""Private keys of the four nodes whose signatures a commit report needs two of (F = 1)."""
