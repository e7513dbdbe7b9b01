"""What the devnet of a reporting network reads of its nodes, and what it sets up."""

from __future__ import annotations

import asyncio

from seamark.devnet.reporting import NodeGauges, free_ports, parse_gauges, read_gauges

TEXT = """# HELP ocr2_epoch The epoch this node is in.
# TYPE ocr2_epoch gauge
ocr2_epoch{chain="devnet",feed="BTC/USD"} 7.0
ocr2_epoch{chain="devnet",feed="ETH/USD"} 9.0
reporting_transmissions_total{chain="devnet",feed="BTC/USD",outcome="mined"} 3.0
reporting_transmissions_total{chain="devnet",feed="BTC/USD",outcome="sent"} 4.0
oracle_price{chain="devnet",feed="BTC/USD"} NaN
seamark_start_time_seconds 1.795284286e+09
"""


def test_metrics_are_found_by_name_and_labels() -> None:
    found = parse_gauges(TEXT)
    assert found.of("ocr2_epoch") == 7
    assert found.of("ocr2_epoch", 'feed="ETH/USD"') == 9
    assert found.of("reporting_transmissions_total", 'feed="BTC/USD"', 'outcome="sent"') == 4
    assert found.of("seamark_start_time_seconds") == 1_795_284_286
    assert found.of("ocr2_epoch", 'feed="LINK/USD"') is None
    assert found.of("nothing") is None


def test_text_that_is_no_metrics_has_none() -> None:
    assert parse_gauges("<html>404</html>") == NodeGauges({})


async def test_a_node_that_does_not_answer_is_none() -> None:
    (port,) = free_ports(1)
    assert await read_gauges([port]) == [None]


async def test_each_node_is_read() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(TEXT) + TEXT.encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        found = await read_gauges([port, free_ports(1)[0]])
    assert found[0] is not None
    assert found[0].of("ocr2_epoch") == 7
    assert found[1] is None


def test_ports_are_different() -> None:
    assert len(set(free_ports(20))) == 20
