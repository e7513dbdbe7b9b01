// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {Aggregator} from "../src/Aggregator.sol";
import {FeedConfig, PriceFeed} from "../src/PriceFeed.sol";
import {AggregatorInterface} from "../src/interfaces/AggregatorV2V3Interface.sol";
import {FeedTest} from "./base/FeedTest.sol";

contract AggregatorTest is FeedTest {
    Aggregator private feed;

    function setUp() public {
        feed = newAggregator(0);
    }

    function test_ConfigurationIsReadable() public view {
        eq(feed.feedId(), FEED, "feedId");
        eq(feed.description(), "ETH / USD", "description");
        eq(feed.decimals(), 8, "decimals");
        eq(feed.version(), 1, "version");
        eq(feed.minAnswer(), MIN, "min");
        eq(feed.maxAnswer(), MAX, "max");
        eq(feed.maxStepBps(), 0, "step");
        eq(feed.maxObservationAge(), 900, "age");
        eq(feed.defaultAdmin(), admin, "admin");
    }

    function test_BeforeTheFirstRound() public {
        eq(feed.latestAnswer(), 0, "answer");
        eq(feed.latestTimestamp(), 0, "timestamp");
        eq(feed.latestRound(), 0, "round");
        vm.expectRevert("No data present");
        feed.latestRoundData();
        vm.expectRevert("No data present");
        feed.getRoundData(0);
    }

    function test_SubmitPublishesARound() public {
        uint64 observedAt = uint64(block.timestamp) - 5;
        vm.expectEmit(address(feed));
        emit AggregatorInterface.NewRound(1, publisher, observedAt);
        vm.expectEmit(address(feed));
        emit AggregatorInterface.AnswerUpdated(PRICE, 1, block.timestamp);
        vm.prank(publisher);
        feed.submit(1, PRICE, observedAt);

        (uint80 id, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredIn) = feed.latestRoundData();
        eq(id, 1, "id");
        eq(answer, PRICE, "answer");
        eq(startedAt, observedAt, "startedAt");
        eq(updatedAt, block.timestamp, "updatedAt");
        eq(answeredIn, 1, "answeredInRound");
        eq(feed.latestAnswer(), PRICE, "latestAnswer");
        eq(feed.latestTimestamp(), block.timestamp, "latestTimestamp");
        eq(feed.latestRound(), 1, "latestRound");
        eq(feed.getAnswer(1), PRICE, "getAnswer");
        eq(feed.getTimestamp(1), block.timestamp, "getTimestamp");
    }

    function test_OldRoundsStayReadable() public {
        submit(feed, PRICE);
        pass(10);
        submit(feed, PRICE + 1);
        (, int256 first,,,) = feed.getRoundData(1);
        (, int256 second,,,) = feed.getRoundData(2);
        eq(first, PRICE, "first");
        eq(second, PRICE + 1, "second");
    }

    function testFuzz_UnknownRounds(uint256 roundId) public {
        submit(feed, PRICE);
        vm.assume(roundId != 1);
        eq(feed.getAnswer(roundId), 0, "getAnswer");
        eq(feed.getTimestamp(roundId), 0, "getTimestamp");
        vm.assume(uint80(roundId) != 1);
        vm.expectRevert("No data present");
        feed.getRoundData(uint80(roundId));
    }

    function test_RoundIdsDoNotWrapInGetAnswer() public {
        submit(feed, PRICE);
        eq(feed.getAnswer((1 << 80) + 1), 0, "beyond uint80");
        eq(feed.getTimestamp((1 << 80) + 1), 0, "beyond uint80");
    }

    function testFuzz_OnlyTheNextRoundIsTaken(uint80 roundId) public {
        submit(feed, PRICE);
        pass(1);
        vm.assume(roundId != 2);
        vm.expectRevert(abi.encodeWithSelector(Aggregator.UnexpectedRound.selector, 2, roundId));
        vm.prank(publisher);
        feed.submit(roundId, PRICE, uint64(block.timestamp));
    }

    function testFuzz_AnswersOutOfBoundsRevert(int256 answer) public {
        vm.assume(answer < MIN || answer > MAX);
        vm.expectRevert(abi.encodeWithSelector(PriceFeed.AnswerOutOfRange.selector, answer, MIN, MAX));
        vm.prank(publisher);
        feed.submit(1, answer, uint64(block.timestamp));
    }

    function testFuzz_AnswersWithinBoundsAreTaken(int256 answer) public {
        answer = boundInt(answer, MIN, MAX);
        submit(feed, answer);
        eq(feed.latestAnswer(), answer, "answer");
    }

    function test_BoundsAreInclusive() public {
        submit(feed, MIN);
        pass(1);
        submit(feed, MAX);
        eq(feed.latestRound(), 2, "both taken");
    }

    function testFuzz_ObservationMustBeNewer(uint64 observedAt) public {
        submit(feed, PRICE);
        uint64 last = uint64(block.timestamp);
        pass(10);
        observedAt = uint64(bound(observedAt, 0, last));
        vm.expectRevert(abi.encodeWithSelector(Aggregator.ObservationNotNewer.selector, last, observedAt));
        vm.prank(publisher);
        feed.submit(2, PRICE, observedAt);
    }

    function test_ObservationZeroIsNotNewerThanNothing() public {
        vm.expectRevert(abi.encodeWithSelector(Aggregator.ObservationNotNewer.selector, 0, 0));
        vm.prank(publisher);
        feed.submit(1, PRICE, 0);
    }

    function testFuzz_ObservationFromTheFuture(uint64 observedAt) public {
        uint64 allowed = uint64(block.timestamp) + 60;
        observedAt = uint64(bound(observedAt, allowed + 1, type(uint64).max));
        vm.expectRevert(abi.encodeWithSelector(Aggregator.ObservationInFuture.selector, allowed, observedAt));
        vm.prank(publisher);
        feed.submit(1, PRICE, observedAt);
    }

    function test_ObservationAtTheEdgeOfTheFuture() public {
        vm.prank(publisher);
        feed.submit(1, PRICE, uint64(block.timestamp) + 60);
        eq(feed.latestRound(), 1, "taken");
    }

    function testFuzz_AnObservationIsTakenExactlyWithinTheAge(uint256 age, uint32 limit) public {
        age = bound(age, 0, block.timestamp - 1);
        vm.prank(admin);
        feed.setMaxObservationAge(limit);
        uint64 observedAt = uint64(block.timestamp - age);
        bool taken = limit == 0 || age <= limit;
        if (!taken) {
            uint64 oldest = uint64(block.timestamp) - limit;
            vm.expectRevert(abi.encodeWithSelector(Aggregator.ObservationTooOld.selector, oldest, observedAt));
        }
        vm.prank(publisher);
        feed.submit(1, PRICE, observedAt);
        eq(feed.latestRound(), taken ? 1 : 0, "published exactly if it is young enough");
    }

    function test_AFeedStartsWithFifteenMinutes() public {
        uint64 observedAt = uint64(block.timestamp);
        pass(901);
        vm.expectRevert(abi.encodeWithSelector(Aggregator.ObservationTooOld.selector, observedAt + 1, observedAt));
        vm.prank(publisher);
        feed.submit(1, PRICE, observedAt);
        vm.prank(publisher);
        feed.submit(1, PRICE, observedAt + 1);
        eq(feed.latestTimestamp(), block.timestamp, "taken at the edge");
    }

    function test_TheAgeIsOfTheBlockThatRecordsIt() public {
        bytes memory call = abi.encodeCall(feed.submit, (1, PRICE, uint64(block.timestamp)));
        pass(6 hours);
        vm.prank(publisher);
        (bool ok,) = address(feed).call(call);
        no(ok, "what waited for hours is refused");
        eq(feed.latestRound(), 0, "no round is used up");
        submit(feed, PRICE + 1);
        eq(feed.latestAnswer(), PRICE + 1, "the same round, observed anew");
    }

    function test_AFeedMayStayQuietForLongerThanTheAge() public {
        submit(feed, PRICE);
        pass(30 days);
        submit(feed, PRICE);
        eq(feed.latestRound(), 2, "the age is not measured from the last round");
    }

    function test_AnAgeLongerThanTheChainHasTimeIsNoLimit() public {
        vm.prank(admin);
        feed.setMaxObservationAge(type(uint32).max);
        vm.prank(publisher);
        feed.submit(1, PRICE, 1);
        eq(feed.latestRound(), 1, "taken");
    }

    function test_SetMaxObservationAge() public {
        vm.expectEmit(address(feed));
        emit Aggregator.MaxObservationAgeSet(60);
        vm.prank(admin);
        feed.setMaxObservationAge(60);
        eq(feed.maxObservationAge(), 60, "age");
    }

    function test_ANewFeedTellsItsAge() public {
        vm.expectEmit();
        emit Aggregator.MaxObservationAgeSet(900);
        new Aggregator(config(0), admin);
    }

    function test_ValueIsRefused() public {
        vm.deal(publisher, 1);
        vm.expectRevert(abi.encodeWithSelector(Aggregator.ValueNotAccepted.selector, 1));
        vm.prank(publisher);
        feed.submit{value: 1}(1, PRICE, uint64(block.timestamp));
    }

    function test_PauseStopsSubmissionsAndKeepsReads() public {
        submit(feed, PRICE);
        vm.prank(pauser);
        feed.pause();
        pass(1);
        vm.expectRevert(Pausable.EnforcedPause.selector);
        vm.prank(publisher);
        feed.submit(2, PRICE, uint64(block.timestamp));
        eq(feed.latestAnswer(), PRICE, "readable");
        vm.prank(pauser);
        feed.unpause();
        submit(feed, PRICE);
        eq(feed.latestRound(), 2, "taken again");
    }

    function test_SetBounds() public {
        vm.expectEmit(address(feed));
        emit PriceFeed.BoundsChanged(-5, 5);
        vm.prank(admin);
        feed.setBounds(-5, 5);
        submit(feed, -5);
        eq(feed.latestAnswer(), -5, "negative answers");
    }

    function test_BoundsMustBeOrderedAndFit() public {
        int256 tooLow = int256(type(int192).min) - 1;
        int256 tooHigh = int256(type(int192).max) + 1;
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(PriceFeed.InvalidBounds.selector, 2, 1));
        feed.setBounds(2, 1);
        vm.expectRevert(abi.encodeWithSelector(PriceFeed.InvalidBounds.selector, tooLow, 1));
        feed.setBounds(tooLow, 1);
        vm.expectRevert(abi.encodeWithSelector(PriceFeed.InvalidBounds.selector, 1, tooHigh));
        feed.setBounds(1, tooHigh);
        vm.stopPrank();
        FeedConfig memory wrong = config(0);
        wrong.minAnswer = MAX + 1;
        vm.expectRevert(abi.encodeWithSelector(PriceFeed.InvalidBounds.selector, MAX + 1, MAX));
        new Aggregator(wrong, admin);
    }

    function test_SetMaxStep() public {
        vm.expectEmit(address(feed));
        emit PriceFeed.MaxStepChanged(123);
        vm.prank(admin);
        feed.setMaxStepBps(123);
        eq(feed.maxStepBps(), 123, "step");
    }

    function test_AdminMovesInTwoSteps() public {
        vm.prank(admin);
        feed.beginDefaultAdminTransfer(stranger);
        eq(feed.defaultAdmin(), admin, "not yet");
        pass(1);
        vm.prank(stranger);
        feed.acceptDefaultAdminTransfer();
        eq(feed.defaultAdmin(), stranger, "moved");
    }

    function testFuzz_StrangersAreRejected(address who) public {
        vm.assume(who != admin && who != publisher && who != secondPublisher && who != pauser && who != operator);
        bytes[] memory calls = new bytes[](7);
        calls[0] = abi.encodeCall(feed.submit, (1, PRICE, uint64(block.timestamp)));
        calls[1] = abi.encodeCall(feed.pause, ());
        calls[2] = abi.encodeCall(feed.unpause, ());
        calls[3] = abi.encodeCall(feed.setBounds, (0, 1));
        calls[4] = abi.encodeCall(feed.setMaxStepBps, (1));
        calls[5] = abi.encodeCall(feed.grantRole, (feed.PUBLISHER_ROLE(), who));
        calls[6] = abi.encodeCall(feed.setMaxObservationAge, (0));
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(who);
            (bool ok, bytes memory reply) = address(feed).call(calls[i]);
            no(ok, "must fail");
            eq(bytes32(bytes4(reply)), bytes32(IAccessControl.AccessControlUnauthorizedAccount.selector), "why");
        }
    }
}
