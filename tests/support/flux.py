"""The published FluxAggregator on a local node: compiled from its npm package, and driven as its owner would.

    feed = await deploy_flux(node, oracles, timeout_s=60, restart_delay=0)
    await feed.rounds()          # what the contract holds: {round: answer}
    await feed.submissions()     # who answered which round, in order

The package has sources alone, of Solidity 0.6.6: that compiler's soljson.js is run by the wrapper of the one
that forge uses. Compiled once and kept. Payments are off (paymentAmount 0), so no LINK is needed; `pay` switches them
on, and the token says what `fund` told it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from seamark.core.errors import StopError
from seamark.core.ids import Address
from seamark.devnet.anvil import Anvil
from seamark.evm.abi import Abi
from seamark.evm.artifacts import Artifact, parse_artifact
from seamark.evm.types import Log
from tests.support.anvil import ACCOUNT, deploy, send
from tests.support.npm_package import KEPT, ROOT, npm_package

__all__ = ["FluxFeed", "Submission", "deploy_flux", "flux_artifact"]

SOURCES = (
    "@chainlink/contracts",
    "0.8.0",
    "nUv1Uxw5Mn92wgLs2bgPYmo8hpdQ3s9jB/lcbdU0LmNOVu0hbfmouVnqwRLa28Ll50q6GczUA+eO0ikNIKLZsA==",
)
COMPILER = (
    "solc",
    "0.6.6",
    "p0IO/1fRaHWKN+qR+mUivpwnBpFYD8EoFAzT8VL4lmllNwsyEO7TJJAc2QK0XUeWOYOT92NWKhDNNNLTVbHShA==",
)
COMPILED = KEPT / "FluxAggregator@0.8.0.json"
COMPILE_TIMEOUT_S = 120
OPTIMIZER_RUNS = 1_000_000  # as deployed
MIN_VALUE, MAX_VALUE = 1, 10**13

# Standard JSON in, standard JSON out; imports are relative paths below the folder of the sources.
_RUN_COMPILER = """
const fs = require("fs"), path = require("path");
const solc = require(process.argv[1])(require(process.argv[2]));
const find = name => ({ contents: fs.readFileSync(path.join(process.argv[3], name), "utf8") });
process.stdout.write(solc.compile(fs.readFileSync(0, "utf8"), { import: find }));
"""
# Answers every call with the 32 bytes of storage slot 0; a call with 32 bytes of data and no selector sets them.
_TOKEN = "3660201460125760005460005260206000f35b60003560005500"


@cache
def flux_artifact() -> Artifact:
    """The contract; skips the test where npm cannot fetch it."""
    if not COMPILED.exists():
        sources, compiler = npm_package(*SOURCES), npm_package(*COMPILER)
        text = _compile(sources / "src" / "v0.6", compiler / "soljson.js")
        scratch = COMPILED.with_suffix(".new")
        scratch.write_text(text)
        scratch.rename(COMPILED)
    return parse_artifact(COMPILED.read_bytes())


def _compile(sources: Path, compiler: Path) -> str:
    name = "FluxAggregator.sol"
    wanted = {
        "language": "Solidity",
        "sources": {name: {"content": (sources / name).read_text()}},
        "settings": {
            "optimizer": {"enabled": True, "runs": OPTIMIZER_RUNS},
            "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object"]}},
        },
    }
    wrapper = ROOT / "node_modules" / "solc" / "wrapper.js"
    done = subprocess.run(
        ["node", "-e", _RUN_COMPILER, str(wrapper), str(compiler), str(sources)],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        check=True,
        timeout=COMPILE_TIMEOUT_S,
    )
    built = json.loads(done.stdout)["contracts"][name]["FluxAggregator"]
    code = built["evm"]["bytecode"]["object"]
    return json.dumps({"contractName": "FluxAggregator", "abi": built["abi"], "bytecode": "0x" + code})


@dataclass(frozen=True)
class Submission:
    """One oracle's part of a round, as the contract's event tells it."""

    round: int
    value: int
    oracle: Address


@dataclass
class FluxFeed:
    """A deployed contract and its owner."""

    node: Anvil
    address: Address
    token: Address
    oracles: tuple[Address, ...]
    timeout_s: int
    limits: tuple[int, int, int]

    @property
    def abi(self) -> Abi:
        return flux_artifact().abi

    async def call(self, name: str, *arguments: Any) -> None:
        """As the owner."""
        receipt = await send(self.node, to=self.address, data="0x" + self.abi.encode_call(name, *arguments).hex())
        assert receipt["status"] == "0x1", name

    async def read(self, name: str, *arguments: Any) -> Any:
        data = self.abi.encode_call(name, *arguments)
        said = await self.node.request("eth_call", {"to": self.address, "data": "0x" + data.hex()}, "latest")
        return self.abi.decode_result(name, bytes.fromhex(said[2:]))

    async def configure(self, minimum: int, maximum: int, restart_delay: int) -> None:
        """How many must and may answer, and how many rounds an oracle waits until it begins another."""
        self.limits = (minimum, maximum, restart_delay)
        await self.call("updateFutureRounds", 0, *self.limits, self.timeout_s)

    async def fund(self, amount: int) -> None:
        """From now on the token says that the contract has so much."""
        await send(self.node, to=self.token, data=f"0x{amount:064x}")
        await self.call("updateAvailableFunds")

    async def pay(self, amount: int) -> None:
        """Pay so much for each submission from now on; the contract must have funds for two rounds."""
        await self.call("updateFutureRounds", amount, *self.limits, self.timeout_s)

    async def rounds(self) -> dict[int, int]:
        """The answer of each round that has its own."""
        (latest,) = await self.read("latestRound")
        found = {}
        for number in range(1, latest + 1):
            try:
                round_id, answer, _, _, answered_in = await self.read("getRoundData", number)
            except StopError:  # nobody answered it, nor one before
                continue
            if answered_in == round_id:
                found[number] = answer
        return found

    async def submissions(self) -> list[Submission]:
        event = self.abi.event("SubmissionReceived")
        wanted = {"address": self.address, "topics": [event.topic0], "fromBlock": "0x0"}
        found = []
        for raw in await self.node.request("eth_getLogs", wanted):
            log = Log(self.address, tuple(raw["topics"]), raw["data"], 0, raw["blockHash"], raw["transactionHash"], 0)
            told = event.decode(log)
            found.append(Submission(told.round, told.submission, told.oracle))
        return found


async def deploy_flux(
    node: Anvil,
    oracles: Sequence[Address],
    *,
    timeout_s: int = 60,
    minimum: int | None = None,
    maximum: int | None = None,
    restart_delay: int = 0,
) -> FluxFeed:
    """A feed that all `oracles` answer; by default each round needs more than half of them."""
    artifact = flux_artifact()
    token = await deploy(node, _TOKEN)
    creation = artifact.creation(token, 0, timeout_s, "0x" + "00" * 20, MIN_VALUE, MAX_VALUE, 8, "ETH / USD")
    receipt = await send(node, to=None, data="0x" + creation.hex())
    limits = (minimum or len(oracles) // 2 + 1, maximum or len(oracles), restart_delay)
    feed = FluxFeed(node, Address(receipt["contractAddress"].lower()), token, tuple(oracles), timeout_s, limits)
    await feed.call("changeOracles", [], list(oracles), [ACCOUNT] * len(oracles), *limits)
    return feed
