// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Destinations} from "../src/Destinations.sol";
import {OracleWithCCIP} from "../src/OracleWithCCIP.sol";
import {FeedTest} from "./base/FeedTest.sol";
import {MockRouter} from "./mocks/MockRouter.sol";
import {MockToken} from "./mocks/MockToken.sol";

contract DestinationsTest is FeedTest {
    OracleWithCCIP private oracle;
    MockRouter private router;
    MockToken private link;
    address private receiver = makeAddr("receiver");

    function setUp() public {
        (oracle, router, link) = newOracle(0);
        vm.deal(address(oracle), 100 ether);
    }

    function aDestination() private view returns (Destinations.Destination memory) {
        return toReceiver(oracle, receiver, address(0));
    }

    function sends() private view returns (uint256) {
        return router.sentCount();
    }

    function test_SetDestinationIsReadable() public {
        Destinations.Destination memory wanted = aDestination();
        wanted.minDeviationBps = 50;
        wanted.minInterval = 60;
        vm.expectEmit(address(oracle));
        emit Destinations.DestinationSet(FAR_CHAIN, wanted);
        setDestination(oracle, FAR_CHAIN, wanted);
        eq(abi.encode(oracle.destination(FAR_CHAIN)), abi.encode(wanted), "destination");
        eq(oracle.destinationSelectors().length, 1, "one");
        eq(oracle.destinationSelectors()[0], FAR_CHAIN, "selector");
    }

    function test_SettingAgainChangesAndDoesNotRepeat() public {
        setDestination(oracle, FAR_CHAIN, aDestination());
        Destinations.Destination memory changed = aDestination();
        changed.maxFee = 7;
        setDestination(oracle, FAR_CHAIN, changed);
        eq(oracle.destinationSelectors().length, 1, "still one");
        eq(oracle.destination(FAR_CHAIN).maxFee, 7, "changed");
    }

    function test_RemoveDestination() public {
        setDestination(oracle, FAR_CHAIN, aDestination());
        setDestination(oracle, OTHER_CHAIN, aDestination());
        setDestination(oracle, OTHER_CHAIN + 1, aDestination());
        vm.expectEmit(address(oracle));
        emit Destinations.DestinationRemoved(OTHER_CHAIN);
        vm.prank(admin);
        oracle.removeDestination(OTHER_CHAIN);
        uint64[] memory left = oracle.destinationSelectors();
        eq(left.length, 2, "two left");
        eq(left[0], FAR_CHAIN, "first");
        eq(left[1], OTHER_CHAIN + 1, "second");
        vm.expectRevert(abi.encodeWithSelector(Destinations.UnknownDestination.selector, OTHER_CHAIN));
        oracle.destination(OTHER_CHAIN);
    }

    function test_RemovingForgetsWhatWasSent() public {
        setDestination(oracle, FAR_CHAIN, aDestination());
        submit(oracle, PRICE);
        vm.prank(admin);
        oracle.removeDestination(FAR_CHAIN);
        (uint80 roundId,, uint64 sentAt,) = oracle.lastSent(FAR_CHAIN);
        eq(roundId + sentAt, 0, "forgotten");
    }

    function test_UnknownDestinationsAreNamed() public {
        bytes memory why = abi.encodeWithSelector(Destinations.UnknownDestination.selector, FAR_CHAIN);
        vm.startPrank(admin);
        vm.expectRevert(why);
        oracle.removeDestination(FAR_CHAIN);
        vm.expectRevert(why);
        oracle.setDestinationHeartbeat(FAR_CHAIN, 1);
        vm.expectRevert(why);
        oracle.quote(FAR_CHAIN);
    }

    function test_ReceiverMustBeSensible() public {
        Destinations.Destination memory wrong = aDestination();
        vm.startPrank(admin);
        wrong.receiver = "";
        vm.expectRevert(abi.encodeWithSelector(Destinations.InvalidReceiver.selector, wrong.receiver));
        oracle.setDestination(FAR_CHAIN, wrong);
        wrong.receiver = new bytes(65);
        vm.expectRevert(abi.encodeWithSelector(Destinations.InvalidReceiver.selector, wrong.receiver));
        oracle.setDestination(FAR_CHAIN, wrong);
    }

    function test_ExtraArgsMustBeSensible() public {
        Destinations.Destination memory wrong = aDestination();
        vm.startPrank(admin);
        wrong.extraArgs = "";
        vm.expectRevert(abi.encodeWithSelector(Destinations.InvalidExtraArgs.selector, wrong.extraArgs));
        oracle.setDestination(FAR_CHAIN, wrong);
        wrong.extraArgs = new bytes(513);
        vm.expectRevert(abi.encodeWithSelector(Destinations.InvalidExtraArgs.selector, wrong.extraArgs));
        oracle.setDestination(FAR_CHAIN, wrong);
    }

    function test_FeeTokenIsLinkOrNative() public {
        Destinations.Destination memory wrong = aDestination();
        wrong.feeToken = stranger;
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(Destinations.UnsupportedFeeToken.selector, stranger));
        oracle.setDestination(FAR_CHAIN, wrong);
        wrong.feeToken = address(link);
        oracle.setDestination(FAR_CHAIN, wrong);
    }

    function test_ThereIsRoomForSixteen() public {
        for (uint64 i = 1; i <= 16; ++i) {
            setDestination(oracle, i, aDestination());
        }
        Destinations.Destination memory oneMore = aDestination();
        vm.expectRevert(abi.encodeWithSelector(Destinations.TooManyDestinations.selector, 16));
        vm.prank(admin);
        oracle.setDestination(17, oneMore);
    }

    function test_DefaultExtraArgsAreTagTwoInAnyOrder() public view {
        bytes memory expected = abi.encodePacked(bytes4(0x181dcf10), abi.encode(uint256(200_000), true));
        eq(oracle.defaultExtraArgs(200_000), expected, "extra args");
    }

    function test_EveryRoundGoesOutWithoutLimits() public {
        setDestination(oracle, FAR_CHAIN, aDestination());
        submit(oracle, PRICE);
        pass(1);
        submit(oracle, PRICE);
        eq(sends(), 2, "both");
        (uint80 roundId, int256 answer, uint64 sentAt,) = oracle.lastSent(FAR_CHAIN);
        eq(roundId, 2, "round");
        eq(answer, PRICE, "answer");
        eq(sentAt, block.timestamp, "time");
    }

    function test_DisabledDestinationsGetNothing() public {
        Destinations.Destination memory off = aDestination();
        off.enabled = false;
        setDestination(oracle, FAR_CHAIN, off);
        submit(oracle, PRICE);
        eq(sends(), 0, "off");
    }

    function test_TheFirstRoundGoesOutWhateverTheLimits() public {
        Destinations.Destination memory picky = aDestination();
        picky.minDeviationBps = 10_000;
        picky.minInterval = 1 days;
        setDestination(oracle, FAR_CHAIN, picky);
        submit(oracle, PRICE);
        eq(sends(), 1, "first");
    }

    function test_DeviationIsMeasuredFromWhatWasSent() public {
        Destinations.Destination memory picky = aDestination();
        picky.minDeviationBps = 100;
        setDestination(oracle, FAR_CHAIN, picky);
        submit(oracle, PRICE);
        pass(1);
        submit(oracle, PRICE + PRICE / 100 - 1);
        eq(sends(), 1, "less than 1 %");
        pass(1);
        submit(oracle, PRICE + PRICE / 100);
        eq(sends(), 2, "1 % away from what was sent, if not from the last round");
    }

    function test_IntervalHoldsBackEvenLargeMoves() public {
        Destinations.Destination memory picky = aDestination();
        picky.minInterval = 60;
        setDestination(oracle, FAR_CHAIN, picky);
        submit(oracle, PRICE);
        pass(59);
        submit(oracle, 2 * PRICE);
        eq(sends(), 1, "too early");
        pass(1);
        submit(oracle, 2 * PRICE);
        eq(sends(), 2, "in time");
    }

    function test_HeartbeatSendsWithoutAMove() public {
        Destinations.Destination memory picky = aDestination();
        picky.minDeviationBps = 100;
        setDestination(oracle, FAR_CHAIN, picky);
        vm.expectEmit(address(oracle));
        emit Destinations.DestinationHeartbeatSet(FAR_CHAIN, 3_600);
        vm.prank(admin);
        oracle.setDestinationHeartbeat(FAR_CHAIN, 3_600);
        (,,, uint32 heartbeat) = oracle.lastSent(FAR_CHAIN);
        eq(heartbeat, 3_600, "heartbeat");
        submit(oracle, PRICE);
        pass(3_599);
        submit(oracle, PRICE);
        eq(sends(), 1, "not yet");
        pass(1);
        submit(oracle, PRICE);
        eq(sends(), 2, "heartbeat");
    }

    function testFuzz_DueRule(int256 from, int256 to, uint32 deviation, uint32 interval, uint32 elapsed) public {
        from = boundInt(from, MIN, MAX);
        to = boundInt(to, MIN, MAX);
        deviation = uint32(bound(deviation, 0, 20_000));
        interval = uint32(bound(interval, 0, 10_000));
        elapsed = uint32(bound(elapsed, 1, 20_000));
        Destinations.Destination memory picky = aDestination();
        picky.minDeviationBps = deviation;
        picky.minInterval = interval;
        setDestination(oracle, FAR_CHAIN, picky);
        submit(oracle, from);
        pass(elapsed);
        submit(oracle, to);
        uint256 distance = uint256(to > from ? to - from : from - to);
        bool due = elapsed >= interval && distance * 10_000 >= uint256(from) * deviation;
        eq(sends(), due ? 2 : 1, "sent exactly if due");
    }
}
