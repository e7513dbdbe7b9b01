import asyncio

import pytest
import structlog

from seamark.app.patience import LEAST_S, RETRY_S, first_answer, patiently
from seamark.core.errors import RejectedError, SettingsError, TemporaryError
from seamark.evm.rpc.errors import WrongChain
from tests.support.clock import FakeClock


class Node:
    """Answers with its errors one after the other, then with 138."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked = 0

    async def ask(self) -> int:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return 138


async def ask(node: Node, limit_s: float, clock: FakeClock | None = None) -> int:
    return await first_answer(node.ask, clock=clock or FakeClock(), limit_s=limit_s, setting="RPC_URL")


async def test_the_first_answer_counts() -> None:
    node = Node()
    assert await ask(node, 15) == 138
    assert node.asked == 1


async def test_a_node_that_is_being_restarted_is_waited_for_and_that_is_told_once() -> None:
    clock = FakeClock()
    node = Node(*(TemporaryError("connection refused") for _ in range(4)))
    with structlog.testing.capture_logs() as logs:
        assert await ask(node, 15, clock) == 138
    assert clock.slept == [RETRY_S] * 4
    assert [(line["event"], line["setting"], line["reason"]) for line in logs] == [
        ("waiting for a node", "RPC_URL", "connection refused")
    ]


async def test_a_node_that_stays_away_is_named_with_the_remedy() -> None:
    clock = FakeClock()
    node = Node(*(TemporaryError("connection refused") for _ in range(1000)))
    with pytest.raises(SettingsError) as error:
        await ask(node, 15, clock)
    assert str(error.value) == (
        "RPC_URL: no node answers (connection refused); check that the node runs and that the address is right"
    )
    assert sum(clock.slept) <= 15


async def test_without_patience_it_is_asked_once() -> None:
    node = Node(*(TemporaryError("connection refused") for _ in range(10)))
    with pytest.raises(SettingsError):
        await ask(node, 0)
    assert node.asked == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            RejectedError("401 unauthorized"),
            "RPC_URL: the node refuses to answer (401 unauthorized); check the address",
        ),
        (
            WrongChain("node", expected=1, actual=138),
            "RPC_URL: node serves chain id 138, but the settings say 1; correct",
        ),
    ],
)
async def test_what_time_does_not_heal_ends_it_at_once(error: Exception, words: str) -> None:
    node = Node(error)
    with pytest.raises(SettingsError) as found:
        await ask(node, 15)
    assert str(found.value).startswith(words)
    assert node.asked == 1


async def test_silence_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seamark.app.patience.LEAST_S", 0.01)

    async def silent() -> int:
        await asyncio.Event().wait()
        return 0

    assert LEAST_S > 1
    with pytest.raises(SettingsError, match="no node answers \\(silence for 0 s\\)"):
        await first_answer(silent, clock=FakeClock(), limit_s=0, setting="RPC_URL")


# ---- work that fails now and then ------------------------------------------------------------------------------------


async def work(node: Node, limit_s: float, clock: FakeClock | None = None) -> int:
    return await patiently(node.ask, clock=clock or FakeClock(), limit_s=limit_s, what="check the router")


async def test_what_fails_now_and_then_is_done_again_and_that_is_told() -> None:
    clock = FakeClock()
    node = Node(TemporaryError("half a reply"), TemporaryError("connection reset"))
    with structlog.testing.capture_logs() as logs:
        assert await work(node, 15, clock) == 138
    assert clock.slept == [RETRY_S] * 2
    assert [(line["event"], line["what"], line["error"]) for line in logs] == [
        ("trying again", "check the router", "half a reply"),
        ("trying again", "check the router", "connection reset"),
    ]


async def test_what_goes_on_failing_is_raised_when_time_is_up() -> None:
    clock = FakeClock()
    with pytest.raises(TemporaryError, match="half a reply"):
        await work(Node(*(TemporaryError("half a reply") for _ in range(1000))), 15, clock)
    assert 14 < sum(clock.slept) <= 15


async def test_wrong_settings_are_not_tried_again() -> None:
    node = Node(SettingsError("ccip.chains[0].router", "is not a CCIP router"))
    with pytest.raises(SettingsError):
        await work(node, 15)
    assert node.asked == 1
