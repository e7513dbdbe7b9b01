// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Aggregator} from "../../src/Aggregator.sol";

/// @title A publisher that takes no refunds.
contract RefusingPublisher {
    function submit(Aggregator feed, uint80 roundId, int256 answer) external payable {
        feed.submit{value: msg.value}(roundId, answer, uint64(block.timestamp));
    }
}

/// @title A publisher that tries to submit again while it is being refunded.
contract ReenteringPublisher {
    Aggregator private _feed;
    bytes public reply;
    bool public succeeded;

    receive() external payable {
        (succeeded, reply) = address(_feed)
            .call(
                abi.encodeCall(Aggregator.submit, (uint80(_feed.latestRound()) + 1, 1e8, uint64(block.timestamp) + 1))
            );
    }

    function submit(Aggregator feed, uint80 roundId, int256 answer) external payable {
        _feed = feed;
        feed.submit{value: msg.value}(roundId, answer, uint64(block.timestamp));
    }
}
