// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {PriceUpdate} from "../src/libraries/PriceUpdate.sol";
import {ReceiverTest} from "./base/ReceiverTest.sol";

/// @title Messages come late, twice or never: the receiver ends up where the source is.
contract ConvergenceTest is ReceiverTest {
    uint256 private constant MAX_ROUNDS = 12;
    int256 private constant STEP_PERCENT = 10;

    PriceUpdate.Update[] private _rounds;

    /// @dev Rounds as a source might publish them: small moves, and jumps anywhere. The last two are close together.
    function makeRounds(uint256 seed, uint256 count) private {
        int256 answer = PRICE;
        for (uint80 i = 1; i <= count; ++i) {
            uint256 dice = uint256(keccak256(abi.encode(seed, i)));
            bool jump = dice % 3 == 0 && i < count;
            answer = jump ? boundInt(int256(dice >> 8), MIN, MAX) : nearby(answer, dice >> 8);
            PriceUpdate.Update memory u = update(i, answer);
            u.observedAt += uint64(i);
            u.updatedAt += uint64(i);
            _rounds.push(u);
        }
        pass(1 hours);
    }

    /// @dev An answer that is at most 9 % away.
    function nearby(int256 answer, uint256 dice) private pure returns (int256) {
        int256 reach = answer * (STEP_PERCENT - 1) / 100;
        int256 next = answer + boundInt(int256(dice), -reach, reach);
        return next < MIN ? MIN : next > MAX ? MAX : next;
    }

    /// @dev Deliver rounds in random order, with repetitions and omissions; but each of the last `sure` at least once.
    function deliverSome(uint256 seed, uint256 sure) private {
        uint256 count = _rounds.length;
        uint256[] memory order = new uint256[](count * 2);
        for (uint256 i = 0; i < order.length; ++i) {
            order[i] = i < sure ? count - 1 - i : uint256(keccak256(abi.encode(seed, "pick", i))) % count;
        }
        uint256 length = sure + seed % (order.length - sure + 1);
        for (uint256 i = length; i > 1; --i) {
            uint256 j = uint256(keccak256(abi.encode(seed, "swap", i))) % i;
            (order[i - 1], order[j]) = (order[j], order[i - 1]);
        }
        for (uint256 i = 0; i < length; ++i) {
            deliver(_rounds[order[i]]);
        }
    }

    function testFuzz_WithoutAStepLimitTheNewestWins(uint256 seed, uint256 count) public {
        setUpReceiver(0);
        makeRounds(seed, bound(count, 1, MAX_ROUNDS));
        deliverSome(seed, 1);
        isAtTheNewest();
    }

    function testFuzz_WithAStepLimitTheNewestWinsOnceTwoRoundsAgree(uint256 seed, uint256 count) public {
        setUpReceiver(1_000);
        makeRounds(seed, bound(count, 2, MAX_ROUNDS));
        deliverSome(seed, 2);
        isAtTheNewest();
    }

    function isAtTheNewest() private view {
        PriceUpdate.Update memory newest = _rounds[_rounds.length - 1];
        eq(receiver.latestRound(), newest.roundId, "round");
        eq(receiver.latestAnswer(), newest.answer, "answer");
        nothingParked();
    }
}
