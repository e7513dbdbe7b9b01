"""A FluxAggregator on the fake chain: whose turn it is follows from the parts that were taken, as in the contract."""

from dataclasses import dataclass, field

from seamark.core.ids import Address
from seamark.evm.rpc.errors import CallReverted
from seamark.oracle.targets.flux import ABI
from tests.unit.oracle.fakes import SIGNER, FakeFeed, words

__all__ = ["OTHER", "FakeFlux"]

OTHER = Address("0x" + "0d" * 20)


@dataclass
class FakeFlux(FakeFeed):
    """Rounds need `needed` parts. `parts`: round to oracle to value. `delayed`: we may not begin the next round."""

    needed: int = 2
    delayed: bool = False
    closed: bool = False
    timeout: int = 60
    funds: int = 0
    payment: int = 0
    low: int = 1
    high: int = 10**18
    oracles: tuple[Address, ...] = (SIGNER, OTHER)
    parts: dict[int, dict[str, int]] = field(default_factory=dict)
    began: dict[int, int] = field(default_factory=dict)

    def submit(self, sender, data, block, now):
        call = ABI.function("submit").decode_call(data)
        if sender in self.parts.get(call.roundId, {}):
            raise CallReverted("reverted: cannot report on previous rounds")
        newest = max(self.parts, default=0)
        if call.roundId not in (newest, newest + 1):
            raise CallReverted("reverted: invalid round to report")
        if call.roundId == newest + 1 and newest and newest not in self.rounds:
            raise CallReverted("reverted: previous round not supersedable")
        if self.closed:
            raise CallReverted("reverted: round not accepting submissions")
        return self.take(sender, call.roundId, call.submission, now)

    def take(self, sender, round_id, value, now):
        """Another oracle's part, or ours."""
        events = []
        if round_id not in self.parts:
            self.parts[round_id], self.began[round_id] = {}, now
            events.append(("NewRound", (round_id, sender, now)))
        parts = self.parts[round_id]
        parts[sender] = value
        events.append(("SubmissionReceived", (value, round_id, sender)))
        if len(parts) >= self.needed:
            ordered = sorted(parts.values())
            answer = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2
            self.rounds[round_id] = (answer, self.began[round_id], now)
            events.append(("AnswerUpdated", (answer, round_id, now)))
        return events

    def read(self, data):
        match next((item.name for item in ABI.functions if item.selector == data[:4]), ""):
            case "oracleRoundState":
                return self.turn(ABI.function("oracleRoundState").decode_call(data).oracle)
            case "minSubmissionValue":
                return words(self.low)
            case "maxSubmissionValue":
                return words(self.high)
            case "getOracles":
                return words(32, len(self.oracles), *(int(oracle, 16) for oracle in self.oracles))
        return super().read(data)

    def turn(self, oracle):
        """As `oracleRoundStateSuggestRound` of the contract."""
        newest = max(self.parts, default=0)
        reported = oracle in self.parts.get(newest, {})
        if newest == 0 or (newest in self.rounds and (reported or self.closed)):
            round_id, eligible = newest + 1, not self.delayed
        else:
            round_id, eligible = newest, not reported and not self.closed
        began = self.began.get(round_id, 0)
        return words(
            int(eligible and oracle in self.oracles),
            round_id,
            0,
            began,
            self.timeout if began else 0,
            self.funds,
            len(self.oracles),
            self.payment,
        )
