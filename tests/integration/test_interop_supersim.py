"""The interop monitor over the real contracts: messenger, ETH bridge and inbox, as supersim deploys them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from seamark.core.ids import Hash32
from seamark.evm.abi import Function
from seamark.messages.protocols.op_interop import events
from seamark.messages.protocols.op_interop.encodings import access_list_keys, payload_hash
from seamark.messages.protocols.op_interop.model import Identifier, Rule
from seamark.messages.protocols.op_interop.views import expiring, unrelayed_by_lane
from seamark.messages.store import MessageFilter, find_message, list_messages
from tests.support.anvil import ACCOUNT
from tests.support.interop_chains import VALIDATE, Watching, interop_settings, watched
from tests.support.supersim import Supersim, supersim

pytestmark = pytest.mark.integration

SEND_ETH = Function.parse("sendETH(address to, uint256 chainId) payable returns (bytes32)")
SEND = Function.parse("sendMessage(uint256 destination, address target, bytes message) returns (bytes32)")
RESEND = Function.parse(
    "resendMessage(uint256 destination, uint256 nonce, address sender, address target, bytes message) returns (bytes32)"
)
NOBODY = "0x" + "00" * 18 + "dead"
PATIENCE_S = 60.0


async def transact(sim: Supersim, chain_id: int, to: str, data: bytes, **more: Any) -> dict[str, Any]:
    message = {"from": ACCOUNT, "to": to, "data": "0x" + data.hex(), "gas": hex(1_000_000), **more}
    transaction = await sim.request(chain_id, "eth_sendTransaction", message)
    async with asyncio.timeout(PATIENCE_S):
        receipt = None
        while receipt is None:
            await asyncio.sleep(0.1)
            receipt = await sim.request(chain_id, "eth_getTransactionReceipt", transaction)
    assert receipt["status"] == "0x1", receipt
    found: dict[str, Any] = receipt
    return found


async def stages(app: Watching, **wanted: Any) -> list[str]:
    page = await app.app.database.read(lambda c: list_messages(c, MessageFilter(protocol="interop", **wanted)))
    return [view.stage for view in page.messages]


async def test_eth_crosses_and_a_false_message_of_the_real_inbox_is_found(tmp_path: Path) -> None:
    async with supersim(tmp_path, relay=True) as sim, watched(interop_settings(tmp_path, sim.urls)) as app:
        receipt = await transact(sim, 901, events.ETH_BRIDGE, SEND_ETH.encode(NOBODY, 902), value=hex(10**18))

        async def executed() -> bool:
            return await stages(app) == ["executed"]

        await app.until(executed, "the ETH is relayed")
        page = await app.app.database.read(lambda c: list_messages(c, MessageFilter(protocol="interop")))
        (view,) = page.messages
        detail = await app.app.database.read(lambda c: find_message(c, view.id))
        assert detail is not None
        bridges = {item.kind: item.body["details"]["bridge"] for item in detail.sightings}
        assert bridges["sent"] == {
            "event": "SendETH",
            "from": ACCOUNT,
            "to": NOBODY,
            "amount": str(10**18),
        }
        assert (bridges["executed"]["event"], bridges["executed"]["amount"]) == ("RelayETH", str(10**18))
        assert view.sequence == 0

        await app.statuses("valid")
        (job,) = await app.jobs()
        assert job.declared is True

        (log,) = [item for item in receipt["logs"] if item["topics"][0] == events.SENT.topic0]
        block = await sim.request(901, "eth_getBlockByNumber", log["blockNumber"], False)
        told = Identifier(events.MESSENGER, int(log["blockNumber"], 16), 77, int(block["timestamp"], 16), 901)
        payload = payload_hash(log["topics"], log["data"])
        await false_message(sim, told, payload)
        await app.statuses("valid", "invalid")
        rules = {item.rule: item for item in await app.jobs()}
        assert rules[Rule.NO_LOG].declared is True


async def false_message(sim: Supersim, told: Identifier, payload: Hash32) -> None:
    """The real inbox, told of a log that is not there, in a transaction that declares it."""
    call = VALIDATE.encode(
        (told.origin, told.block_number, told.log_index, told.timestamp, told.chain_id), bytes.fromhex(payload[2:])
    )
    declares = [{"address": events.INBOX, "storageKeys": access_list_keys(told, payload)}]
    await transact(sim, 902, events.INBOX, call, accessList=declares)


async def test_a_message_that_nobody_relays_and_its_second_send(tmp_path: Path) -> None:
    async with supersim(tmp_path, relay=False) as sim, watched(interop_settings(tmp_path, sim.urls)) as app:
        await transact(sim, 901, events.MESSENGER, SEND.encode(902, NOBODY, b"hello"))

        async def sent() -> bool:
            return len(await stages(app)) == 1

        await app.until(sent, "the message is seen")
        page = await app.app.database.read(lambda c: list_messages(c, MessageFilter(protocol="interop")))
        (view,) = page.messages
        assert (view.sender, view.receiver, view.size) == (ACCOUNT, NOBODY, 5)
        far = view.time + 10_000_000
        (lane,) = await app.app.database.read(lambda c: unrelayed_by_lane(c, before=far))
        assert (lane.source, lane.destination, lane.messages, lane.oldest) == ("l2-901", "l2-902", 1, view.time)
        (item,) = await app.app.database.read(lambda c: expiring(c, window_s=100, before=far))
        assert (item.message_id, item.sends, item.expires) == (view.id, 1, view.time + 100)

        await asyncio.sleep(2)  # the chain's block time: the second send has another timestamp
        await transact(sim, 901, events.MESSENGER, RESEND.encode(902, 0, ACCOUNT, NOBODY, b"hello"))

        async def sent_again() -> bool:
            found = await app.app.database.read(lambda c: expiring(c, window_s=100, before=far))
            return [(one.message_id, one.sends) for one in found] == [(view.id, 2)]

        await app.until(sent_again, "the second send is the same message")
        (item,) = await app.app.database.read(lambda c: expiring(c, window_s=100, before=far))
        assert item.expires > view.time + 100
        assert app.value("interop_messages_sent_total") == 1, "one message, however often it is sent"
