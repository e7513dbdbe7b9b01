"""Two chains with the published Hyperlane contracts, driven by hand.

    async with start_bed() as bed:
        (message,) = await bed.home.dispatch(bed.remote)
        await bed.remote.process(message)

Per chain a Mailbox with an InterchainGasPaymaster as its default hook and a MerkleTreeHook as the required one, a
security module that accepts everything until it is told not to, and a recipient. Source of the code: the npm package
@hyperlane-xyz/core, of a version that is small and has the same Mailbox as the newest.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from seamark.core.ids import Address, ChainId, Hash32
from seamark.devnet.accounts import Role
from seamark.devnet.anvil import Anvil, AnvilOptions
from seamark.devnet.ccip.contracts import open_draft
from seamark.devnet.node_client import NodeClient, Tx, Wallet
from seamark.evm.abi import Abi, Function, parse_params
from seamark.evm.abi.items import Constructor
from seamark.evm.artifacts import Artifact
from seamark.evm.types import Receipt
from seamark.messages.protocols.hyperlane import events
from seamark.messages.protocols.hyperlane.message import message_id
from tests.support.npm_package import npm_package

__all__ = ["Bed", "Dispatched", "Side", "contract", "start_bed"]

PACKAGE = ("@hyperlane-xyz/core", "5.11.5")
INTEGRITY = "xJu+bQYiiFik5x1FjftOKTdMGOzYQVYVifWSiHTfC8Ie6p5H+REKJML5XQgsp5Xg6e/say8dSBQ6pE/568g9Fw=="
GAS_PRICE, EXCHANGE_RATE = 10**9, 10**10  # at the destination, and 1:1 in the oracle's fixed point
OVERHEAD = 50_000


def _abi(constructor: str, *functions: str) -> Abi:
    parsed = [Function.parse(text) for text in functions]
    return Abi(functions=parsed, constructor=Constructor(parse_params(constructor)) if constructor else None)


ABIS = {
    "Mailbox": _abi(
        "uint32 localDomain",
        "function initialize(address owner, address defaultIsm, address defaultHook, address requiredHook)",
        "function dispatch(uint32 destination, bytes32 recipient, bytes body) payable returns (bytes32)",
        "function quoteDispatch(uint32 destination, bytes32 recipient, bytes body) view returns (uint256)",
        "function process(bytes metadata, bytes message) payable",
        "function setDefaultHook(address hook)",
        "function delivered(bytes32 id) view returns (bool)",
    ),
    "hooks/MerkleTreeHook": _abi("address mailbox"),
    "hooks/igp/InterchainGasPaymaster": _abi(
        "",
        "function initialize(address owner, address beneficiary)",
        "function setDestinationGasConfigs((uint32 remoteDomain, (address gasOracle, uint96 gasOverhead) config)[] c)",
        "function payForGas(bytes32 messageId, uint32 destination, uint256 gas, address refund) payable",
        "function quoteGasPayment(uint32 destination, uint256 gas) view returns (uint256)",
    ),
    "hooks/igp/StorageGasOracle": _abi(
        "", "function setRemoteGasDataConfigs((uint32 domain, uint128 tokenExchangeRate, uint128 gasPrice)[] configs)"
    ),
    "test/TestIsm": _abi("", "function setVerify(bool verify)"),
    "test/TestRecipient": _abi(""),
}
_CODE = re.compile(r'const _bytecode = "0x([0-9a-f]+)"')


def contract(path: str) -> Artifact:
    """A contract of the package by its path among the sources, with what tests call of it."""
    factory = npm_package(*PACKAGE, INTEGRITY) / "dist" / "factories" / "contracts" / f"{path}__factory.js"
    code = _CODE.search(factory.read_text())
    assert code is not None, path
    return Artifact(path.rpartition("/")[2], ABIS[path], bytes.fromhex(code[1]))


@dataclass(frozen=True)
class Dispatched:
    """A message as its Mailbox sent it."""

    id: Hash32
    raw: bytes
    receipt: Receipt


@dataclass
class Side:
    """One chain; `domain` is not the chain id, so that nobody takes one for the other."""

    node: NodeClient
    wallet: Wallet
    anvil: Anvil
    domain: int
    at: dict[str, Address] = field(default_factory=dict)

    @property
    def mailbox(self) -> Address:
        return self.at["Mailbox"]

    @property
    def chain_id(self) -> ChainId:
        return self.node.chain_id

    async def call(self, path: str, name: str, *arguments: object, value: int = 0) -> Receipt:
        artifact = contract(path)
        data = artifact.abi.encode_call(name, *arguments)
        (receipt,) = await self.wallet.run([Tx(self.at[artifact.name], data, value=value)], abi=artifact.abi)
        return receipt

    async def dispatch(self, to: Side, *, count: int = 1, body: bytes = b"hello") -> list[Dispatched]:
        """Send to the other side's recipient, paying what is asked for."""
        mailbox = contract("Mailbox")
        recipient = bytes(12) + bytes.fromhex(to.at["TestRecipient"][2:])
        fee = await self.node.read(self.mailbox, mailbox.abi.function("quoteDispatch"), to.domain, recipient, body)
        data = mailbox.abi.encode_call("dispatch", to.domain, recipient, body)
        receipts = await self.wallet.run([Tx(self.mailbox, data, value=fee)] * count, abi=mailbox.abi)
        found = []
        for receipt in receipts:
            (log,) = [log for log in receipt.logs if log.topics[0] == events.DISPATCH.topic0]
            raw = events.DISPATCH.decode(log).message
            found.append(Dispatched(message_id(raw), raw, receipt))
        return found

    async def process(self, *messages: Dispatched) -> list[Receipt]:
        """Deliver here."""
        return [await self.call("Mailbox", "process", b"", message.raw) for message in messages]

    async def pay(self, message: Dispatched, to: Side, gas: int) -> Receipt:
        """Pay for a message that is on its way."""
        paymaster = contract("hooks/igp/InterchainGasPaymaster")
        quote = paymaster.abi.function("quoteGasPayment")
        fee = await self.node.read(self.at[paymaster.name], quote, to.domain, gas)
        arguments = (bytes.fromhex(message.id[2:]), to.domain, gas, self.wallet.address)
        return await self.call("hooks/igp/InterchainGasPaymaster", "payForGas", *arguments, value=fee)


@dataclass
class Bed:
    """Both chains."""

    home: Side
    remote: Side

    async def finalize(self) -> None:
        """Make everything sent so far final: two more blocks."""
        for side in (self.home, self.remote):
            await side.anvil.mine(2)


@contextlib.asynccontextmanager
async def start_bed() -> AsyncIterator[Bed]:
    """Two new chains with a Mailbox each; a block for each transaction."""
    contract("Mailbox")  # what is missing is told before a node is started
    async with contextlib.AsyncExitStack() as stack:
        sides = []
        for chain_id, domain in ((31337, 1_000), (1337, 2_000)):
            anvil = await stack.enter_async_context(Anvil(AnvilOptions(chain_id=ChainId(chain_id))))
            node = await stack.enter_async_context(NodeClient(anvil.url, ChainId(chain_id)))
            draft = await open_draft(node, Role.HOME_DEPLOYER if domain == 1_000 else Role.REMOTE_DEPLOYER)
            sides.append(Side(node, draft.wallet, anvil, domain))
        home, remote = sides
        await _deploy(home, remote)
        await _deploy(remote, home)
        yield Bed(home, remote)


async def _deploy(side: Side, peer: Side) -> None:
    role = Role.HOME_DEPLOYER if side.domain == 1_000 else Role.REMOTE_DEPLOYER
    draft = await open_draft(side.node, role)
    owner = draft.wallet.address

    def add(path: str, *arguments: object) -> Address:
        artifact = contract(path)
        side.at[artifact.name] = draft.deploy(artifact, *arguments)
        return side.at[artifact.name]

    mailbox = add("Mailbox", side.domain)
    ism, recipient = add("test/TestIsm"), add("test/TestRecipient")
    tree = add("hooks/MerkleTreeHook", mailbox)
    paymaster, prices = add("hooks/igp/InterchainGasPaymaster"), add("hooks/igp/StorageGasOracle")
    assert recipient
    draft.call(contract("hooks/igp/InterchainGasPaymaster"), paymaster, "initialize", owner, owner)
    draft.call(
        contract("hooks/igp/StorageGasOracle"),
        prices,
        "setRemoteGasDataConfigs",
        [(peer.domain, EXCHANGE_RATE, GAS_PRICE)],
    )
    configs = [(peer.domain, (prices, OVERHEAD))]
    draft.call(contract("hooks/igp/InterchainGasPaymaster"), paymaster, "setDestinationGasConfigs", configs)
    draft.call(contract("Mailbox"), mailbox, "initialize", owner, ism, paymaster, tree)
    await draft.send()
