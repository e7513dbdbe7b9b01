// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {FeedConfig, PriceFeed} from "./PriceFeed.sol";

/// @title A price feed that its publishers write, one round after the other.
/// @notice Reads like any published feed (AggregatorV2V3Interface). A round is published once and never changed. An answer
/// that moves further than `maxStepBps` is parked, without using up the round, until someone confirms it.
contract Aggregator is PriceFeed {
    /// @dev An answer that waits for confirmation; there is none while `publisher` is zero.
    struct Parked {
        int256 answer;
        address publisher;
        uint64 observedAt;
        uint80 roundId;
        uint64 blockNumber;
    }

    /// @notice May submit answers.
    bytes32 public constant PUBLISHER_ROLE = keccak256("PUBLISHER_ROLE");
    /// @notice How far an observation may be ahead of the block that records it: room for clocks that differ.
    uint64 public constant MAX_FUTURE_SECONDS = 60;

    Parked private _parked;

    /// @notice An answer moved too far and waits for confirmation.
    event AnswerParked(uint80 indexed roundId, int256 answer, uint64 observedAt, address indexed publisher);
    /// @notice The waiting answer was dropped, because the round was published.
    event ParkedAnswerCleared(uint80 indexed roundId, int256 answer);

    /// @notice Only the round after the latest can be published.
    error UnexpectedRound(uint80 expected, uint80 given);
    /// @notice The observation is not newer than the last accepted one.
    error ObservationNotNewer(uint64 lastObservedAt, uint64 given);
    /// @notice The observation is from the future.
    error ObservationInFuture(uint64 latestAllowed, uint64 given);
    /// @notice This feed sends nothing, so it takes no money.
    error ValueNotAccepted(uint256 value);

    /// @param config What the feed measures and its limits.
    /// @param admin Who grants the roles.
    constructor(FeedConfig memory config, address admin) PriceFeed(config, admin) {}

    /// @notice Publish the answer of the next round, or park it if it moved too far. Publisher only.
    /// @param roundId Must be the latest round + 1, so that no round can be published twice.
    /// @param answer The answer, in units of 10^-decimals, within the bounds.
    /// @param observedAt When it was observed, in seconds; later than that of the last published round.
    function submit(uint80 roundId, int256 answer, uint64 observedAt)
        external
        payable
        virtual
        onlyRole(PUBLISHER_ROLE)
        whenNotPaused
    {
        if (msg.value != 0) revert ValueNotAccepted(msg.value);
        _submit(roundId, answer, observedAt);
    }

    /// @notice The answer that waits for confirmation; all zero if there is none.
    /// @return roundId The round that it would be published as.
    /// @return answer The answer.
    /// @return observedAt When it was observed.
    /// @return publisher Who submitted it.
    function parkedAnswer()
        external
        view
        returns (uint80 roundId, int256 answer, uint64 observedAt, address publisher)
    {
        Parked storage parked = _parked;
        return (parked.roundId, parked.answer, parked.observedAt, parked.publisher);
    }

    /// @dev Check and take a submission.
    /// @return published False if the answer was parked.
    function _submit(uint80 roundId, int256 answer, uint64 observedAt) internal returns (bool published) {
        uint80 last = _latestRound;
        if (roundId != last + 1) revert UnexpectedRound(last + 1, roundId);
        if (!_inBounds(answer)) revert AnswerOutOfRange(answer, minAnswer, maxAnswer);
        Round storage previous = _rounds[last];
        if (observedAt <= previous.startedAt) revert ObservationNotNewer(previous.startedAt, observedAt);
        uint64 latestAllowed = uint64(block.timestamp) + MAX_FUTURE_SECONDS;
        if (observedAt > latestAllowed) revert ObservationInFuture(latestAllowed, observedAt);

        published = last == 0 || _withinStep(previous.answer, answer) || _confirmsParked(answer, observedAt);
        if (!published) {
            _parked = Parked(answer, msg.sender, observedAt, roundId, uint64(block.number));
            emit AnswerParked(roundId, answer, observedAt, msg.sender);
            return false;
        }
        if (_parked.publisher != address(0)) {
            emit ParkedAnswerCleared(roundId, _parked.answer);
            delete _parked;
        }
        _publish(roundId, answer, observedAt, uint64(block.timestamp));
    }

    /// @dev A parked answer is confirmed by another publisher, or by time: a later observation in a later block.
    function _confirmsParked(int256 answer, uint64 observedAt) private view returns (bool) {
        Parked storage parked = _parked;
        if (parked.publisher == address(0) || !_withinStep(parked.answer, answer)) return false;
        return parked.publisher != msg.sender || (observedAt > parked.observedAt && block.number > parked.blockNumber);
    }
}
