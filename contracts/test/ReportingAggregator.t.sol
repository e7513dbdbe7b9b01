// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {ReportingAggregator} from "../src/reporting/ReportingAggregator.sol";
import {AggregatorInterface} from "../src/interfaces/AggregatorV2V3Interface.sol";
import {ReportingTest} from "./base/ReportingTest.sol";

contract ReportingAggregatorTest is ReportingTest {
    ReportingAggregator private feed;

    function setUp() public {
        feed = newFeed();
        configure(feed, 4, 1);
    }

    function aReport() private view returns (bytes memory) {
        return encodeReport(around(PRICE, 3));
    }

    function aCall() private view returns (Sent memory) {
        return sent(feed, 1, 1, aReport(), 2);
    }

    function digestOf(ReportingAggregator of_) private view returns (bytes32 digest) {
        (,, digest) = of_.latestConfigDetails();
    }

    function test_WhatItIsIsReadable() public view {
        eq(feed.description(), "ETH / USD", "description");
        eq(feed.decimals(), 8, "decimals");
        eq(feed.version(), 6, "version");
        eq(feed.typeAndVersion(), "ReportingAggregator 1.0.0", "type");
        eq(feed.minAnswer(), MIN, "min");
        eq(feed.maxAnswer(), MAX, "max");
        eq(feed.owner(), owner, "owner");
    }

    function test_BoundsMustBeInOrder() public {
        vm.expectRevert(bytes("min above max"));
        new ReportingAggregator(2, 1, 8, "ETH / USD", owner);
    }

    function test_BeforeTheFirstRound() public view {
        (uint80 id, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredIn) = feed.latestRoundData();
        eq(id, 0, "id");
        eq(answer, 0, "answer");
        eq(startedAt, 0, "startedAt");
        eq(updatedAt, 0, "updatedAt");
        eq(answeredIn, 0, "answeredIn");
        eq(feed.latestAnswer(), 0, "latestAnswer");
        eq(feed.latestTimestamp(), 0, "latestTimestamp");
        eq(feed.latestRound(), 0, "latestRound");
    }

    function test_AReportIsARound() public {
        int192[] memory observations = around(PRICE, 4);
        bytes memory report = encodeReport(observations);
        uint32 observedAt = uint32(block.timestamp);
        vm.warp(block.timestamp + 7);
        Sent memory call = sent(feed, 5, 9, report, 2);
        vm.expectEmit(address(feed));
        emit ReportingAggregator.NewTransmission(
            1, PRICE, transmitterOf(2), observedAt, observations, hex"00010203", 0, digestOf(feed), 5 * 256 + 9
        );
        vm.expectEmit(address(feed));
        emit AggregatorInterface.NewRound(1, address(0), observedAt);
        vm.expectEmit(address(feed));
        emit AggregatorInterface.AnswerUpdated(PRICE, 1, block.timestamp);
        transmit(feed, transmitterOf(2), call);

        (uint80 id, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredIn) = feed.latestRoundData();
        eq(id, 1, "id");
        eq(answer, PRICE, "answer");
        eq(startedAt, observedAt, "startedAt");
        eq(updatedAt, block.timestamp, "updatedAt");
        eq(answeredIn, 1, "answeredIn");
        eq(feed.latestAnswer(), PRICE, "latestAnswer");
        eq(feed.latestTimestamp(), block.timestamp, "latestTimestamp");
        eq(feed.latestRound(), 1, "latestRound");
        eq(feed.getAnswer(1), PRICE, "getAnswer");
        eq(feed.getTimestamp(1), block.timestamp, "getTimestamp");
    }

    function test_LatestTransmissionDetailsAreForAccounts() public {
        transmit(feed, transmitterOf(0), sent(feed, 3, 4, aReport(), 2));
        vm.startPrank(stranger, stranger);
        (bytes32 digest, uint32 epoch, uint8 round, int192 answer, uint64 timestamp) = feed.latestTransmissionDetails();
        vm.stopPrank();
        eq(digest, digestOf(feed), "digest");
        eq(epoch, 3, "epoch");
        eq(round, 4, "round");
        eq(answer, PRICE, "answer");
        eq(timestamp, block.timestamp, "timestamp");
        (bool scanLogs,, uint32 configEpoch) = feed.latestConfigDigestAndEpoch();
        no(scanLogs, "no logs");
        eq(configEpoch, 3, "epoch of the configuration");

        vm.startPrank(stranger, owner);
        vm.expectRevert(bytes("Only callable by EOA"));
        feed.latestTransmissionDetails();
        vm.stopPrank();
    }

    function testFuzz_UnknownRounds(uint256 roundId) public {
        transmit(feed, transmitterOf(0), aCall());
        vm.assume(roundId != 1);
        eq(feed.getAnswer(roundId), 0, "getAnswer");
        eq(feed.getTimestamp(roundId), 0, "getTimestamp");
        vm.assume(uint80(roundId) != 1);
        (uint80 id, int256 answer,, uint256 updatedAt,) = feed.getRoundData(uint80(roundId));
        eq(id, uint80(roundId) > type(uint32).max ? 0 : uint80(roundId), "id");
        eq(answer, 0, "answer");
        eq(updatedAt, 0, "updatedAt");
    }

    // ---- what is refused, in the published contract's words

    function test_StaleReport() public {
        Sent memory call = aCall();
        transmit(feed, transmitterOf(0), call);
        refused(feed, call, "stale report");
        refused(feed, sent(feed, 0, 255, aReport(), 2), "stale report");
        transmit(feed, transmitterOf(0), sent(feed, 1, 2, aReport(), 2));
        transmit(feed, transmitterOf(0), sent(feed, 2, 0, aReport(), 2));
        eq(feed.latestRound(), 3, "rounds");
    }

    function test_UnauthorizedTransmitter() public {
        Sent memory call = aCall();
        vm.expectRevert(bytes("unauthorized transmitter"));
        transmit(feed, signerOf(0), call);
    }

    function test_ConfigDigestMismatch() public {
        Sent memory call = aCall();
        configure(feed, 4, 1);
        refused(feed, call, "configDigest mismatch");
    }

    function test_WrongNumberOfSignatures() public {
        refused(feed, sent(feed, 1, 1, aReport(), 1), "wrong number of signatures");
        refused(feed, sent(feed, 1, 1, aReport(), 3), "wrong number of signatures");
        refused(feed, sent(feed, 1, 1, aReport(), 0), "wrong number of signatures");
    }

    function test_AsManySAsR() public {
        Sent memory call = aCall();
        bytes32[] memory more = new bytes32[](3);
        (more[0], more[1]) = (call.ss[0], call.ss[1]);
        call.ss = more;
        refused(feed, call, "signatures out of registration");
    }

    function test_SignatureOfAStranger() public {
        Sent memory call = aCall();
        uint256[] memory keys = new uint256[](2);
        (keys[0], keys[1]) = (keyOf(0), keyOf(4));
        signWith(call, keys);
        refused(feed, call, "signature error");
    }

    function testFuzz_ASpoiltSignature(bytes32 r, bytes32 s, uint8 v, uint8 place) public {
        Sent memory call = aCall();
        place = place % 2;
        vm.assume(call.rs[place] != r);
        call.rs[place] = r;
        call.ss[place] = s;
        uint256 shift = 248 - 8 * uint256(place);
        call.rawVs = bytes32((uint256(call.rawVs) & ~(uint256(0xff) << shift)) | (uint256(v) << shift));
        refused(feed, call, "signature error");
    }

    function testFuzz_AChangedReport(uint256 place, uint8 by) public {
        Sent memory call = aCall();
        vm.assume(by != 0);
        place = bound(place, 0, call.report.length - 1);
        call.report[place] = bytes1(uint8(call.report[place]) ^ by);
        refused(feed, call, "signature error");
    }

    function test_AChangedContext() public {
        Sent memory call = aCall();
        call.context[1] = bytes32(uint256(call.context[1]) + 1);
        refused(feed, call, "signature error");
        call = aCall();
        call.context[2] = bytes32(0);
        refused(feed, call, "signature error");
    }

    function test_AReportOfAnotherFeed() public {
        ReportingAggregator other = newFeed();
        configure(other, 4, 1);
        Sent memory call = aCall();
        call.context[0] = digestOf(other);
        refused(other, call, "signature error");
    }

    function test_DuplicateSigner() public {
        Sent memory call = aCall();
        uint256[] memory keys = new uint256[](2);
        (keys[0], keys[1]) = (keyOf(3), keyOf(3));
        signWith(call, keys);
        refused(feed, call, "duplicate signer");
    }

    function test_SignersMayComeInAnyOrder() public {
        Sent memory call = aCall();
        uint256[] memory keys = new uint256[](2);
        (keys[0], keys[1]) = (keyOf(3), keyOf(1));
        signWith(call, keys);
        transmit(feed, transmitterOf(0), call);
        eq(feed.latestAnswer(), PRICE, "taken");
    }

    function test_TooFewValues() public {
        refused(feed, sent(feed, 1, 1, encodeReport(around(PRICE, 1)), 2), "too few values to trust median");
        refused(feed, sent(feed, 1, 1, encodeReport(around(PRICE, 0)), 2), "too few values to trust median");
        transmit(feed, transmitterOf(0), sent(feed, 1, 1, encodeReport(around(PRICE, 2)), 2));
    }

    function test_TooManyValues() public {
        bytes memory report = abi.encode(uint32(1), bytes32(0), around(PRICE, 32), int192(0));
        refused(feed, sent(feed, 1, 1, report, 2), "num observations out of bounds");
    }

    function test_MedianWithinBounds() public {
        int192[] memory three = new int192[](3);
        (three[0], three[1], three[2]) = (MIN - 1, MIN - 1, MAX);
        refused(feed, sent(feed, 1, 1, encodeReport(three), 2), "median is out of min-max range");
        (three[1], three[2]) = (MAX + 1, MAX + 1);
        refused(feed, sent(feed, 1, 1, encodeReport(three), 2), "median is out of min-max range");
        three[1] = MIN;
        transmit(feed, transmitterOf(0), sent(feed, 1, 1, encodeReport(three), 2));
        three[1] = MAX;
        transmit(feed, transmitterOf(0), sent(feed, 1, 2, encodeReport(three), 2));
        eq(feed.latestAnswer(), MAX, "both bounds are allowed");
    }

    function test_CalldataLengthMismatch() public {
        Sent memory call = aCall();
        bytes memory data = abi.encodeCall(feed.transmit, (call.context, call.report, call.rs, call.ss, call.rawVs));
        vm.prank(transmitterOf(0));
        (bool ok, bytes memory said) = address(feed).call(bytes.concat(data, hex"00"));
        no(ok, "a byte too many");
        eq(said, abi.encodeWithSignature("Error(string)", "calldata length mismatch"), "why");
        vm.prank(transmitterOf(0));
        (ok,) = address(feed).call(data);
        yes(ok, "as it should be");
    }

    function test_ReportLengthMismatch() public {
        bytes memory longer = bytes.concat(aReport(), bytes32(0));
        refused(feed, sent(feed, 1, 1, longer, 2), "report length mismatch");
    }

    function test_ReportThatIsNone() public {
        Sent memory call = sent(feed, 1, 1, hex"00", 2);
        vm.expectRevert();
        transmit(feed, transmitterOf(0), call);
    }

    function test_NotSorted() public {
        int192[] memory three = around(PRICE, 3);
        (three[0], three[1]) = (three[1], three[0]);
        refused(feed, sent(feed, 1, 1, encodeReport(three), 2), "observations not sorted");
    }

    /// @dev With all signatures right, only sorted lists get through, and the answer is their upper median.
    function testFuzz_TheAnswerIsTheMedian(int192[7] memory given, uint8 size) public {
        uint256 n = bound(size, 2, 7);
        int192[] memory list = new int192[](n);
        bool sorted = true;
        for (uint256 i = 0; i < n; ++i) {
            list[i] = int192(boundInt(given[i], MIN, MAX));
            sorted = sorted && (i == 0 || list[i - 1] <= list[i]);
        }
        if (!sorted) {
            refused(feed, sent(feed, 1, 1, encodeReport(list), 2), "observations not sorted");
            sort(list);
        }
        transmit(feed, transmitterOf(0), sent(feed, 1, 1, encodeReport(list), 2));
        eq(feed.latestAnswer(), list[n / 2], "median");
    }

    function sort(int192[] memory list) private pure {
        for (uint256 i = 1; i < list.length; ++i) {
            for (uint256 j = i; j > 0 && list[j - 1] > list[j]; --j) {
                (list[j - 1], list[j]) = (list[j], list[j - 1]);
            }
        }
    }

    // ---- asking for a round

    function test_RequestNewRound() public {
        transmit(feed, transmitterOf(0), sent(feed, 3, 4, aReport(), 2));
        vm.expectEmit(address(feed));
        emit ReportingAggregator.RoundRequested(owner, digestOf(feed), 3, 4);
        vm.prank(owner);
        eq(feed.requestNewRound(), 2, "next");

        vm.expectRevert(bytes("Only owner&requester can call"));
        vm.prank(stranger);
        feed.requestNewRound();
    }

    function test_RequestersAreNamedByTheOwner() public {
        vm.expectEmit(address(feed));
        emit ReportingAggregator.RequesterSet(stranger, true);
        vm.prank(owner);
        feed.setRequester(stranger, true);
        vm.prank(stranger);
        eq(feed.requestNewRound(), 1, "allowed");
        vm.prank(owner);
        feed.setRequester(stranger, false);
        vm.expectRevert(bytes("Only owner&requester can call"));
        vm.prank(stranger);
        feed.requestNewRound();
    }

    function test_OnlyTheOwnerNamesRequesters() public {
        vm.expectRevert();
        vm.prank(stranger);
        feed.setRequester(stranger, true);
    }
}
