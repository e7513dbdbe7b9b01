// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {
    AccessControlDefaultAdminRules
} from "@openzeppelin/contracts/access/extensions/AccessControlDefaultAdminRules.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {
    AggregatorInterface,
    AggregatorV2V3Interface,
    AggregatorV3Interface
} from "./interfaces/AggregatorV2V3Interface.sol";

/// @dev What a feed is. `maxStepBps` limits how far one answer may be from the one before it, in 1/10000 of the latter;
/// 0 is no limit. Bounds are inclusive and must fit int192, as on published feeds.
struct FeedConfig {
    bytes32 feedId;
    string description;
    uint8 decimals;
    int256 minAnswer;
    int256 maxAnswer;
    uint32 maxStepBps;
}

/// @title What the feeds on both ends of a lane share: rounds, reads, limits and roles.
/// @notice Rounds are only ever added, and with ids and observation times that strictly increase. Writing is left to the
/// contracts that extend this one; they decide whose word they take.
abstract contract PriceFeed is AggregatorV2V3Interface, AccessControlDefaultAdminRules, Pausable {
    /// @dev One accepted answer. `receivedAt` is this chain's time, `updatedAt` the time on the chain of origin.
    struct Round {
        int256 answer;
        uint64 startedAt;
        uint64 updatedAt;
        uint64 receivedAt;
    }

    /// @notice May pause and unpause.
    bytes32 public constant PAUSER_ROLE = keccak256("PAUSER_ROLE");
    /// @notice May do the daily work that is neither publishing nor configuration (resend, settle parked updates).
    bytes32 public constant OPERATOR_ROLE = keccak256("OPERATOR_ROLE");

    /// @dev Basis points in one whole.
    uint256 internal constant BPS = 10_000;
    /// @dev Version of this family of feeds, as `version()` tells it.
    uint256 private constant VERSION = 1;

    /// @notice The identity of the feed, the same on every chain.
    bytes32 public immutable feedId;
    /// @inheritdoc AggregatorV3Interface
    uint8 public immutable override decimals;

    /// @notice The smallest answer that is accepted.
    int256 public minAnswer;
    /// @notice The largest answer that is accepted.
    int256 public maxAnswer;
    /// @notice How far an answer may be from the one before it, in 1/10000; 0 is no limit.
    uint32 public maxStepBps;
    uint80 internal _latestRound;

    string private _description;
    mapping(uint80 roundId => Round) internal _rounds;

    /// @notice The bounds were changed.
    event BoundsChanged(int256 minAnswer, int256 maxAnswer);
    /// @notice The largest step was changed.
    event MaxStepChanged(uint32 maxStepBps);

    /// @notice The bounds are in the wrong order or do not fit int192.
    error InvalidBounds(int256 minAnswer, int256 maxAnswer);
    /// @notice The answer is outside of the bounds.
    error AnswerOutOfRange(int256 answer, int256 minAnswer, int256 maxAnswer);

    constructor(FeedConfig memory config, address admin) AccessControlDefaultAdminRules(0, admin) {
        feedId = config.feedId;
        decimals = config.decimals;
        _description = config.description;
        _setBounds(config.minAnswer, config.maxAnswer);
        _setMaxStepBps(config.maxStepBps);
    }

    /// @notice Change the bounds. Admin only.
    /// @param minAnswer_ The smallest answer to accept.
    /// @param maxAnswer_ The largest answer to accept.
    function setBounds(int256 minAnswer_, int256 maxAnswer_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setBounds(minAnswer_, maxAnswer_);
    }

    /// @notice Change the largest step. Admin only.
    /// @param maxStepBps_ The step in 1/10000 of the last answer; 0 is no limit.
    function setMaxStepBps(uint32 maxStepBps_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setMaxStepBps(maxStepBps_);
    }

    /// @notice Refuse new answers; reads go on. Pauser only.
    function pause() external onlyRole(PAUSER_ROLE) {
        _pause();
    }

    /// @notice Take new answers again. Pauser only.
    function unpause() external onlyRole(PAUSER_ROLE) {
        _unpause();
    }

    /// @inheritdoc AggregatorV3Interface
    function description() external view override returns (string memory) {
        return _description;
    }

    /// @inheritdoc AggregatorV3Interface
    function version() external pure override returns (uint256) {
        return VERSION;
    }

    /// @inheritdoc AggregatorInterface
    function latestAnswer() external view override returns (int256) {
        return _rounds[_latestRound].answer;
    }

    /// @inheritdoc AggregatorInterface
    function latestTimestamp() external view override returns (uint256) {
        return _rounds[_latestRound].updatedAt;
    }

    /// @inheritdoc AggregatorInterface
    function latestRound() external view override returns (uint256) {
        return _latestRound;
    }

    /// @inheritdoc AggregatorInterface
    function getAnswer(uint256 roundId) external view override returns (int256) {
        return roundId > type(uint80).max ? int256(0) : _rounds[uint80(roundId)].answer;
    }

    /// @inheritdoc AggregatorInterface
    function getTimestamp(uint256 roundId) external view override returns (uint256) {
        return roundId > type(uint80).max ? 0 : _rounds[uint80(roundId)].updatedAt;
    }

    /// @inheritdoc AggregatorV3Interface
    function getRoundData(uint80 roundId) public view override returns (uint80, int256, uint256, uint256, uint80) {
        Round memory round = _knownRound(roundId);
        return (roundId, round.answer, round.startedAt, round.updatedAt, roundId);
    }

    /// @inheritdoc AggregatorV3Interface
    function latestRoundData() external view override returns (uint80, int256, uint256, uint256, uint80) {
        return getRoundData(_latestRound);
    }

    /// @dev Read a round, or revert in the words that consumers of published feeds know.
    function _knownRound(uint80 roundId) internal view returns (Round memory round) {
        round = _rounds[roundId];
        require(round.receivedAt != 0, "No data present");
    }

    /// @dev Make an answer the current one. The caller has checked that round and observation are newer than the last.
    function _publish(uint80 roundId, int256 answer, uint64 observedAt, uint64 updatedAt) internal {
        _rounds[roundId] = Round(answer, observedAt, updatedAt, uint64(block.timestamp));
        _latestRound = roundId;
        emit NewRound(roundId, msg.sender, observedAt);
        emit AnswerUpdated(answer, roundId, updatedAt);
    }

    /// @dev Whether an answer is within the bounds.
    function _inBounds(int256 answer) internal view returns (bool) {
        return answer >= minAnswer && answer <= maxAnswer;
    }

    /// @dev Whether the step between two answers is allowed: at most `maxStepBps` of the first.
    function _withinStep(int256 from, int256 to) internal view returns (bool) {
        uint256 limit = maxStepBps;
        (uint256 distance, uint256 base) = _scaledMove(from, to);
        return limit == 0 || distance <= base * limit;
    }

    /// @dev Whether `to` is at least `bps` of `from` away from it.
    function _movedAtLeast(int256 from, int256 to, uint256 bps) internal pure returns (bool) {
        (uint256 distance, uint256 base) = _scaledMove(from, to);
        return distance >= base * bps;
    }

    /// @dev The distance between two answers, times 10000, and what basis points are taken of. Exact: both answers were
    /// within bounds, so they fit int192 and nothing overflows.
    function _scaledMove(int256 from, int256 to) private pure returns (uint256 distance, uint256 base) {
        distance = uint256(to > from ? to - from : from - to) * BPS;
        base = uint256(from < 0 ? -from : from);
    }

    function _setBounds(int256 minAnswer_, int256 maxAnswer_) private {
        bool fit = minAnswer_ >= type(int192).min && maxAnswer_ <= type(int192).max;
        if (!fit || minAnswer_ > maxAnswer_) revert InvalidBounds(minAnswer_, maxAnswer_);
        minAnswer = minAnswer_;
        maxAnswer = maxAnswer_;
        emit BoundsChanged(minAnswer_, maxAnswer_);
    }

    function _setMaxStepBps(uint32 maxStepBps_) private {
        maxStepBps = maxStepBps_;
        emit MaxStepChanged(maxStepBps_);
    }
}
