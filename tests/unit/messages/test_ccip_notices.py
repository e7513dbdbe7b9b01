"""What CCIP's contracts tell beside messages: shared events of the risk contracts, of 1.6, and how values are kept."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import msgspec
import pytest

from seamark.core.errors import TemporaryError
from seamark.core.ids import Address, BlockRef, ChainId, Hash32
from seamark.evm.abi import Event, compile_encoder
from seamark.evm.ports import Block
from seamark.evm.types import Log
from seamark.messages.model import Contract, Decoded, NoticeKind, Revoked
from seamark.messages.protocols.ccip import risk
from seamark.messages.protocols.ccip import router as routers
from seamark.messages.protocols.ccip.notices import LONGEST_BYTES, plain
from seamark.messages.protocols.ccip.pools import POOL, PoolTokens
from seamark.messages.protocols.ccip.risk import GLOBAL_SUBJECT, subject_name
from seamark.messages.protocols.ccip.v1_6 import events as v1_6
from tests.unit.messages.ccip_node import CHAIN, HOME, LINK, PEER, Node, address, make_protocol

RMN, RAMP, SOMEBODY = address(200), address(201), address(202)
LANE = int(PEER).to_bytes(16)


def emit(event: Event, *values: Any, at: Address = RAMP) -> Log:
    """A log with these values, indexed ones as words."""
    topics = [event.topic0]
    plain_values = []
    for param, value in zip(event.inputs, values, strict=True):
        if param.indexed:
            word = int(value, 16) if isinstance(value, str) else value
            topics.append(Hash32(f"0x{word:064x}"))
        else:
            plain_values.append(value)
    data = compile_encoder(tuple(param for param in event.inputs if not param.indexed))(plain_values)
    where = Hash32("0x" + "01" * 32)
    return Log(at, tuple(topics), "0x" + data.hex(), 9, where, where, 3)


def decode(*logs: Log, role: str = "offramp", version: str = "1.6.0") -> Decoded:
    contract = Contract(chain_id=CHAIN, address=logs[0].address, role=role, version=version)
    watch = make_protocol().watch(CHAIN, [contract])
    return watch.decode(Block(BlockRef(9, logs[0].block_hash, logs[0].block_hash, 5), logs), True)


def told(*logs: Log, **options: str) -> list[tuple[NoticeKind, str]]:
    return [(item.kind, item.subject) for item in decode(*logs, **options).notices]


class TestCurses:
    @pytest.mark.parametrize(
        ("subject", "name"),
        [
            (GLOBAL_SUBJECT, "*"),
            ((5009297550715157269).to_bytes(16), "5009297550715157269"),
            ((2**64 - 1).to_bytes(16), str(2**64 - 1)),
            (bytes(16), "0"),
            (bytes.fromhex("01000000000000000000000000000000"), "0x01000000000000000000000000000000"),
            (b"\xff" * 16, "0x" + "ff" * 16),
        ],
    )
    def test_subjects(self, subject: bytes, name: str) -> None:
        assert subject_name(subject) == name

    @pytest.mark.parametrize("version", ["1.6.0", "2.0.0"])
    def test_one_notice_for_each_subject(self, version: str) -> None:
        log = emit(risk.CURSED, [LANE, GLOBAL_SUBJECT], at=RMN)
        found = decode(log, role="rmn", version=version).notices
        assert [(item.kind, item.subject, item.part) for item in found] == [
            (NoticeKind.CURSED, str(PEER), 0),
            (NoticeKind.CURSED, "*", 1),
        ]
        lifted = emit(risk.UNCURSED, [LANE], at=RMN)
        assert told(lifted, role="rmn", version=version) == [(NoticeKind.UNCURSED, str(PEER))]

    def test_of_rmn_1_5(self) -> None:
        assert told(emit(risk.CURSED_1_5, 3, LANE, 1_700_000_000, at=RMN), role="rmn", version="1.5.0") == [
            (NoticeKind.CURSED, str(PEER))
        ]
        assert told(emit(risk.LIFTED_1_5, GLOBAL_SUBJECT, at=RMN), role="rmn", version="1.5.0") == [
            (NoticeKind.UNCURSED, "*")
        ]

    def test_a_curse_of_nothing(self) -> None:
        assert told(emit(risk.CURSED, [], at=RMN), role="rmn") == []

    def test_topics_are_the_published_ones(self) -> None:
        assert risk.CURSED.topic0 == "0x1716e663a90a76d3b6c7e5f680673d1b051454c19c627e184c8daf28f3104f74"
        assert risk.UNCURSED.topic0 == "0x0676e709c9cc74fa0519fd78f7c33be0f1b2b0bae0507c724aef7229379c6ba1"
        assert risk.CURSED_1_5.topic0 == "0xcfdbfd8ce9a56b5f7c202c0e102184d24f47ca87121dc165063fc4c290957bde"
        assert risk.LIFTED_1_5.topic0 == "0x65d0e78c3625f0956f58610cf0fb157eaf627683258875ef29af2f71d25ac8fd"
        assert risk.ARM_SET.topic0 == "0xef31f568d741a833c6a9dc85a6e1c65e06fa772740d5dc94d1da21827a4e0cab"

    def test_the_proxy_names_itself_and_what_is_new_behind_it(self) -> None:
        decoded = decode(emit(risk.ARM_SET, SOMEBODY, at=RMN), role="armproxy", version="1.0.0")
        (change,) = decoded.changes
        assert change.addresses == (SOMEBODY, RMN)
        assert decoded.notices[0].details == {"event": "ARMSet", "values": {"arm": SOMEBODY}}


class TestOf16:
    def test_a_removed_root_takes_back_a_commit_somewhere_here(self) -> None:
        (found,) = decode(emit(v1_6.ROOT_REMOVED, b"\x07" * 32)).sightings
        assert found.body == Revoked("0x" + "07" * 32)
        assert (found.lane.source, found.lane.channel, found.lane.destination) == ("", "", str(HOME))
        assert (found.sequence, found.message_id) == (0, "")

    @pytest.mark.parametrize(
        ("event", "values", "kind"),
        [
            (v1_6.ALREADY_ATTEMPTED, (PEER, 4), NoticeKind.ALREADY_ATTEMPTED),
            (v1_6.SKIPPED_ALREADY_EXECUTED, (PEER, 4), NoticeKind.ALREADY_ATTEMPTED),
            (v1_6.SKIPPED_REPORT, (PEER,), NoticeKind.EXECUTION_SKIPPED),
            (v1_6.SOURCE_CHAIN_SELECTOR_ADDED, (PEER,), NoticeKind.CONFIGURED),
        ],
    )
    def test_the_subject_is_the_source(self, event: Event, values: tuple[Any, ...], kind: NoticeKind) -> None:
        assert told(emit(event, *values)) == [(kind, str(PEER))]

    def test_a_nonce_that_is_not_next(self) -> None:
        sender = bytes(12) + bytes.fromhex(SOMEBODY[2:])
        (found,) = decode(emit(v1_6.SKIPPED_NONCE, PEER, 7, sender), role="noncemanager").notices
        assert (found.kind, found.subject) == (NoticeKind.NONCE_SKIPPED, SOMEBODY)
        assert found.details["nonce"] == "7"
        assert (found.details["sender"], found.details["source"]) == (SOMEBODY, str(PEER))

    def test_topics_are_the_published_ones(self) -> None:
        assert v1_6.ALREADY_ATTEMPTED.topic0 == "0x3ef2a99c550a751d4b0b261268f05a803dfb049ab43616a1ffb388f61fe65120"
        assert v1_6.SKIPPED_ALREADY_EXECUTED.topic0.startswith("0x3b575419319662b2a6f5e2467d845215")
        assert v1_6.SKIPPED_REPORT.topic0 == "0xaab522ed53d887e56ed53dd37398a01aeef6a58e0fa77c2173beb9512d894933"
        assert v1_6.SKIPPED_NONCE.topic0 == "0x606ff8179e5e3c059b82df931acc496b7b6053e8879042f8267f930e0595f69f"
        assert v1_6.PREVIOUS_RAMPS_UPDATED.topic0.startswith("0xa2e43edcbc4fd175ae4bebbe3fd6139871ed1f17")
        assert v1_6.OCR_CONFIG_SET.topic0 == "0xab8b1b57514019638d7b5ce9c638fe71366fe8e2be1c40a7a80f1733d0e9f547"
        assert v1_6.DYNAMIC_CONFIG_SET.topic0 == "0xa1c15688cb2c24508e158f6942b9276c6f3028a85e1af8cf3fff0c3ff3d5fc8d"
        assert v1_6.CONFIG_SET.topic0 == "0xc7372d2d886367d7bb1b0e0708a5436f2c91d6963de210eb2dc1ec2ecd6d21f1"
        assert v1_6.FEE_TOKEN_ADDED.topic0 == "0xdf1b1bd32a69711488d71554706bb130b1fc63a5fa1a2cd85e8440f84065ba23"
        assert v1_6.FEE_TOKEN_REMOVED.topic0 == "0x1795838dc8ab2ffc5f431a1729a6afa0b587f982f7b2be0b9d7187a1ef547f91"

    def test_an_allow_list_is_a_role(self) -> None:
        log = emit(v1_6.ALLOW_LIST_SENDERS_ADDED, PEER, [SOMEBODY])
        (found,) = decode(log, role="onramp").notices
        assert (found.kind, found.subject, found.contract) == (NoticeKind.ROLE_CHANGED, str(PEER), RAMP)
        assert found.details["values"] == {"destChainSelector": str(PEER), "senders": [SOMEBODY]}

    def test_another_roles_events_mean_nothing(self) -> None:
        assert decode(emit(v1_6.SKIPPED_REPORT, PEER), role="onramp") == Decoded()
        assert decode(emit(v1_6.ROOT_REMOVED, bytes(32)), role="noncemanager") == Decoded()

    def test_a_broken_one_is_malformed_and_leaves_nothing(self) -> None:
        log = emit(v1_6.SOURCE_CHAIN_CONFIG_SET, PEER, (SOMEBODY, True, 1, True, b"\x01"))
        decoded = decode(msgspec.structs.replace(log, data=log.data[:-64]))
        assert (decoded.notices, decoded.changes, len(decoded.malformed)) == ((), (), 1)


class TestOwners:
    @pytest.mark.parametrize(
        ("role", "version"),
        [
            ("router", "1.2.0"),
            ("armproxy", "1.0.0"),
            ("rmn", "1.6.0"),
            ("onramp", "1.6.0"),
            ("offramp", "1.6.0"),
            ("noncemanager", "1.6.0"),
            ("feequoter", "1.6.0"),
            ("feequoter", "1.2.0"),
        ],
    )
    def test_every_contract_tells_of_its_owner(self, role: str, version: str) -> None:
        event = Event.parse("event OwnershipTransferred(address indexed from, address indexed to)")
        (found,) = decode(emit(event, SOMEBODY, RMN), role=role, version=version).notices
        assert found.kind is NoticeKind.ROLE_CHANGED
        assert found.details == {"event": "OwnershipTransferred", "values": {"from_": SOMEBODY, "to": RMN}}


class TestRouter:
    def test_a_closed_lane_is_told_and_names_nothing_to_look_at(self) -> None:
        decoded = decode(emit(routers.ON_RAMP_SET, PEER, address(0)), role="router", version="1.2.0")
        assert [item.subject for item in decoded.notices] == [str(PEER)]
        assert [change.addresses for change in decoded.changes] == [()]

    @pytest.mark.parametrize("event", [routers.OFF_RAMP_ADDED, routers.OFF_RAMP_REMOVED])
    def test_an_off_ramp_that_comes_or_goes_is_looked_at(self, event: Event) -> None:
        decoded = decode(emit(event, PEER, SOMEBODY), role="router", version="1.2.0")
        assert [change.addresses for change in decoded.changes] == [(SOMEBODY,)]
        assert [item.kind for item in decoded.notices] == [NoticeKind.CONFIGURED]


class TestPlain:
    def test_values_as_json_has_them(self) -> None:
        pair = namedtuple("pair", "size flag")  # noqa: PYI024 - as the ABI decoder makes them
        value = ((2**200, True, b"\x01\x02", "text"), [pair(3, False)], ())
        assert plain(value) == [[str(2**200), True, "0x0102", "text"], [{"size": "3", "flag": False}], []]

    def test_long_bytes_are_cut_and_say_so(self) -> None:
        kept = plain(b"\xab" * (LONGEST_BYTES + 44))
        assert kept == "0x" + "ab" * LONGEST_BYTES + "… (300 bytes)"
        assert plain(b"\xab" * LONGEST_BYTES) == "0x" + "ab" * LONGEST_BYTES


class TestPools:
    async def test_a_pool_is_asked_once(self) -> None:
        node, pools = Node(), PoolTokens()
        node.say(RMN, POOL.function("getToken"), lambda: [LINK])
        reader: Any = node
        assert await pools.find(reader, [RMN, RMN, SOMEBODY]) == {RMN: LINK}, "the other is no pool"
        node.answers.clear()
        assert await pools.find(reader, [RMN]) == {RMN: LINK}

    async def test_an_answer_that_is_no_address(self) -> None:
        assert await PoolTokens().find(_empty(), [RMN]) == {}

    async def test_a_silent_node_is_no_refusal(self) -> None:
        node: Any = Node()
        node.down = True
        with pytest.raises(TemporaryError):
            await PoolTokens().find(node, [RMN])

    async def test_by_chain(self) -> None:
        node, other, pools = Node(), Node(), PoolTokens()
        node.say(RMN, POOL.function("getToken"), lambda: [LINK])
        other.chain_id = ChainId(22)
        asked: Any = node
        await pools.find(asked, [RMN])
        elsewhere: Any = other
        assert await pools.find(elsewhere, [RMN]) == {}


def _empty() -> Any:
    """A chain without any code."""

    class Empty:
        chain_id = CHAIN

        @staticmethod
        async def calls(calls: list[Any]) -> list[bytes]:
            return [b"" for _ in calls]

    return Empty()
