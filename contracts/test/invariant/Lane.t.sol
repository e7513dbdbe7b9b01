// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {OracleWithCCIP} from "../../src/OracleWithCCIP.sol";
import {Test} from "../base/Test.sol";
import {MockToken} from "../mocks/MockToken.sol";
import {LaneHandler} from "./LaneHandler.sol";

/// @title What holds on a lane whatever happens. See LaneHandler for what may happen.
contract LaneInvariants is Test {
    LaneHandler private lane;

    function setUp() public {
        lane = new LaneHandler();
        target(address(lane));
    }

    function invariant_EveryUpdateIsPublished() public view {
        eq(lane.oracle().latestRound(), lane.published(), "CCIP prevented an update");
    }

    function invariant_NoRoundIsOlderThanAllowed() public view {
        no(lane.misjudgedAge(), "the age of an observation was misjudged");
        OracleWithCCIP oracle = lane.oracle();
        if (oracle.latestRound() == 0) return;
        (,, uint256 startedAt, uint256 updatedAt,) = oracle.latestRoundData();
        yes(startedAt + oracle.maxObservationAge() >= updatedAt, "an old price looks fresh");
    }

    function invariant_RemoteRoundIsMonotone() public view {
        no(lane.wentBack(), "the remote round went back");
    }

    function invariant_RemoteIsTheNewestThatWasDelivered() public view {
        eq(lane.receiver().latestRound(), lane.newestDelivered(), "the remote feed is not the newest delivered round");
    }

    function invariant_RemoteAnswerIsTheSources() public view {
        uint256 roundId = lane.receiver().latestRound();
        if (roundId == 0) return;
        (, int256 answer, uint256 startedAt, uint256 updatedAt,) = lane.oracle().getRoundData(uint80(roundId));
        (, int256 remote, uint256 remoteStartedAt, uint256 remoteUpdatedAt,) = lane.receiver().latestRoundData();
        eq(remote, answer, "answer");
        eq(remoteStartedAt, startedAt, "startedAt");
        eq(remoteUpdatedAt, updatedAt, "updatedAt");
    }

    function invariant_MoneyIsExactAndNoClaimIsLeft() public view {
        no(lane.miscounted(), "a fee or a refund was wrong");
        eq(lane.link().allowance(address(lane.oracle()), address(lane.router())), 0, "the router keeps a claim");
    }

    function invariant_StrangersStayOut() public view {
        no(lane.intruded(), "somebody got in");
    }

    /// @dev Forge calls this at the end of each run: the admin closes the lane and takes out everything.
    function afterInvariant() public {
        OracleWithCCIP oracle = lane.oracle();
        MockToken link = lane.link();
        uint256 links = link.balanceOf(address(oracle));
        vm.startPrank(oracle.defaultAdmin());
        oracle.withdrawNative(payable(address(this)), address(oracle).balance);
        oracle.withdrawToken(link, address(this), links);
        vm.stopPrank();
        eq(address(oracle).balance, 0, "native funds are stuck");
        eq(link.balanceOf(address(oracle)), 0, "LINK is stuck");
    }

    receive() external payable {}
}
