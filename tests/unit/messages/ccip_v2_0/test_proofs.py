"""What verifiers said, out of calldata, files and indexers' answers."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address, Hash32
from seamark.evm.abi import Function
from seamark.messages.protocols.ccip.v2_0.proofs import (
    EXECUTE,
    Attempt,
    GivenProofs,
    IndexerProofs,
    Proof,
    attempts_in,
    read_proofs,
)
from tests.unit.messages.ccip_v2_0.golden import ENCODED, IDS

NAME, OTHER = Hash32(IDS["delivered"]), Hash32(IDS["waits"])
MESSAGE = ENCODED["delivered"]
CCV, SECOND = Address("0x" + "a1" * 20), Address("0x" + "b2" * 20)
PROOF = Proof((CCV, SECOND), (b"\x01\x02", b"\x03"))
CALL = EXECUTE.encode(MESSAGE, PROOF.ccvs, PROOF.results, 0)
MULTICALL = Function.parse("function multicall((address to, bytes data)[] calls)")


class TestCalldata:
    def test_the_published_function(self) -> None:
        assert EXECUTE.signature == "execute(bytes,address[],bytes[],uint32)"

    def test_a_plain_call(self) -> None:
        assert attempts_in(CALL, NAME) == [Attempt(MESSAGE, PROOF)]

    def test_calls_inside_another_contracts_arguments(self) -> None:
        second = EXECUTE.encode(ENCODED["waits"], [CCV], [b""], 7)
        outer = MULTICALL.encode([(CCV, CALL), (CCV, second), (CCV, CALL)])
        assert attempts_in(outer, NAME) == [Attempt(MESSAGE, PROOF)] * 2
        assert attempts_in(outer, OTHER) == [Attempt(ENCODED["waits"], Proof((CCV,), (b"",)))]

    def test_an_attempt_for_another_message_is_none(self) -> None:
        assert attempts_in(CALL, OTHER) == []

    def test_four_bytes_that_only_look_like_a_call(self) -> None:
        assert attempts_in(b"\x12\x34\x56\x78" + bytes(28) + EXECUTE.selector + bytes(60), NAME) == []
        assert attempts_in(EXECUTE.selector, NAME) == []
        assert attempts_in(b"", NAME) == []

    def test_verifiers_and_results_that_do_not_pair(self) -> None:
        assert attempts_in(EXECUTE.encode(MESSAGE, [CCV, SECOND], [b""], 0), NAME) == []

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=300), st.integers(0, len(CALL)))
    def test_any_bytes_are_read_or_left(self, noise: bytes, cut: int) -> None:
        for found in (*attempts_in(noise + CALL[:cut], NAME), *attempts_in(CALL[:cut] + noise, NAME)):
            assert found.encoded == MESSAGE


def answer(*results: tuple[str, str, str], name: str = NAME) -> bytes:
    said = [
        {
            "verifierResult": {
                "message_id": of,
                "message": {"version": 1},
                "verifier_dest_address": ccv,
                "verifier_source_address": "0x" + "00" * 20,
                "ccv_data": data,
                "timestamp": "2026-01-01T00:00:00Z",
            },
            "metadata": {"verifier_name": "x"},
        }
        for of, ccv, data in results
    ]
    return msgspec.json.encode({"success": True, "results": said, "messageID": name})


class TestFiles:
    def test_an_indexers_answer(self) -> None:
        text = answer((NAME, CCV, "0x0102"), (NAME, SECOND, "0x03"))
        assert read_proofs(text) == {NAME: PROOF}

    def test_results_that_do_not_repeat_the_message_id(self) -> None:
        assert read_proofs(answer(("", CCV, "0x01"))) == {NAME: Proof((CCV,), (b"\x01",))}

    def test_an_answer_without_results_has_no_proof(self) -> None:
        assert read_proofs(answer()) == {}

    @pytest.mark.parametrize("several", [False, True])
    def test_a_file_that_a_person_wrote(self, several: bool) -> None:
        one = {"message_id": NAME, "ccvs": list(PROOF.ccvs), "verifier_results": ["0x0102", "0x03"]}
        assert read_proofs(msgspec.json.encode([one] if several else one)) == {NAME: PROOF}

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (b"", "malformed|truncated"),
            (b"no json", "malformed"),
            (b"{}", "results"),
            (b'[{"message_id": "0x12", "ccvs": [], "verifier_results": []}]', "32 bytes"),
            (b'{"message_id": "%s", "ccvs": [], "verifier_results": ["0x"]}' % NAME.encode(), "0 ccvs and 1"),
            (b'{"message_id": "%s", "ccvs": ["0x1"], "verifier_results": ["0x"]}' % NAME.encode(), "not an address"),
            (answer((NAME, CCV, "zz")), "hex data"),
            (answer((NAME, "0x12", "0x")), "not an address"),
            (answer(("", CCV, "0x"), name=""), "32 bytes"),
        ],
    )
    def test_what_cannot_be_read_is_told_with_a_remedy(self, text: bytes, problem: str) -> None:
        with pytest.raises(RejectedError, match=problem) as caught:
            read_proofs(text)
        assert "verifierresults" in caught.value.remedy


class TestSources:
    async def test_what_a_person_gave(self) -> None:
        given_ = GivenProofs({NAME: PROOF})
        assert list(await given_.find(NAME)) == [PROOF]
        assert list(await given_.find(OTHER)) == []

    async def test_an_indexer_is_asked_by_message_id(self) -> None:
        asked = []

        async def get(url: str) -> bytes | None:
            asked.append(url)
            return answer((NAME, CCV, "0x0102"), (NAME, SECOND, "0x03"))

        assert list(await IndexerProofs("http://127.0.0.1/", get).find(NAME)) == [PROOF]
        assert asked == [f"http://127.0.0.1/v1/verifierresults/{NAME}"]
        assert list(await IndexerProofs("http://127.0.0.1", get).find(OTHER)) == [], "an answer about another message"

    async def test_an_indexer_that_does_not_know_it(self) -> None:
        async def get(_: str) -> bytes | None:
            return None

        assert list(await IndexerProofs("http://127.0.0.1", get).find(NAME)) == []

    async def test_an_indexer_that_does_not_answer(self) -> None:
        async def get(_: str) -> bytes | None:
            raise TemporaryError("no answer")

        with pytest.raises(
            TemporaryError, match=r"the indexer at http://127\.0\.0\.1.* does not answer: no answer"
        ) as caught:
            await IndexerProofs("http://user:secret@127.0.0.1/key", get).find(NAME)
        assert "secret" not in str(caught.value)
