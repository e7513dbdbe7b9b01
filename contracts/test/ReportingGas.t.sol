// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {ReportingAggregator} from "../src/reporting/ReportingAggregator.sol";
import {ReportingTest} from "./base/ReportingTest.sol";

/// @title What reports cost, with the signing of the test itself. Real transactions: tests/integration/test_reporting_aggregator.py.
contract ReportingGasTest is ReportingTest {
    ReportingAggregator private small;
    ReportingAggregator private large;

    function setUp() public {
        small = newFeed();
        large = newFeed();
        configure(small, 4, 1);
        configure(large, 31, 10);
        report(small, 1, 3, 2);
        report(large, 1, 31, 11);
    }

    function report(ReportingAggregator feed, uint32 epoch, uint256 observations, uint256 signatures) private {
        transmit(feed, transmitterOf(0), sent(feed, epoch, 1, encodeReport(around(PRICE, observations)), signatures));
    }

    function test_ReportOfFour() public {
        report(small, 2, 3, 2);
    }

    function test_ReportOfThirtyOne() public {
        report(large, 2, 31, 11);
    }

    function test_ConfigureFourAgain() public {
        configure(small, 4, 1);
    }
}
