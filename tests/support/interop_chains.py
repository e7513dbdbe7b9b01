"""Real chains with interop, and the whole application watching them.

    async with plain_chains() as chains:                    # two anvils with an inbox of our own
        log = await chains[901].emit(b"hello")
        await chains[902].execute(log)
        async with watching(tmp_path, chains.values()) as app: …

Our inbox is 49 bytes: it writes what it is told, without the real one's look at the access list; so messages can be
made wrong in every way. The real contracts come from supersim (`tests/integration/test_interop_supersim.py`).

    PUSH1 a0 PUSH1 04 PUSH1 00 CALLDATACOPY     identifier (5 words) to memory
    PUSH1 a4 CALLDATALOAD PUSH32 topic0         payload hash, signature
    PUSH1 a0 PUSH1 00 LOG2 STOP
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from seamark.app import Application, open_application
from seamark.core.ids import Address, Hash32
from seamark.devnet.anvil import Anvil
from seamark.evm.abi import Function
from seamark.messages.protocols.op_interop import events
from seamark.messages.protocols.op_interop.encodings import access_list_keys, payload_hash
from seamark.messages.protocols.op_interop.model import Identifier
from seamark.messages.protocols.op_interop.store import Job, list_jobs
from seamark.runtime.settings import validate_settings
from seamark.settings import Settings
from tests.support.anvil import anvil, send

__all__ = ["InteropChain", "Sent", "Watching", "plain_chains", "watching"]

INBOX_CODE: Final = "0x60a0600460003760a4357f" + events.EXECUTING.topic0[2:] + "60a06000a200"
EMITTER: Final = Address("0x" + "0a" * 20)
EMITTER_CODE: Final = "0x60203603806020600037600035906000a100"  # topic: first word of the calldata; data: the rest
VALIDATE: Final = Function.parse(
    "validateMessage((address origin, uint256 blockNumber, uint256 logIndex, uint256 timestamp, uint256 chainId) id, "
    "bytes32 msgHash)"
)
PATIENCE_S: Final = 60.0
LOOK_S: Final = 0.05


@dataclass(frozen=True)
class Sent:
    """An initiating log."""

    identifier: Identifier
    payload: Hash32


class InteropChain:
    """An anvil with predeploys."""

    def __init__(self, chain_id: int, node: Anvil) -> None:
        self.chain_id = chain_id
        self.node = node

    async def prepare(self) -> None:
        await self.node.request("anvil_setCode", events.INBOX, INBOX_CODE)
        await self.node.request("anvil_setCode", EMITTER, EMITTER_CODE)

    async def emit(self, data: bytes = b"hello") -> Sent:
        """An initiating log, in a block of its own."""
        receipt: Any = await send(self.node, to=EMITTER, data="0x" + "11" * 32 + data.hex())
        return await self.identify(receipt["logs"][0])

    async def identify(self, log: Mapping[str, Any]) -> Sent:
        block: Any = await self.node.request("eth_getBlockByNumber", log["blockNumber"], False)
        identifier = Identifier(
            Address(log["address"].lower()),
            int(log["blockNumber"], 16),
            int(log["logIndex"], 16),
            int(block["timestamp"], 16),
            self.chain_id,
        )
        return Sent(identifier, payload_hash(log["topics"], log["data"]))

    async def execute(self, sent: Sent, **changes: Any) -> dict[str, Any]:
        """The inbox's log for it; `changes` are of the identifier."""
        values = {name: getattr(sent.identifier, name) for name in sent.identifier.__struct_fields__} | changes
        told = Identifier(**values)
        call = VALIDATE.encode(
            (told.origin, told.block_number, told.log_index, told.timestamp, told.chain_id),
            bytes.fromhex(sent.payload[2:]),
        )
        message = {
            "from": "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
            "to": events.INBOX,
            "data": "0x" + call.hex(),
            "gas": hex(500_000),
            "accessList": [{"address": events.INBOX, "storageKeys": access_list_keys(told, sent.payload)}],
        }
        transaction = await self.node.request("eth_sendTransaction", message)
        async with asyncio.timeout(PATIENCE_S):
            receipt = None
            while receipt is None:
                receipt = await self.node.request("eth_getTransactionReceipt", transaction)
        found: dict[str, Any] = receipt
        assert found["status"] == "0x1", found
        return found

    async def warp(self, seconds: int) -> None:
        """The next block's time lies so far ahead."""
        block: Any = await self.node.request("eth_getBlockByNumber", "latest", False)
        await self.node.request("evm_setNextBlockTimestamp", hex(int(block["timestamp"], 16) + seconds))


@asynccontextmanager
async def plain_chains(*chain_ids: int) -> AsyncIterator[dict[int, InteropChain]]:
    """Anvils with our inbox."""
    async with AsyncExitStack() as stack:
        chains = {}
        for chain_id in chain_ids or (901, 902):
            chains[chain_id] = InteropChain(chain_id, await stack.enter_async_context(anvil(chain_id)))
            await chains[chain_id].prepare()
        yield chains


def interop_settings(folder: Path, urls: Mapping[int, str], **changes: Any) -> Settings:
    """A monitor of these chains that reads from their first block on; `changes` are of `interop`."""
    interop = {
        "chains": [{"chain": f"l2-{chain_id}", "start_block": 0} for chain_id in urls],
        "safe_interval": "50ms",
        "finality_interval": "50ms",
        **changes,
    }
    values: dict[str, Any] = {
        "database": f"sqlite:///{folder / 'seamark.db'}",
        "chains": {
            f"l2-{chain_id}": {"chain_id": chain_id, "rpc": [url], "poll_interval": "50ms"}
            for chain_id, url in urls.items()
        },
        "interop": interop,
        **{name: {"port": 0} for name in ("api", "metrics", "health")},
    }
    return validate_settings(Settings, values)


class Watching:
    """An application under test."""

    def __init__(self, app: Application, run: asyncio.Task[None]) -> None:
        self.app = app
        self._run = run

    async def jobs(self, **wanted: Any) -> list[Job]:
        return await self.app.database.read(lambda connection: list_jobs(connection, **wanted))

    async def until(self, condition: Callable[[], Awaitable[object]], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await condition():
                    if self._run.done():
                        self._run.result()
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            found = [(item.status, item.rule, item.stale, item.detail) for item in await self.jobs(live=None)]
            raise AssertionError(f"never came: {what}; jobs {found}; {await self.app.health.report()}") from None

    async def statuses(self, *expected: str) -> None:
        """Wait until the live jobs have these verdicts, in any order."""

        async def reached() -> bool:
            return sorted(item.status.value for item in await self.jobs()) == sorted(expected)

        await self.until(reached, f"verdicts {expected}")

    def value(self, name: str, **labels: str) -> float:
        return sum(
            sample.value
            for family in self.app.registry.collect()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@asynccontextmanager
async def watching(folder: Path, chains: Iterable[InteropChain], **changes: Any) -> AsyncIterator[Watching]:
    """`seamark run interop-monitor` in this process, until the block ends."""
    settings = interop_settings(folder, {chain.chain_id: chain.node.url for chain in chains}, **changes)
    async with watched(settings) as found:
        yield found


@asynccontextmanager
async def watched(settings: Settings, monitors: Collection[str] = ("interop-monitor",)) -> AsyncIterator[Watching]:
    """`seamark run` with these monitors in this process, until the block ends."""
    async with open_application(settings, monitors) as app:
        run = asyncio.create_task(app.run())
        try:
            yield Watching(app, run)
        finally:
            failed = run.done()
            run.cancel()
            with suppress(asyncio.CancelledError):
                await run
            assert not failed, "the application ended by itself"
