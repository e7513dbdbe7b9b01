"""`seamark messages recover` as an operator runs it, beside a running monitor, on the published 1.6 contracts."""

# ruff: noqa: F811 - tests take the imported fixture as an argument

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from eth_account import Account

from seamark.devnet.accounts import Role, account
from seamark.devnet.ccip.model import ExecutionState
from seamark.evm.address import to_checksum
from seamark.storage.events import Event, read_events
from tests.support.recovery import Bench, bench, world  # noqa: F401 - fixtures

pytestmark = pytest.mark.integration

SOURCE = Path(__file__).resolve().parents[2] / "src"
LIMIT_S = 60
KEY = account(Role.USER).private_key
WHY = ("--why", "receiver repaired, ticket 12")


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Desk:
    """The command line of an operator whose settings know the bench's chains."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench, self.folder = bench, folder
        self.values: dict[str, Any] = {
            "database": f"sqlite:///{folder / 'seamark.db'}",
            "chains": {
                "home": self._chain(bench.world.home, bench.world.home_node.url),
                "remote": self._chain(bench.world.remote, bench.world.remote_node.url),
            },
            "ccip": {"chains": [{"chain": "home", "router": bench.world.home.router}]},
            "recovery": {"signer": {"private_key_env": "RECOVERY_KEY"}},
        }

    @staticmethod
    def _chain(chain: Any, url: str) -> dict[str, Any]:
        return {"chain_id": chain.chain_id, "selector": str(chain.selector), "rpc": [url], "poll_interval": "50ms"}

    async def run(self, *arguments: str, typed: str | None = None) -> Ran:
        """One command; `typed` is what a person at a terminal answers."""
        file = self.folder / "seamark.yaml"
        file.write_text(yaml.safe_dump(self.values))
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": str(SOURCE)}
        ours, theirs = pty.openpty()
        try:
            if typed is not None:
                os.write(ours, typed.encode() + b"\n")
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "seamark", "messages", "recover", *arguments, "--config", str(file),
                cwd=self.folder,
                env=environment | {"RECOVERY_KEY": KEY, "COLUMNS": "200"},
                stdin=asyncio.subprocess.DEVNULL if typed is None else theirs,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            async with asyncio.timeout(LIMIT_S):
                out, err = await process.communicate()
        finally:
            os.close(ours)
            os.close(theirs)
        return Ran(process.returncode or 0, out.decode(), err.decode())

    async def audit(self, topic: str) -> list[Event]:
        events = await self.bench.monitor.database.read(lambda c: read_events(c, 0, topics=(topic,), limit=1000))
        return [event for event in events if event.topic == topic]

    def allow(self, **policy: Any) -> None:
        self.values["recovery"]["policy"] = {"chains": ["remote"], **policy}


@pytest.fixture
def desk(bench: Bench, tmp_path: Path) -> Desk:
    return Desk(bench, tmp_path)


async def mended(desk: Desk, *, count: int = 1) -> list[Any]:
    """Failed messages whose receiver was repaired."""
    messages = await desk.bench.failed(count=count)
    await desk.bench.world.set_receiver_reverts(desk.bench.lane, False)
    return messages


async def states(desk: Desk, messages: Sequence[Any]) -> list[ExecutionState]:
    return [await desk.bench.lane.state(message) for message in messages]


async def test_it_explains_sends_after_a_typed_confirmation_and_does_so_once(desk: Desk) -> None:
    (message,) = await mended(desk)
    looked = await desk.run(message.message_id[:12])
    assert looked.code == 0, looked.err
    assert "It was tried and failed" in looked.out
    assert "What made it fail before is gone" in looked.out
    assert await states(desk, [message]) == [ExecutionState.FAILURE]  # looking changes nothing

    sent = await desk.run(message.message_id, "--send", *WHY, typed=message.message_id[2:8])
    assert sent.code == 0, sent.out + sent.err
    assert "RECOVERED" in sent.out
    assert await states(desk, [message]) == [ExecutionState.SUCCESS]

    again = await desk.run(message.message_id, "--send", *WHY, typed=message.message_id[2:8])
    assert again.code == 3
    assert "executed with success" in again.out
    (event,) = await desk.audit("recovery.sent")
    assert event.key == message.message_id
    assert event.payload["why"] == WHY[1]
    assert event.payload["operator"]
    assert event.payload["mined"] is True
    assert KEY[2:] not in json.dumps(event.payload)


async def test_what_is_not_confirmed_is_not_sent(desk: Desk) -> None:
    (message,) = await mended(desk)
    wrong = await desk.run(message.message_id, "--send", *WHY, typed="yes")
    assert wrong.code == 2
    assert "not confirmed" in wrong.err
    nobody = await desk.run(message.message_id, "--send", *WHY)
    assert nobody.code == 2
    assert "nobody is there to confirm" in nobody.err
    silent = await desk.run(message.message_id, "--send", typed=message.message_id[2:8])
    assert silent.code == 2
    assert "--why" in silent.err
    assert await states(desk, [message]) == [ExecutionState.FAILURE]
    assert await desk.audit("recovery.sent") == []


async def test_scripts_send_within_a_policy_only(desk: Desk) -> None:
    messages = await mended(desk, count=3)
    first, second, third = (message.message_id for message in messages)
    refused = await desk.run(first, "--send", "--yes", *WHY)
    assert refused.code == 2
    assert "recovery.policy" in refused.err

    desk.allow(max_gas=1000)
    dear = await desk.run(first, "--send", "--yes", *WHY)
    assert dear.code == 2
    assert "above its max_gas" in dear.err

    desk.allow(per_day=2)
    for message in (first, second):
        sent = await desk.run(message, "--send", "--yes", "--json", *WHY)
        assert sent.code == 0, sent.out + sent.err
        assert sent.json["results"][0]["states"] == {message: "success"}
        assert sent.json["ledger"] == {message: "recovered"}
    enough = await desk.run(third, "--send", "--yes", *WHY)
    assert enough.code == 2
    assert "in the last 24 hours" in enough.err
    desk.allow(chains=["home"])
    elsewhere = await desk.run(third, "--send", "--yes", *WHY)
    assert elsewhere.code == 2
    assert "not among its chains" in elsewhere.err


async def test_an_unsigned_transaction_is_complete_for_any_wallet(desk: Desk) -> None:
    (message,) = await mended(desk)
    signer = account(Role.OPERATOR)
    file = desk.folder / "recover.json"
    built = await desk.run(message.message_id, "--out", str(file), "--from", signer.address)
    assert built.code == 0, built.err
    unsigned = json.loads(file.read_text())
    assert unsigned["type"] == "0x2"
    del unsigned["from"]
    raw = Account.sign_transaction(unsigned | {"to": to_checksum(unsigned["to"])}, signer.private_key)
    node = desk.bench.world.remote_node
    await node.request("eth_sendRawTransaction", "0x" + bytes(raw.raw_transaction).hex())
    assert await states(desk, [message]) == [ExecutionState.SUCCESS]
    (event,) = await desk.audit("recovery.built")
    assert event.key == message.message_id


async def test_calldata_and_json_are_nothing_but_that(desk: Desk) -> None:
    (message,) = await mended(desk)
    bare = await desk.run(message.message_id, "--calldata")
    assert bare.code == 0, bare.err
    document = (await desk.run(message.message_id, "--json")).json
    (transaction,) = document["transactions"]
    assert transaction["data"] == bare.out.strip()
    assert transaction["unsigned"]["data"] == transaction["data"]
    assert transaction["checked"] is True
    (told,) = document["messages"]
    assert told["answer"] == "ready"
    assert told["trial"]["succeeds"] is True
    assert isinstance(told["source"], str)


async def test_what_would_fail_again_is_not_built(desk: Desk) -> None:
    (message,) = await desk.bench.failed()
    looked = await desk.run(message.message_id, "--send", *WHY, typed=message.message_id[2:8])
    assert looked.code == 3
    assert "it would fail: the receiver" in looked.out
    assert "Repair the receiver" in looked.out
    document = await desk.run(message.message_id, "--json")
    assert document.code == 3
    assert document.json["transactions"] == []
    forced = await desk.run(message.message_id, "--calldata", "--anyway")
    assert forced.code == 1
    assert "would fail as a whole" in forced.err


async def test_a_queue_goes_in_one_batch_and_in_order(desk: Desk) -> None:
    ordered = await desk.bench.untouched(count=3, out_of_order=False)
    await desk.bench.later()
    desk.allow()
    blocked = await desk.run(ordered[1].message_id)
    assert blocked.code == 3
    assert f"recover {ordered[0].message_id}" in blocked.out
    done = await desk.run("--sender", ordered[0].sender, "--send", "--yes", *WHY)
    assert done.code == 0, done.out + done.err
    assert done.out.count("RECOVERED") == 3
    assert await states(desk, ordered) == [ExecutionState.SUCCESS] * 3
    assert len({event.payload["tx"] for event in await desk.audit("recovery.sent")}) == 1
    nothing = await desk.run("--all-of", "home:remote")
    assert nothing.code == 0
    assert "nothing to recover" in nothing.out


async def test_a_source_that_does_not_answer_is_made_up_for_by_the_ledger(desk: Desk) -> None:
    first, _ = await mended(desk, count=2)
    desk.values["chains"]["home"]["rpc"] = ["http://127.0.0.1:9"]  # the discard port: nobody answers
    desk.values["start_timeout"] = "0s"
    desk.allow()
    sent = await desk.run(first.message_id, "--send", "--yes", *WHY)
    assert sent.code == 0, sent.out + sent.err
    assert "home cannot be read" in sent.err
    assert await states(desk, [first]) == [ExecutionState.SUCCESS]


async def test_a_second_try_after_one_that_failed_is_another_transaction(desk: Desk) -> None:
    """Executed by hand with a broken receiver it is recorded as FAILURE; the same command later must send again."""
    bench = desk.bench
    await bench.world.set_receiver_reverts(bench.lane, True)
    (message,) = await bench.untouched()
    await bench.later()
    desk.allow()
    failed = await desk.run(message.message_id, "--send", "--yes", "--anyway", *WHY)
    assert failed.code == 1, failed.out + failed.err
    assert "FAILURE" in failed.out
    await bench.world.set_receiver_reverts(bench.lane, False)
    await bench.told("failed", message)
    done = await desk.run(message.message_id, "--send", "--yes", *WHY)
    assert done.code == 0, done.out + done.err
    assert await states(desk, [message]) == [ExecutionState.SUCCESS]


async def test_wrong_arguments_are_told(desk: Desk) -> None:
    for arguments, words in (
        ((), "name one message"),
        (("0x12345678", "--sender", "0x" + "11" * 20), "name one message"),
        (("0x12345678", "--yes"), "--send"),
        (("0x12345678", "--calldata", "--json"), "--calldata"),
        (("0x12345678", "--send", "--calldata", "--why", "x"), "--send"),
        (("--sender", "0x12"), "is not an address"),
        (("--all-of", "nonsense"), "is no lane"),
        (("--all-of", "home:mars"), "no lane has a chain"),
        (("0x12345678", "--timeout", "soon"), "--timeout"),
    ):
        ran = await desk.run(*arguments)
        assert ran.code == 2, arguments
        assert words in ran.err


async def test_unknown_ids_signers_and_chains_are_told(desk: Desk) -> None:
    unknown = await desk.run("0x" + "12" * 32)
    assert unknown.code == 1
    assert "knows no message" in unknown.err
    (message,) = await mended(desk)
    del desk.values["recovery"]
    unsigned = await desk.run(message.message_id, "--send", *WHY, typed=message.message_id[2:8])
    assert unsigned.code == 2
    assert "recovery.signer" in unsigned.err
    del desk.values["chains"]["remote"]
    nowhere = await desk.run(message.message_id)
    assert nowhere.code == 1
    assert "remote" in nowhere.err
    assert "is not in the settings" in nowhere.err
