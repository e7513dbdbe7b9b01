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
    /// @notice The value of `maxObservationAge` that a new feed starts with, in seconds.
    uint32 public constant DEFAULT_MAX_OBSERVATION_AGE = 15 minutes;

    Parked private _parked;
    /// @notice How old an observation may be when a block records it, in seconds; 0 is no limit. A round's `updatedAt` is the
    /// time of its block, so without a limit an answer whose transaction waited for hours would look fresh.
    uint32 public maxObservationAge;

    /// @notice An answer moved too far and waits for confirmation.
    event AnswerParked(uint80 indexed roundId, int256 answer, uint64 observedAt, address indexed publisher);
    /// @notice The waiting answer was dropped, because the round was published.
    event ParkedAnswerCleared(uint80 indexed roundId, int256 answer);
    /// @notice The largest age of an observation was set.
    event MaxObservationAgeSet(uint32 seconds_);

    /// @notice Only the round after the latest can be published.
    error UnexpectedRound(uint80 expected, uint80 given);
    /// @notice The observation is not newer than the last accepted one.
    error ObservationNotNewer(uint64 lastObservedAt, uint64 given);
    /// @notice The observation is from the future.
    error ObservationInFuture(uint64 latestAllowed, uint64 given);
    /// @notice The observation waited too long for its block.
    error ObservationTooOld(uint64 oldestAllowed, uint64 given);
    /// @notice This feed sends nothing, so it takes no money.
    error ValueNotAccepted(uint256 value);

    /// @param config What the feed measures and its limits.
    /// @param admin Who grants the roles.
    constructor(FeedConfig memory config, address admin) PriceFeed(config, admin) {
        _setMaxObservationAge(DEFAULT_MAX_OBSERVATION_AGE);
    }

    /// @notice Publish the answer of the next round, or park it if it moved too far. Publisher only.
    /// @param roundId Must be the latest round + 1, so that no round can be published twice.
    /// @param answer The answer, in units of 10^-decimals, within the bounds.
    /// @param observedAt When it was observed, in seconds; later than that of the last published round, and at most
    /// `maxObservationAge` ago.
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

    /// @notice Change how old an observation may be. Admin only.
    /// @param seconds_ The age in seconds; 0 is no limit.
    function setMaxObservationAge(uint32 seconds_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setMaxObservationAge(seconds_);
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
        _checkAge(observedAt);

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

    /// @dev An observation belongs to the time of its block: neither far ahead of it nor long before it.
    function _checkAge(uint64 observedAt) private view {
        uint64 time = uint64(block.timestamp);
        if (observedAt > time + MAX_FUTURE_SECONDS) revert ObservationInFuture(time + MAX_FUTURE_SECONDS, observedAt);
        uint64 limit = maxObservationAge;
        // Nothing overflows: the observation is no later than just checked, and `time` exceeds the limit where it is taken off.
        if (limit != 0 && observedAt + limit < time) revert ObservationTooOld(time - limit, observedAt);
    }

    function _setMaxObservationAge(uint32 seconds_) private {
        maxObservationAge = seconds_;
        emit MaxObservationAgeSet(seconds_);
    }

    /// @dev A parked answer is confirmed by another publisher, or by time: a later observation in a later block.
    function _confirmsParked(int256 answer, uint64 observedAt) private view returns (bool) {
        Parked storage parked = _parked;
        if (parked.publisher == address(0) || !_withinStep(parked.answer, answer)) return false;
        return parked.publisher != msg.sender || (observedAt > parked.observedAt && block.number > parked.blockNumber);
    }
}
