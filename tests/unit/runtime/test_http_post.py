"""Posting JSON: answers in a few words, failures without the address."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from seamark.core.errors import TemporaryError
from seamark.runtime.http import ResponseTooLargeError, make_session
from seamark.runtime.http_post import Session, post_json
from tests.support.receivers import Recorder, recorder


@pytest.fixture
async def server() -> AsyncIterator[Recorder]:
    async with recorder() as recording:
        yield recording


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with make_session() as opened:
        yield opened


async def test_what_is_sent_and_what_comes_back(server: Recorder, session: Session) -> None:
    reply = await post_json(session, f"{server.url}/a?b=c", b"{}", {"X-Own": "1"})
    assert (reply.status, reply.accepted, reply.retry_after_s) == (200, True, None)
    (request,) = server.requests
    assert (request.path, request.body, request.headers["X-Own"]) == ("/a?b=c", b"{}", "1")
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "accepted"), [(200, True), (202, True), (204, True), (301, False), (400, False), (503, False)]
)
async def test_only_success_is_accepted(server: Recorder, session: Session, status: int, accepted: bool) -> None:
    server.answers = [status]
    assert (await post_json(session, server.url, b"{}", {})).accepted is accepted


async def test_silence_has_an_end(server: Recorder, session: Session) -> None:
    server.gate.clear()
    with pytest.raises(TemporaryError, match=r"no answer within 0\.05 s"):
        await post_json(session, server.url, b"{}", {}, timeout_s=0.05)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/hunter2", "http://host.invalid/hunter2", "http:///hunter2"])
async def test_who_cannot_be_reached_is_told_without_the_address(session: Session, url: str) -> None:
    with pytest.raises(TemporaryError) as caught:
        await post_json(session, url, b"{}", {})
    assert "hunter2" not in str(caught.value)
    assert "invalid" not in str(caught.value)


async def test_an_answer_without_end_is_not_read(
    server: Recorder, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seamark.runtime.http_post.MAX_REPLY_BYTES", 1)
    with pytest.raises(ResponseTooLargeError):
        await post_json(session, server.url, b"{}", {})
