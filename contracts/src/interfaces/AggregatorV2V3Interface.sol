// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// @title The first generation of feed reads, and the two events that every published feed emits.
interface AggregatorInterface {
    /// @notice A new answer became the current one.
    /// @param current The answer, in units of 10^-decimals.
    /// @param roundId The round that carries it.
    /// @param updatedAt When the answer was recorded, in seconds since the epoch.
    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);

    /// @notice A round began.
    /// @param roundId The new round.
    /// @param startedBy Who caused it.
    /// @param startedAt When it was observed, in seconds since the epoch.
    event NewRound(uint256 indexed roundId, address indexed startedBy, uint256 startedAt);

    /// @notice The current answer, 0 before the first round.
    function latestAnswer() external view returns (int256);

    /// @notice When the current answer was recorded, 0 before the first round.
    function latestTimestamp() external view returns (uint256);

    /// @notice The current round, 0 before the first.
    function latestRound() external view returns (uint256);

    /// @notice The answer of a round, 0 if there is no such round.
    /// @param roundId The round to read.
    function getAnswer(uint256 roundId) external view returns (int256);

    /// @notice When the answer of a round was recorded, 0 if there is no such round.
    /// @param roundId The round to read.
    function getTimestamp(uint256 roundId) external view returns (uint256);
}

/// @title The reads that consumers of price feeds use today.
interface AggregatorV3Interface {
    /// @notice Answers are in units of 10^-decimals.
    function decimals() external view returns (uint8);

    /// @notice What the feed measures, for people: "ETH / USD".
    function description() external view returns (string memory);

    /// @notice The version of the feed's implementation.
    function version() external view returns (uint256);

    /// @notice One round. Reverts with "No data present" if there is no such round.
    /// @param roundId The round to read.
    /// @return id The round.
    /// @return answer The answer.
    /// @return startedAt When it was observed.
    /// @return updatedAt When it was recorded.
    /// @return answeredInRound The round in which it was answered: always the round itself.
    function getRoundData(uint80 roundId)
        external
        view
        returns (uint80 id, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound);

    /// @notice The current round. Reverts with "No data present" before the first.
    /// @return id The round.
    /// @return answer The answer.
    /// @return startedAt When it was observed.
    /// @return updatedAt When it was recorded.
    /// @return answeredInRound The round in which it was answered: always the round itself.
    function latestRoundData()
        external
        view
        returns (uint80 id, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound);
}

/// @title Both generations of feed reads.
interface AggregatorV2V3Interface is AggregatorInterface, AggregatorV3Interface {}
