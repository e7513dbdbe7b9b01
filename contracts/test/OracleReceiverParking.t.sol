// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {OracleReceiver} from "../src/OracleReceiver.sol";
import {PriceFeed} from "../src/PriceFeed.sol";
import {PriceUpdate} from "../src/libraries/PriceUpdate.sol";
import {ReceiverTest} from "./base/ReceiverTest.sol";

contract OracleReceiverParkingTest is ReceiverTest {
    uint8 private constant OUT_OF_RANGE = 1;
    uint8 private constant IN_FUTURE = 2;
    uint8 private constant STEP = 3;
    int256 private constant JUMP = 2 * PRICE;

    /// @dev Every test starts at round 1 with PRICE, as message 1, and a step limit of 10 %.
    function setUp() public {
        setUpReceiver(1_000);
        deliver(update(1, PRICE));
        pass(10);
    }

    function expectParked(uint80 roundId, uint256 message, int256 answer, uint8 reason) private {
        vm.expectEmit(address(receiver));
        emit OracleReceiver.UpdateParked(roundId, messageId(message), answer, uint64(block.timestamp), reason);
    }

    function expectDiscarded(uint80 roundId, uint256 message) private {
        vm.expectEmit(address(receiver));
        emit OracleReceiver.ParkedUpdateDiscarded(roundId, messageId(message));
    }

    function current(uint80 roundId, int256 answer) private view {
        eq(receiver.latestRound(), roundId, "current round");
        eq(receiver.latestAnswer(), answer, "current answer");
    }

    function observed(uint80 roundId, int256 answer, uint64 observedAt)
        private
        view
        returns (PriceUpdate.Update memory u)
    {
        u = update(roundId, answer);
        u.observedAt = observedAt;
    }

    function test_AJumpIsParkedWithoutARevert() public {
        expectParked(2, 2, JUMP, STEP);
        deliver(update(2, JUMP));
        current(1, PRICE);
        OracleReceiver.Received memory parked = receiver.parkedUpdate();
        eq(parked.messageId, messageId(2), "message");
        eq(parked.answer, JUMP, "answer");
        eq(parked.roundId, 2, "round");
        eq(parked.observedAt, block.timestamp, "observed");
        eq(parked.updatedAt, block.timestamp, "updated");
        eq(parked.sourceChainSelector, FAR_CHAIN, "source");
        eq(parked.parkedReason, STEP, "reason");
    }

    function testFuzz_OutOfBoundsIsParked(int256 answer) public {
        vm.assume(answer < MIN || answer > MAX);
        expectParked(2, 2, answer, OUT_OF_RANGE);
        deliver(update(2, answer));
        current(1, PRICE);
    }

    function test_TheFirstUpdateIsParkedOnlyForBoundsAndClock() public {
        setUpReceiver(1_000);
        deliver(update(2, MAX + 1));
        eq(receiver.latestRound(), 0, "parked");
        deliver(update(3, MAX));
        current(3, MAX);
        nothingParked();
    }

    function testFuzz_TheFutureIsParked(uint64 ahead, bool which) public {
        ahead = uint64(bound(ahead, 301, 1 days));
        PriceUpdate.Update memory u = update(2, PRICE);
        if (which) u.observedAt += ahead;
        else u.updatedAt += ahead;
        vm.expectEmit(address(receiver));
        emit OracleReceiver.UpdateParked(2, messageId(2), PRICE, u.observedAt, IN_FUTURE);
        deliver(u);
        current(1, PRICE);
    }

    function test_ALittleFutureIsTaken() public {
        deliver(observed(2, PRICE, uint64(block.timestamp) + 300));
        current(2, PRICE);
    }

    function test_ANearLaterRoundConfirms() public {
        deliver(update(2, JUMP));
        pass(10);
        expectDiscarded(2, 2);
        deliver(update(3, JUMP + 1));
        current(3, JUMP + 1);
        nothingParked();
    }

    function test_ANearEarlierRoundConfirmsTheParkedOne() public {
        uint64 earlier = uint64(block.timestamp);
        pass(10);
        deliver(update(3, JUMP));
        deliver(observed(2, JUMP - 1, earlier));
        current(3, JUMP);
        nothingParked();
    }

    function test_AStepOnTheWayBringsTheParkedOneIntoReach() public {
        uint64 earlier = uint64(block.timestamp);
        pass(10);
        deliver(update(3, PRICE * 118 / 100));
        current(1, PRICE);
        deliver(observed(2, PRICE * 108 / 100, earlier));
        current(3, PRICE * 118 / 100);
        nothingParked();
    }

    function test_AStepOnTheWayThatIsTooShortLeavesItParked() public {
        uint64 earlier = uint64(block.timestamp);
        pass(10);
        deliver(update(3, JUMP));
        deliver(observed(2, PRICE + 1, earlier));
        current(2, PRICE + 1);
        eq(receiver.parkedUpdate().roundId, 3, "still parked");
    }

    function test_TheSameRoundTwiceConfirmsNothing() public {
        deliver(update(2, JUMP));
        pass(10);
        vm.expectEmit(address(receiver));
        emit OracleReceiver.UpdateIgnored(2, messageId(3), 3);
        deliver(update(2, JUMP));
        current(1, PRICE);
    }

    function test_AFarLaterRoundReplacesTheParkedOne() public {
        deliver(update(2, JUMP));
        pass(10);
        expectDiscarded(2, 2);
        expectParked(3, 3, 3 * JUMP, STEP);
        deliver(update(3, 3 * JUMP));
        eq(receiver.parkedUpdate().roundId, 3, "the newer one");
    }

    function test_AFarEarlierRoundDoesNot() public {
        uint64 earlier = uint64(block.timestamp);
        pass(10);
        deliver(update(3, JUMP));
        vm.expectEmit(address(receiver));
        emit OracleReceiver.UpdateIgnored(2, messageId(3), 3);
        deliver(observed(2, 3 * JUMP, earlier));
        eq(receiver.parkedUpdate().roundId, 3, "the newer one");
    }

    function test_AReturnDiscardsTheParkedOne() public {
        deliver(update(2, JUMP));
        pass(10);
        expectDiscarded(2, 2);
        deliver(update(3, PRICE + 1));
        current(3, PRICE + 1);
        nothingParked();
    }

    function test_AnEarlierRoundWithALaterObservationDiscardsTheParkedOne() public {
        // Cannot come from our own source, whose rounds and times rise together; must not wedge the feed either.
        deliver(update(3, JUMP));
        pass(10);
        expectDiscarded(3, 2);
        deliver(update(2, PRICE + 1));
        current(2, PRICE + 1);
        nothingParked();
    }

    function test_OutOfBoundsIsNotConfirmedByNeighbours() public {
        deliver(update(2, MAX + 1));
        pass(10);
        deliver(update(3, MAX));
        current(1, PRICE);
        eq(receiver.parkedUpdate().roundId, 3, "parked for its step");
    }

    function test_TheFutureConfirmsNothing() public {
        PriceUpdate.Update memory u = update(2, JUMP);
        u.observedAt += 1 days;
        deliver(u);
        pass(10);
        deliver(update(3, JUMP));
        current(1, PRICE);
        eq(receiver.parkedUpdate().roundId, 3, "parked for its step");
    }

    function test_AcceptOverrulesTheStep() public {
        deliver(update(2, JUMP));
        vm.expectEmit(address(receiver));
        emit OracleReceiver.UpdateReceived(
            2, JUMP, uint64(block.timestamp), uint64(block.timestamp), uint64(block.timestamp), messageId(2), FAR_CHAIN
        );
        vm.prank(operator);
        receiver.acceptParked(messageId(2));
        current(2, JUMP);
        nothingParked();
    }

    function test_AcceptDoesNotOverruleTheBounds() public {
        deliver(update(2, MAX + 1));
        vm.expectRevert(abi.encodeWithSelector(PriceFeed.AnswerOutOfRange.selector, MAX + 1, MIN, MAX));
        vm.prank(operator);
        receiver.acceptParked(messageId(2));
        vm.prank(admin);
        receiver.setBounds(MIN, MAX + 1);
        vm.prank(operator);
        receiver.acceptParked(messageId(2));
        current(2, MAX + 1);
    }

    function test_AcceptDoesNotOverruleTheClock() public {
        PriceUpdate.Update memory u = update(2, PRICE);
        u.updatedAt += 1 days;
        deliver(u);
        vm.expectRevert(abi.encodeWithSelector(OracleReceiver.ParkedInFuture.selector, u.observedAt, u.updatedAt));
        vm.prank(operator);
        receiver.acceptParked(messageId(2));
        pass(1 days);
        vm.prank(operator);
        receiver.acceptParked(messageId(2));
        current(2, PRICE);
    }

    function test_OnlyWhatIsParkedCanBeSettled() public {
        vm.startPrank(operator);
        vm.expectRevert(abi.encodeWithSelector(OracleReceiver.NotParked.selector, bytes32(0)));
        receiver.acceptParked(0);
        vm.expectRevert(abi.encodeWithSelector(OracleReceiver.NotParked.selector, messageId(1)));
        receiver.discardParked(messageId(1));
        vm.stopPrank();
        deliver(update(2, JUMP));
        vm.expectRevert(abi.encodeWithSelector(OracleReceiver.NotParked.selector, messageId(1)));
        vm.prank(operator);
        receiver.acceptParked(messageId(1));
    }

    function test_Discard() public {
        deliver(update(2, JUMP));
        expectDiscarded(2, 2);
        vm.prank(operator);
        receiver.discardParked(messageId(2));
        nothingParked();
        current(1, PRICE);
    }

    function test_APausedReceiverAcceptsNothing() public {
        deliver(update(2, JUMP));
        vm.prank(pauser);
        receiver.pause();
        vm.expectRevert(Pausable.EnforcedPause.selector);
        vm.prank(operator);
        receiver.acceptParked(messageId(2));
    }
}
