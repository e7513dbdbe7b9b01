// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Aggregator} from "../src/Aggregator.sol";
import {FeedTest} from "./base/FeedTest.sol";

contract AggregatorParkingTest is FeedTest {
    uint32 private constant STEP_BPS = 1_000; // 10 %
    int256 private constant JUMP = 2 * PRICE;

    Aggregator private feed;

    function setUp() public {
        feed = newAggregator(STEP_BPS);
    }

    function startAt(int256 answer) private {
        submit(feed, answer);
        pass(10);
    }

    function parkJump() private returns (uint64 observedAt) {
        startAt(PRICE);
        observedAt = uint64(block.timestamp);
        submit(feed, JUMP);
    }

    function nothingParked() private view {
        (uint80 roundId, int256 answer, uint64 observedAt, address who) = feed.parkedAnswer();
        eq(roundId, 0, "no round");
        eq(answer, 0, "no answer");
        eq(observedAt, 0, "no time");
        eq(who, address(0), "nobody");
    }

    function test_TheFirstRoundIsNeverParked() public {
        submit(feed, MAX);
        eq(feed.latestAnswer(), MAX, "published");
    }

    function test_AStepOfExactlyTheLimitIsPublished() public {
        startAt(PRICE);
        submit(feed, PRICE + PRICE / 10);
        eq(feed.latestRound(), 2, "up");
        pass(1);
        submit(feed, (PRICE + PRICE / 10) * 9 / 10);
        eq(feed.latestRound(), 3, "down");
    }

    function test_AStepBeyondTheLimitIsParked() public {
        startAt(PRICE);
        vm.expectEmit(address(feed));
        emit Aggregator.AnswerParked(2, PRICE + PRICE / 10 + 1, uint64(block.timestamp), publisher);
        submit(feed, PRICE + PRICE / 10 + 1);
        eq(feed.latestRound(), 1, "no round is used up");
        eq(feed.latestAnswer(), PRICE, "the old answer stands");
        (uint80 roundId, int256 answer, uint64 observedAt, address who) = feed.parkedAnswer();
        eq(roundId, 2, "round");
        eq(answer, PRICE + PRICE / 10 + 1, "answer");
        eq(observedAt, block.timestamp, "time");
        eq(who, publisher, "publisher");
    }

    function test_ASecondPublisherConfirmsAtOnce() public {
        parkJump();
        vm.expectEmit(address(feed));
        emit Aggregator.ParkedAnswerCleared(2, JUMP);
        submitAs(feed, secondPublisher, JUMP + 1, 0);
        eq(feed.latestAnswer(), JUMP + 1, "confirmed");
        nothingParked();
    }

    function test_TheSamePublisherDoesNotConfirmInTheSameBlock() public {
        parkJump();
        vm.warp(block.timestamp + 5);
        submit(feed, JUMP);
        eq(feed.latestRound(), 1, "still parked");
    }

    function test_TheSamePublisherDoesNotConfirmWithTheSameObservation() public {
        uint64 observedAt = parkJump();
        pass(5);
        vm.prank(publisher);
        feed.submit(2, JUMP, observedAt);
        eq(feed.latestRound(), 1, "still parked");
    }

    function test_TimeConfirms() public {
        parkJump();
        pass(5);
        submit(feed, JUMP + 1);
        eq(feed.latestAnswer(), JUMP + 1, "confirmed");
        nothingParked();
    }

    function test_AnObservationThatIsTooOldConfirmsNothing() public {
        uint64 observedAt = parkJump();
        pass(901 + 1);
        vm.expectRevert(abi.encodeWithSelector(Aggregator.ObservationTooOld.selector, observedAt + 2, observedAt + 1));
        vm.prank(secondPublisher);
        feed.submit(2, JUMP, observedAt + 1);
        (uint80 roundId,,,) = feed.parkedAnswer();
        eq(roundId, 2, "still parked");
    }

    function test_AnAnswerFarFromTheParkedOneReplacesIt() public {
        parkJump();
        pass(5);
        submitAs(feed, secondPublisher, 3 * JUMP, 0);
        eq(feed.latestRound(), 1, "parked again");
        (, int256 answer,, address who) = feed.parkedAnswer();
        eq(answer, 3 * JUMP, "the newer one");
        eq(who, secondPublisher, "its publisher");
    }

    function test_AReturnWithinTheStepPublishesAndClears() public {
        parkJump();
        pass(5);
        submit(feed, PRICE + 1);
        eq(feed.latestAnswer(), PRICE + 1, "published");
        nothingParked();
    }

    function test_LiftingTheLimitPublishesAndClears() public {
        parkJump();
        vm.prank(admin);
        feed.setMaxStepBps(0);
        pass(5);
        submit(feed, 5 * JUMP);
        eq(feed.latestAnswer(), 5 * JUMP, "published");
        nothingParked();
    }

    function test_StepsAreMeasuredFromNegativeAnswersToo() public {
        vm.prank(admin);
        feed.setBounds(-MAX, MAX);
        startAt(-1_000);
        submit(feed, -1_100);
        eq(feed.latestRound(), 2, "10 % down");
        pass(1);
        submit(feed, 1_100);
        eq(feed.latestRound(), 2, "a change of sign is parked");
    }

    function test_AnyMoveFromZeroIsParked() public {
        vm.prank(admin);
        feed.setBounds(-MAX, MAX);
        startAt(0);
        submit(feed, 1);
        eq(feed.latestRound(), 1, "parked");
        pass(1);
        submit(feed, 1);
        eq(feed.latestRound(), 2, "and confirmed by time");
    }

    function test_ExtremesDoNotOverflow() public {
        vm.startPrank(admin);
        feed.setBounds(type(int192).min, type(int192).max);
        feed.setMaxStepBps(type(uint32).max);
        vm.stopPrank();
        startAt(type(int192).min);
        submit(feed, type(int192).max);
        pass(1);
        submit(feed, type(int192).min);
        eq(feed.latestRound(), 3, "a step of 200 % is allowed here");
    }

    function testFuzz_StepRule(int256 from, int256 to, uint32 stepBps) public {
        from = boundInt(from, MIN, MAX);
        to = boundInt(to, MIN, MAX);
        stepBps = uint32(bound(stepBps, 1, 100_000));
        vm.prank(admin);
        feed.setMaxStepBps(stepBps);
        startAt(from);
        submit(feed, to);
        uint256 distance = uint256(to > from ? to - from : from - to);
        bool allowed = distance * 10_000 <= uint256(from) * stepBps;
        eq(feed.latestRound(), allowed ? 2 : 1, "published exactly if the step is allowed");
    }
}
