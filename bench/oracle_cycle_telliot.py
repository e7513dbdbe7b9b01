"""The peer's side of `bench.oracle_cycle`, run by an interpreter that has telliot-feeds: its aggregator as it is, over
its own sources, whose services are pointed to the venue of the benchmark.

    python oracle_cycle_telliot.py URL SOURCES CYCLES       the last line: milliseconds of each cycle, as JSON
"""

import asyncio
import json
import sys
import time

from telliot_feeds.sources.price.spot.coinbase import CoinbaseSpotPriceSource
from telliot_feeds.sources.price_aggregator import PriceAggregator


async def main(url: str, sources: int, cycles: int) -> None:
    made = [CoinbaseSpotPriceSource(asset="btc", currency="usd") for _ in range(sources)]
    for number, source in enumerate(made):
        source.service.url = f"{url}/{number}"
    aggregator = PriceAggregator(asset="btc", currency="usd", algorithm="median", sources=made)
    taken = []
    for _ in range(cycles):
        began = time.perf_counter()
        price, _ = await aggregator.fetch_new_datapoint()
        assert price == 64000.12, price
        taken.append((time.perf_counter() - began) * 1000)
    print(json.dumps(taken))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
