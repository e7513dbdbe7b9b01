"""Manual execution on the published CCIP 2.0 contracts: what verifiers said, where to find it, and how much gas."""

# ruff: noqa: F811 - tests take the imported fixture as an argument

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from seamark.core.errors import RejectedError
from seamark.core.ids import ChainId, Hash32
from seamark.devnet.accounts import Role, account
from seamark.devnet.ccip.model import ExecutionState
from seamark.devnet.node_client import Tx
from seamark.messages.protocols.ccip.recovery import CcipRecovery
from seamark.messages.protocols.ccip.v2_0.proofs import GivenProofs, IndexerProofs, Proof, ProofSource, read_proofs
from seamark.messages.protocols.ccip.v2_0.recovery import Recovery
from seamark.messages.recovery import Answer, Gas
from seamark.messages.recovery.service import Examination, Prepared, RecoveryDesk
from tests.support.ccip_v2_0 import NO_EXECUTION, Bed, SentMessage, bed, extra_args_v3  # noqa: F401 - a fixture
from tests.support.monitor import RunningMonitor, Watched, start_monitor

pytestmark = pytest.mark.integration

AS_IT_IS = Gas()
LITTLE_GAS = 250_000
COMMAND_S = 60


class Bench:
    """A bed with a monitor, and recovery desks that know some proofs."""

    def __init__(self, bed: Bed, monitor: RunningMonitor) -> None:
        self.bed, self.monitor = bed, monitor
        self.desk = self.new_desk()

    def new_desk(self, *proofs: ProofSource, chains: Any = None) -> RecoveryDesk:
        recovery = CcipRecovery({"2.0.": lambda _, source, destination: Recovery(source, destination, proofs)})
        return RecoveryDesk(database=self.monitor.database, protocols=[recovery], chains=chains or self.monitor.readers)

    async def examine(self, message: SentMessage, gas: Gas = AS_IT_IS, desk: RecoveryDesk | None = None) -> Examination:
        desk = desk or self.desk
        return await desk.examine(await desk.case(message.message_id), gas)

    async def prepare(self, message: SentMessage, gas: Gas = AS_IT_IS, desk: RecoveryDesk | None = None) -> Prepared:
        desk = desk or self.desk
        (prepared,) = await desk.prepare([await self.examine(message, gas, desk)], gas)
        return prepared

    async def send(self, prepared: Prepared) -> None:
        """As anybody: a plain account, with the gas that was worked out."""
        tx = Tx(prepared.call.to, prepared.call.data, gas=prepared.gas, label="recover")
        await self.bed.stranger["remote"].run([tx], abi=self.bed.off_ramp)

    async def recover(
        self, message: SentMessage, gas: Gas = AS_IT_IS, desk: RecoveryDesk | None = None
    ) -> ExecutionState:
        await self.send(await self.prepare(message, gas, desk))
        return await self.bed.state(message)

    async def sent(self, **how: Any) -> SentMessage:
        (message,) = await self.bed.send(self.bed.home, self.bed.remote, **how)
        await self.monitor.stages({message.message_id: "sent"})
        return message

    async def given(self, message: SentMessage) -> GivenProofs:
        """What a file holds that was written from an indexer's answer."""
        return GivenProofs(read_proofs(await indexed(self.bed, message)))


async def indexed(bed: Bed, message: SentMessage) -> bytes:
    """As an indexer of the verifiers' storage answers."""
    ccvs, results = await bed.verify(message)
    said = [
        {
            "verifierResult": {
                "message_id": message.message_id,
                "verifier_dest_address": ccv,
                "ccv_data": "0x" + result.hex(),
            },
            "metadata": {},
        }
        for ccv, result in zip(ccvs, results, strict=True)
    ]
    return msgspec.json.encode({"success": True, "results": said, "messageID": message.message_id})


@pytest.fixture
async def bench(bed: Bed, tmp_path: Path) -> AsyncIterator[Bench]:
    chains = [
        Watched(side.chain_id, side.selector, side.name, side.router, side.url) for side in (bed.home, bed.remote)
    ]
    async with start_monitor(tmp_path, chains) as monitor:
        yield Bench(bed, monitor)


async def test_a_failed_message_is_recovered_with_the_proof_of_its_first_attempt(bench: Bench) -> None:
    bed = bench.bed
    await bed.set_receiver_reverts(bed.remote, True)
    message = await bench.sent()
    assert await bed.execute(message) is ExecutionState.FAILURE
    await bench.monitor.stages({message.message_id: "failed"})
    broken = await bench.examine(message)
    assert broken.verdict.answer is Answer.READY
    assert broken.trial is not None
    assert (broken.trial.succeeds, broken.trial.reason) == (False, "receiver_reverted")
    assert not broken.worthwhile

    await bed.set_receiver_reverts(bed.remote, False)
    mended = await bench.examine(message)
    assert mended.worthwhile
    assert mended.trial is not None
    assert mended.trial.callback is True
    assert await bench.recover(message) is ExecutionState.SUCCESS
    await bench.monitor.stages({message.message_id: "recovered"})
    assert (await bench.examine(message)).verdict.answer is Answer.DONE


async def test_a_strangers_bogus_proof_is_not_used_again(bench: Bench) -> None:
    message = await bench.sent()
    await bench.bed.execute_with_bogus_proof(message)
    await bench.monitor.stages({message.message_id: "failed"})
    seen = await bench.examine(message)
    assert seen.verdict.answer is Answer.REFUSED
    assert "are refused: the proof was refused" in seen.verdict.text
    assert bench.bed.remote.resolver in seen.verdict.remedy

    desk = bench.new_desk(await bench.given(message))
    assert (await bench.examine(message, desk=desk)).worthwhile
    assert await bench.recover(message, desk=desk) is ExecutionState.SUCCESS
    await bench.monitor.stages({message.message_id: "recovered"})


async def test_bytes_that_no_verifier_can_read_are_refused_too(bench: Bench) -> None:
    message = await bench.sent()
    await bench.bed.execute_with_bogus_proof(message, b"")
    await bench.monitor.stages({message.message_id: "failed"})
    assert (await bench.examine(message)).verdict.answer is Answer.REFUSED


async def test_without_any_proof_it_says_whose_is_needed(bench: Bench) -> None:
    message = await bench.sent()
    seen = await bench.examine(message)
    assert seen.verdict.answer is Answer.REFUSED
    assert "not known" in seen.verdict.text
    assert bench.bed.remote.resolver in seen.verdict.remedy
    with pytest.raises(RejectedError, match="no accepted verifier results"):
        await bench.prepare(message)


async def test_a_message_for_nobody_to_execute_is_executed_with_an_indexers_answer(bench: Bench) -> None:
    message = await bench.sent(extra=extra_args_v3(executor=NO_EXECUTION))
    asked: list[str] = []

    async def get(url: str) -> bytes | None:
        asked.append(url)
        return await indexed(bench.bed, message)

    desk = bench.new_desk(IndexerProofs("https://indexer.example/", get))
    seen = await bench.examine(message, desk=desk)
    assert seen.verdict.answer is Answer.READY
    assert seen.worthwhile
    assert asked == [f"https://indexer.example/v1/verifierresults/{message.message_id}"]
    assert await bench.recover(message, desk=desk) is ExecutionState.SUCCESS
    await bench.monitor.stages({message.message_id: "executed"})


@pytest.mark.parametrize("size", [5, 4_000])
@pytest.mark.parametrize("with_token", [False, True])
async def test_the_gas_is_enough_where_a_nodes_estimate_is_not(bench: Bench, size: int, with_token: bool) -> None:
    bed = bench.bed
    message = await bench.sent(data=b"\x01" * size, tokens=[(bed.home.token, 5)] if with_token else [])
    desk = bench.new_desk(await bench.given(message))
    prepared = await bench.prepare(message, desk=desk)
    chain = bench.monitor.readers[bed.remote.chain_id]
    estimate = await chain.estimate_gas(
        sender=bed.stranger["remote"].address, to=prepared.call.to, data=prepared.call.data
    )
    assert estimate < prepared.gas
    before = await bed.remote.node.request("evm_snapshot")
    fooled = Tx(prepared.call.to, prepared.call.data, gas=estimate)
    await bed.stranger["remote"].run([fooled])
    assert await bed.state(message) is ExecutionState.FAILURE, "the transaction succeeded, the message did not"
    await bed.remote.node.request("evm_revert", before)

    await bench.send(prepared)
    assert await bed.state(message) is ExecutionState.SUCCESS


async def test_too_little_gas_is_repaired_with_the_same_proof(bench: Bench) -> None:
    message = await bench.sent()
    await bench.bed.execute(message, gas=LITTLE_GAS)
    await bench.monitor.stages({message.message_id: "failed"})
    assert await bench.recover(message) is ExecutionState.SUCCESS


async def test_a_higher_limit_for_a_receiver_that_ran_out_of_gas(bench: Bench) -> None:
    message = await bench.sent(extra=extra_args_v3(1_000))
    await bench.bed.execute(message)
    await bench.monitor.stages({message.message_id: "failed"})
    seen = await bench.examine(message)
    assert seen.trial is not None
    assert seen.trial.reason == "receiver_out_of_gas"
    assert seen.trial.helpful_gas_limit is not None
    more = Gas(receiver=seen.trial.helpful_gas_limit)
    assert (await bench.examine(message, more)).worthwhile
    assert await bench.recover(message, more) is ExecutionState.SUCCESS


async def test_what_the_off_ramp_refuses_is_refused_before(bench: Bench) -> None:
    message = await bench.sent()
    desk = bench.new_desk(await bench.given(message))
    with pytest.raises(RejectedError, match="below the sender's 200000"):
        await bench.prepare(message, Gas(receiver=1_000), desk)
    with pytest.raises(RejectedError, match="beyond any block's"):
        await bench.prepare(message, Gas(receiver=2**32), desk)
    with pytest.raises(RejectedError, match="no gas limit for a token's pool"):
        await bench.prepare(message, Gas(tokens=100_000), desk)


async def test_nothing_is_executed_while_cursed_or_switched_off(bench: Bench) -> None:
    bed, message = bench.bed, await bench.sent()
    desk = bench.new_desk(await bench.given(message))
    await bed.curse(bed.remote, bed.home.selector)
    seen = await bench.examine(message, desk=desk)
    assert seen.verdict.answer is Answer.CURSED
    await bed.uncurse(bed.remote, bed.home.selector)
    await bed.replace_on_ramp(bed.home, bed.remote, keep_old=False)
    gone = await bench.examine(message, desk=desk)
    assert gone.verdict.answer is Answer.REFUSED
    assert "does not accept OnRamp" in gone.verdict.text


async def test_the_message_itself_comes_from_an_attempt_where_the_source_is_not_configured(bench: Bench) -> None:
    bed = bench.bed
    await bed.set_receiver_reverts(bed.remote, True)
    message = await bench.sent()
    await bed.execute(message)
    await bench.monitor.stages({message.message_id: "failed"})
    await bed.set_receiver_reverts(bed.remote, False)
    remote = ChainId(bed.remote.chain_id)
    desk = bench.new_desk(chains={remote: bench.monitor.readers[remote]})
    assert await bench.recover(message, desk=desk) is ExecutionState.SUCCESS


async def test_the_message_comes_from_the_ledger_where_neither_source_nor_attempt_has_it(bench: Bench) -> None:
    message = await bench.sent(tokens=[(bench.bed.home.token, 5)])
    remote = ChainId(bench.bed.remote.chain_id)
    desk = bench.new_desk(await bench.given(message), chains={remote: bench.monitor.readers[remote]})
    assert await bench.recover(message, desk=desk) is ExecutionState.SUCCESS


async def test_a_message_that_nobody_has_is_not_known(bench: Bench) -> None:
    message = await bench.sent()
    remote = ChainId(bench.bed.remote.chain_id)
    desk = bench.new_desk(chains={remote: bench.monitor.readers[remote]})
    case = replace(await desk.case(message.message_id), sequence=99, sent=None)
    with pytest.raises(RejectedError, match="the bytes of message"):
        await desk.examine(case, AS_IT_IS)


async def test_a_proof_for_another_message_is_refused(bench: Bench) -> None:
    message, other = await bench.sent(), await bench.sent(data=b"other")
    right = await bench.given(other)
    stolen = GivenProofs({Hash32(message.message_id): right.proofs[other.message_id]})
    seen = await bench.examine(message, desk=bench.new_desk(stolen))
    assert seen.verdict.answer is Answer.REFUSED
    assert "UnauthorizedSigner" in seen.verdict.text


async def test_the_first_proof_that_is_accepted_is_taken(bench: Bench) -> None:
    message = await bench.sent()
    right = await bench.given(message)
    (proof,) = right.proofs.values()
    wrong = GivenProofs({message.message_id: _spoiled(proof)})
    assert (await bench.examine(message, desk=bench.new_desk(wrong, right))).worthwhile
    assert not (await bench.examine(message, desk=bench.new_desk(wrong))).worthwhile


def _spoiled(proof: Proof) -> Proof:
    return Proof(proof.ccvs, tuple(result[:-1] + b"\x00" for result in proof.results))


async def test_several_messages_are_one_transaction_each(bench: Bench) -> None:
    messages = await bench.bed.send(bench.bed.home, bench.bed.remote, count=3)
    await bench.bed.finalize(bench.bed.home)
    await bench.monitor.stages({item.message_id: "finalized" for item in messages})
    desk = bench.new_desk(*[await bench.given(item) for item in messages])
    cases = [await desk.case(item.message_id) for item in messages]
    low = Gas(receiver=1_000)  # counts for none of them
    examined = await desk.examine_all(cases, low)
    assert all(item.worthwhile for item in examined)
    prepared = await desk.prepare(examined, low)
    assert [item.call.messages for item in prepared] == [(item.message_id,) for item in messages]
    for item in prepared:
        await bench.send(item)
    assert [await bench.bed.state(item) for item in messages] == [ExecutionState.SUCCESS] * 3


# ---- the command -----------------------------------------------------------------------------------------------------


async def command(bench: Bench, folder: Path, *arguments: str) -> tuple[int, Any]:
    """`seamark messages recover … --json` beside the running monitor: exit code and document."""
    bed, file = bench.bed, folder / "seamark.yaml"
    sides = (bed.home, bed.remote)
    settings = {
        "database": f"sqlite:///{folder / 'seamark.db'}",
        "chains": {
            side.name: {"chain_id": side.chain_id, "selector": str(side.selector), "rpc": [side.url]} for side in sides
        },
        "ccip": {"chains": [{"chain": side.name, "router": side.router} for side in sides]},
        "recovery": {"signer": {"private_key_env": "RECOVERY_KEY"}, "policy": {"chains": ["remote"]}},
    }
    file.write_text(json.dumps(settings))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "seamark", "messages", "recover", *arguments, "--json", "--config", str(file)),
        cwd=folder,
        env={**os.environ, "RECOVERY_KEY": account(Role.USER).private_key},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(COMMAND_S):
        out, err = await process.communicate()
    return process.returncode or 0, json.loads(out) if out else err.decode()


async def test_the_command_takes_verifier_results_from_a_file(bench: Bench, tmp_path: Path) -> None:
    message = await bench.sent()
    results = tmp_path / "results.json"
    results.write_bytes(await indexed(bench.bed, message))
    send = ("--verifier-results", str(results), "--send", "--yes", "--why", "nobody else executes it")
    code, told = await command(bench, tmp_path, message.message_id, *send)
    assert code == 0, told
    assert told["results"][0]["succeeded"] is True
    assert await bench.bed.state(message) is ExecutionState.SUCCESS


async def test_the_command_asks_an_indexer(bench: Bench, tmp_path: Path) -> None:
    message = await bench.sent()

    async def answer(request: web.Request) -> web.Response:
        if request.match_info["name"] != message.message_id:
            return web.Response(status=404)
        return web.Response(body=await indexed(bench.bed, message), content_type="application/json")

    application = web.Application()
    application.router.add_get("/v1/verifierresults/{name}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        code, told = await command(bench, tmp_path, message.message_id, "--indexer", url)
    finally:
        await runner.cleanup()
    assert code == 0, told
    assert told["messages"][0]["trial"]["succeeds"] is True
