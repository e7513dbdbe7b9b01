from __future__ import annotations

import dataclasses

import pytest

from seamark.core.ids import Address
from seamark.devnet.accounts import DON_SIGNERS
from seamark.devnet.ccip.reports import (
    COMMIT_DIGEST,
    EXECUTE_DIGEST,
    NO_PRICES,
    Prices,
    RootReport,
    commit_call,
    execute_call,
    manual_call,
)
from seamark.evm.abi import Function, compile_decoder, parse_params
from seamark.evm.crypto import keccak256, recover_address
from seamark.evm.merkle import prove
from seamark.evm.signers import RawKeySigner
from tests.unit.devnet import ccip_golden as golden

SIGNERS = [RawKeySigner.from_hex(key) for key in DON_SIGNERS]
LINK = Address("0x" + "aa" * 20)
ROOT = RootReport(golden.LANE.source, golden.ONRAMP, 1, 5, golden.ROOT)
COMMIT = Function.parse("commit(bytes32[2] context, bytes report, bytes32[] rs, bytes32[] ss, bytes32 rawVs)")
EXECUTE = Function.parse("execute(bytes32[2] context, bytes report)")
MANUAL = (
    "manuallyExecute((uint64,((bytes32,uint64,uint64,uint64,uint64),bytes,bytes,address,uint256,"
    "(bytes,address,uint32,bytes,uint256)[])[],bytes[][],bytes32[],uint256)[],(uint256,uint32[])[][])"
)
MESSAGE = (
    "((bytes32 id, uint64 source, uint64 dest, uint64 sequence, uint64 nonce) header, bytes sender, bytes data,"
    " address receiver, uint256 gas, (bytes pool, address token, uint32 gas, bytes extra, uint256 amount)[] tokens)"
)
ROOTS = "(uint64 source, bytes onRamp, uint64 first, uint64 last, bytes32 root)[]"
decode_commit = compile_decoder(
    parse_params(
        "(((address, uint224)[] tokens, (uint64, uint224)[] gas) prices,"
        f" {ROOTS} blessed, {ROOTS} unblessed, (bytes32, bytes32)[] rmn) report"
    )
)
decode_execution = compile_decoder(
    parse_params(f"(uint64 source, {MESSAGE}[] messages, bytes[][] token, bytes32[] proofs, uint256 flags)[] reports")
)


async def commit(*roots, number=7, prices=NO_PRICES):
    data = await commit_call(SIGNERS, number, roots, prices)
    return COMMIT.decode_call(data)


async def test_a_commit_report_carries_its_roots_unblessed():
    (report,) = decode_commit((await commit(ROOT)).report)
    assert report.blessed == ()
    assert report.rmn == ()
    (root,) = report.unblessed
    assert root.onRamp == bytes(12) + bytes.fromhex(golden.ONRAMP[2:])
    assert (root.source, root.first, root.last, root.root) == (golden.LANE.source, 1, 5, golden.ROOT)


async def test_f_plus_one_nodes_sign_the_report_with_its_context():
    call = await commit(ROOT)
    assert call.context == (COMMIT_DIGEST, (7).to_bytes(32, "big"))
    digest = keccak256(keccak256(call.report) + call.context[0] + call.context[1])
    signed = [
        recover_address(digest, parity, int.from_bytes(r, "big"), int.from_bytes(s, "big"))
        for r, s, parity in zip(call.rs, call.ss, call.rawVs, strict=False)
    ]
    assert signed == [signer.address for signer in SIGNERS[:2]]
    assert call.rawVs[2:] == bytes(30)


async def test_another_number_needs_other_signatures():
    assert (await commit(ROOT, number=7)).rs != (await commit(ROOT, number=8)).rs


async def test_a_report_of_prices_alone_has_no_roots():
    prices = Prices(((LINK, 15 * 10**18),), ((golden.LANE.source, 10**12),))
    (report,) = decode_commit((await commit(prices=prices)).report)
    assert report.unblessed == ()
    assert report.prices == (((LINK, 15 * 10**18),), ((golden.LANE.source, 10**12),))


def test_an_execution_report_carries_messages_and_their_proof():
    proof = prove(golden.LEAVES, [3])
    call = EXECUTE.decode_call(execute_call(9, [golden.MESSAGE], proof))
    assert call.context == (EXECUTE_DIGEST, (9).to_bytes(32, "big"))
    ((report,),) = decode_execution(call.report)
    assert report.source == golden.LANE.source
    assert report.proofs == proof.hashes
    assert report.flags == proof.flags
    assert report.token == ((),)
    (message,) = report.messages
    assert "0x" + message.header.id.hex() == golden.MESSAGE.message_id
    assert (message.receiver, message.gas, message.data) == (golden.MESSAGE.receiver, 200_003, golden.MESSAGE.data)


def test_a_message_with_tokens_gets_an_empty_entry_for_each():
    token = (b"\1" * 32, LINK, 90_000, b"", 5)
    message = dataclasses.replace(golden.MESSAGE, tokens=(token, token))
    call = EXECUTE.decode_call(execute_call(9, [message], prove(golden.LEAVES, [3])))
    ((report,),) = decode_execution(call.report)
    assert report.token == ((b"", b""),)
    assert report.messages[0].tokens == (token, token)


@pytest.mark.parametrize("gas_limit", [0, 500_000])
def test_execution_by_hand_may_override_the_gas(gas_limit):
    call = manual_call([golden.MESSAGE], prove(golden.LEAVES, [3]), gas_limit=gas_limit)
    assert call[:4] == keccak256(MANUAL.encode())[:4]
    decode = compile_decoder(
        parse_params(
            f"(uint64 source, {MESSAGE}[] messages, bytes[][] token, bytes32[] proofs, uint256 flags)[] reports,"
            " (uint256 gas, uint32[] tokens)[][] overrides"
        )
    )
    decoded = decode(call[4:])
    assert decoded.overrides == (((gas_limit, ()),),)
