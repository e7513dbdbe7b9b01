// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Aggregator} from "../../src/Aggregator.sol";
import {Destinations} from "../../src/Destinations.sol";
import {OracleReceiver} from "../../src/OracleReceiver.sol";
import {OracleWithCCIP} from "../../src/OracleWithCCIP.sol";
import {FeedConfig} from "../../src/PriceFeed.sol";
import {PriceUpdate} from "../../src/libraries/PriceUpdate.sol";
import {MockRouter} from "../mocks/MockRouter.sol";
import {MockToken} from "../mocks/MockToken.sol";
import {Test} from "./Test.sol";

/// @title The people, numbers and contracts that the tests share.
abstract contract FeedTest is Test {
    bytes32 internal constant FEED = keccak256("ETH / USD");
    int256 internal constant MIN = 1e8;
    int256 internal constant MAX = 1_000_000e8;
    int256 internal constant PRICE = 2_000e8;
    uint64 internal constant NEAR_CHAIN = 1111;
    uint64 internal constant FAR_CHAIN = 2222;
    uint64 internal constant OTHER_CHAIN = 3333;
    uint256 internal constant FEE = 0.01 ether;

    address internal admin = makeAddr("admin");
    address internal publisher = makeAddr("publisher");
    address internal secondPublisher = makeAddr("secondPublisher");
    address internal pauser = makeAddr("pauser");
    address internal operator = makeAddr("operator");
    address internal stranger = makeAddr("stranger");

    function config(uint32 maxStepBps) internal pure returns (FeedConfig memory) {
        return FeedConfig(FEED, "ETH / USD", 8, MIN, MAX, maxStepBps);
    }

    function newAggregator(uint32 maxStepBps) internal returns (Aggregator feed) {
        feed = new Aggregator(config(maxStepBps), admin);
        grantRoles(feed);
    }

    function newOracle(uint32 maxStepBps) internal returns (OracleWithCCIP oracle, MockRouter router, MockToken link) {
        link = new MockToken();
        router = new MockRouter(NEAR_CHAIN, FEE);
        oracle = new OracleWithCCIP(config(maxStepBps), admin, address(router), address(link));
        grantRoles(oracle);
    }

    function newReceiver(uint32 maxStepBps, address router) internal returns (OracleReceiver receiver) {
        receiver = new OracleReceiver(config(maxStepBps), admin, router);
        vm.startPrank(admin);
        receiver.grantRole(receiver.OPERATOR_ROLE(), operator);
        receiver.grantRole(receiver.PAUSER_ROLE(), pauser);
        vm.stopPrank();
    }

    function grantRoles(Aggregator feed) internal {
        vm.startPrank(admin);
        feed.grantRole(feed.PUBLISHER_ROLE(), publisher);
        feed.grantRole(feed.PUBLISHER_ROLE(), secondPublisher);
        feed.grantRole(feed.PAUSER_ROLE(), pauser);
        feed.grantRole(feed.OPERATOR_ROLE(), operator);
        vm.stopPrank();
    }

    /// @dev An enabled destination that takes every round, with a generous fee cap.
    function toReceiver(OracleWithCCIP oracle, address receiver, address feeToken)
        internal
        pure
        returns (Destinations.Destination memory)
    {
        return Destinations.Destination({
            receiver: abi.encode(receiver),
            extraArgs: oracle.defaultExtraArgs(200_000),
            feeToken: feeToken,
            maxFee: 1 ether,
            minDeviationBps: 0,
            minInterval: 0,
            enabled: true
        });
    }

    function setDestination(OracleWithCCIP oracle, uint64 selector, Destinations.Destination memory destination)
        internal
    {
        vm.prank(admin);
        oracle.setDestination(selector, destination);
    }

    /// @dev Submit the next round as the publisher, observed now.
    function submit(Aggregator feed, int256 answer) internal {
        submitAs(feed, publisher, answer, 0);
    }

    function submitAs(Aggregator feed, address who, int256 answer, uint256 value) internal {
        uint80 next = uint80(feed.latestRound()) + 1;
        vm.prank(who);
        feed.submit{value: value}(next, answer, uint64(block.timestamp));
    }

    /// @dev Go on by some seconds and one block.
    function pass(uint256 secondsLater) internal {
        vm.warp(block.timestamp + secondsLater);
        vm.roll(block.number + 1);
    }

    function update(uint80 roundId, int256 answer) internal view returns (PriceUpdate.Update memory) {
        return PriceUpdate.Update(FEED, roundId, answer, uint64(block.timestamp), uint64(block.timestamp), 8);
    }
}
