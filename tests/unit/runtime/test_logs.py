import json

import pytest
import structlog

from seamark.runtime.logs import BLOT, configure_logs, redact_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("http://127.0.0.1:8545/", "http://127.0.0.1:8545"),
        ("https://mainnet.example/v3/abcdef", "https://mainnet.example/***"),
        ("https://user:pass@node.example:8545", "https://node.example:8545"),
        ("https://node.example/?key=abc", "https://node.example/***"),
        ("postgresql+asyncpg://u:p@db/name", "postgresql+asyncpg://db/***"),
        ("not a url", BLOT),
    ],
)
def test_urls_lose_what_may_be_a_key(url: str, shown: str) -> None:
    assert redact_url(url) == shown


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]):
    configure_logs("json")
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    structlog.reset_defaults()


def test_secrets_are_blotted_by_name_and_by_shape(lines) -> None:
    log = structlog.get_logger()
    log.info(
        "start", private_key="0xabc", password="hunter2", api_key="k", node="https://n.example/v3/secret", feed="ETH"
    )
    (line,) = lines()
    assert "hunter2" not in str(line)
    assert "secret" not in line["node"]
    assert (line["private_key"], line["api_key"], line["feed"]) == (BLOT, BLOT, "ETH")


def test_tracebacks_are_blotted_too(lines) -> None:
    log = structlog.get_logger()
    try:
        raise ValueError("cannot reach https://n.example/v3/secret-token")
    except ValueError:
        log.exception("failed")
    (line,) = lines()
    assert "secret-token" not in str(line)
    assert "ValueError" in line["exception"]


def test_level_is_obeyed(lines) -> None:
    configure_logs("json", "warning")
    structlog.get_logger().info("quiet")
    assert lines() == []
