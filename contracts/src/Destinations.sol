// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";
import {PriceFeed} from "./PriceFeed.sol";

/// @title Where a feed sends its rounds, how, and how often.
/// @notice A destination is due when it never got a round, or when `minInterval` has passed since the last one and either
/// the answer moved by `minDeviationBps` or its heartbeat has passed. Sizes are bounded, so that a look at one destination
/// has a bounded cost.
abstract contract Destinations is PriceFeed {
    /// @dev One destination. `receiver` is `abi.encode(address)` for an EVM chain; `feeToken` zero is the native token;
    /// `maxFee` is in base units of the fee token and 0 allows only free sends; `minInterval` is in seconds.
    struct Destination {
        bytes receiver;
        bytes extraArgs;
        address feeToken;
        uint256 maxFee;
        uint32 minDeviationBps;
        uint32 minInterval;
        bool enabled;
    }

    /// @dev What a destination got last. `heartbeat` is in seconds, 0 for none.
    struct Sent {
        int256 answer;
        uint80 roundId;
        uint64 sentAt;
        uint32 heartbeat;
    }

    /// @notice How many destinations there can be.
    uint256 public constant MAX_DESTINATIONS = 16;
    /// @dev Bounds of what is read for each send; CCIP's own arguments take 68 bytes on EVM chains.
    uint256 private constant MAX_RECEIVER_BYTES = 64;
    uint256 private constant MAX_EXTRA_ARGS_BYTES = 512;

    uint64[] private _selectors;
    mapping(uint64 selector => Destination) private _destinations;
    mapping(uint64 selector => Sent) private _sent;

    /// @notice A destination was added or changed.
    event DestinationSet(uint64 indexed selector, Destination destination);
    /// @notice A destination was removed.
    event DestinationRemoved(uint64 indexed selector);
    /// @notice The heartbeat of a destination was changed.
    event DestinationHeartbeatSet(uint64 indexed selector, uint32 heartbeat);

    /// @notice There is no such destination.
    error UnknownDestination(uint64 selector);
    /// @notice There is no room for another destination.
    error TooManyDestinations(uint256 limit);
    /// @notice The receiver is empty or too long.
    error InvalidReceiver(bytes receiver);
    /// @notice The extra arguments are empty, which would mean ordered execution, or too long.
    error InvalidExtraArgs(bytes extraArgs);
    /// @notice Fees are paid in LINK or in the native token only.
    error UnsupportedFeeToken(address feeToken);

    /// @notice Add or change a destination. Admin only.
    /// @param selector CCIP's number of the destination chain.
    /// @param config How to send there; see `defaultExtraArgs` for `extraArgs`.
    function setDestination(uint64 selector, Destination calldata config) external onlyRole(DEFAULT_ADMIN_ROLE) {
        uint256 receiverLength = config.receiver.length;
        if (receiverLength == 0 || receiverLength > MAX_RECEIVER_BYTES) revert InvalidReceiver(config.receiver);
        uint256 argsLength = config.extraArgs.length;
        if (argsLength == 0 || argsLength > MAX_EXTRA_ARGS_BYTES) revert InvalidExtraArgs(config.extraArgs);
        if (!_isFeeToken(config.feeToken)) revert UnsupportedFeeToken(config.feeToken);
        if (!_isKnown(selector)) {
            if (_selectors.length == MAX_DESTINATIONS) revert TooManyDestinations(MAX_DESTINATIONS);
            _selectors.push(selector);
        }
        _destinations[selector] = config;
        emit DestinationSet(selector, config);
    }

    /// @notice Remove a destination and forget what was sent there. Admin only.
    /// @param selector Which destination.
    function removeDestination(uint64 selector) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _requireKnown(selector);
        uint256 i = 0;
        while (_selectors[i] != selector) ++i;
        _selectors[i] = _selectors[_selectors.length - 1];
        _selectors.pop();
        delete _destinations[selector];
        delete _sent[selector];
        emit DestinationRemoved(selector);
    }

    /// @notice Send a round after this time even if the answer did not move, so that the far end does not go stale. Admin
    /// only.
    /// @param selector Which destination.
    /// @param heartbeat In seconds; 0 for none.
    function setDestinationHeartbeat(uint64 selector, uint32 heartbeat) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _requireKnown(selector);
        _sent[selector].heartbeat = heartbeat;
        emit DestinationHeartbeatSet(selector, heartbeat);
    }

    /// @notice The configuration of a destination.
    /// @param selector Which destination.
    function destination(uint64 selector) public view returns (Destination memory config) {
        _requireKnown(selector);
        return _destinations[selector];
    }

    /// @notice All destinations, in no particular order.
    function destinationSelectors() public view returns (uint64[] memory) {
        return _selectors;
    }

    /// @notice What a destination got last, and its heartbeat; zero if nothing.
    /// @param selector Which destination.
    /// @return roundId The last round that was sent there.
    /// @return answer Its answer.
    /// @return sentAt When, in seconds.
    /// @return heartbeat In seconds; 0 for none.
    function lastSent(uint64 selector)
        external
        view
        returns (uint80 roundId, int256 answer, uint64 sentAt, uint32 heartbeat)
    {
        Sent storage last = _sent[selector];
        return (last.roundId, last.answer, last.sentAt, last.heartbeat);
    }

    /// @notice Arguments for a CCIP message: a gas limit for the receiver, and execution in any order, which some lanes
    /// demand and a receiver that takes only newer rounds can afford.
    /// @param gasLimit Gas for the receiver; 200,000 is ample for OracleReceiver.
    function defaultExtraArgs(uint256 gasLimit) external pure returns (bytes memory) {
        return Client._argsToBytes(Client.GenericExtraArgsV2({gasLimit: gasLimit, allowOutOfOrderExecution: true}));
    }

    /// @dev Whether the latest answer has to go to a destination now.
    function _isDue(uint64 selector, int256 answer) internal view returns (bool) {
        Destination storage config = _destinations[selector];
        if (!config.enabled) return false;
        Sent storage last = _sent[selector];
        if (last.roundId == 0) return true;
        uint256 elapsed = block.timestamp - last.sentAt;
        if (elapsed < config.minInterval) return false;
        if (last.heartbeat != 0 && elapsed >= last.heartbeat) return true;
        return _movedAtLeast(last.answer, answer, config.minDeviationBps);
    }

    /// @dev Note what was sent; a resend of an old round changes nothing.
    function _recordSent(uint64 selector, uint80 roundId, int256 answer) internal {
        Sent storage last = _sent[selector];
        if (roundId < last.roundId) return;
        last.roundId = roundId;
        last.answer = answer;
        last.sentAt = uint64(block.timestamp);
    }

    /// @dev Whether fees can be paid in a token; zero is the native token.
    function _isFeeToken(address token) internal view virtual returns (bool);

    function _requireKnown(uint64 selector) private view {
        if (!_isKnown(selector)) revert UnknownDestination(selector);
    }

    function _isKnown(uint64 selector) private view returns (bool) {
        return _destinations[selector].receiver.length != 0;
    }
}
