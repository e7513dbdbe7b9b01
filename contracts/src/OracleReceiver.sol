// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IAny2EVMMessageReceiver} from "@chainlink/contracts-ccip/contracts/interfaces/IAny2EVMMessageReceiver.sol";
import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";
import {
    AccessControlDefaultAdminRules
} from "@openzeppelin/contracts/access/extensions/AccessControlDefaultAdminRules.sol";
import {FeedConfig, PriceFeed} from "./PriceFeed.sol";
import {RouterSetting} from "./RouterSetting.sol";
import {PriceUpdate} from "./libraries/PriceUpdate.sol";

/// @title The far end of a feed: takes the rounds that CCIP brings, and reads like the feed they come from.
/// @notice Messages arrive in any order, twice, or not at all; whatever the order, the newest acceptable round ends up
/// current. What reverts: a wrong router, source, sender, feed, decimals or payload. That is a mistake in configuration,
/// CCIP records it as a failure, an operator sees it and can execute the message again. What does not revert: an old round
/// (`UpdateIgnored`) and a round that is out of bounds, from the future or too far from the last answer (`UpdateParked`).
/// `updatedAt` is the source's time and `startedAt` the time of observation, so consumers judge the age of the price and
/// not that of its delivery.
contract OracleReceiver is IAny2EVMMessageReceiver, PriceFeed, RouterSetting {
    /// @dev Why an update was ignored or parked. The numbers are part of the events.
    uint8 private constant IGNORED_ROUND_NOT_NEWER = 1;
    uint8 private constant IGNORED_OBSERVATION_NOT_NEWER = 2;
    uint8 private constant IGNORED_NEWER_IS_PARKED = 3;
    uint8 private constant PARKED_OUT_OF_RANGE = 1;
    uint8 private constant PARKED_IN_FUTURE = 2;
    uint8 private constant PARKED_STEP_TOO_LARGE = 3;

    /// @dev One round that a message brought. As the parked one: there is none while `roundId` is zero.
    struct Received {
        bytes32 messageId;
        int256 answer;
        uint80 roundId;
        uint64 observedAt;
        uint64 updatedAt;
        uint64 sourceChainSelector;
        uint8 parkedReason;
    }

    /// @notice How far the times of an update may be ahead of this chain: room for chains whose clocks differ.
    uint64 public constant MAX_FUTURE_SECONDS = 300;

    /// @notice The only sender that is trusted on a source chain, zero for none.
    mapping(uint64 sourceChainSelector => address) public allowedSender;

    Received private _parked;

    /// @notice A round was accepted and is current.
    event UpdateReceived(
        uint80 indexed roundId,
        int256 answer,
        uint64 observedAt,
        uint64 updatedAt,
        uint64 receivedAt,
        bytes32 indexed messageId,
        uint64 indexed sourceChainSelector
    );
    /// @notice A round was not taken. Reasons: 1 its number, or 2 its observation, is not newer than that of the current
    /// round; 3 a round that is at least as new is parked.
    event UpdateIgnored(uint80 indexed roundId, bytes32 indexed messageId, uint8 reason);
    /// @notice A round waits for confirmation. Reasons: 1 out of bounds, 2 from the future, 3 too far from the last answer.
    event UpdateParked(
        uint80 indexed roundId, bytes32 indexed messageId, int256 answer, uint64 observedAt, uint8 reason
    );
    /// @notice The waiting round was dropped: a newer one came, or an operator dropped it.
    event ParkedUpdateDiscarded(uint80 indexed roundId, bytes32 indexed messageId);
    /// @notice The trusted sender on a source chain was changed.
    event AllowedSenderSet(uint64 indexed sourceChainSelector, address indexed sender);

    /// @notice Only the router may deliver messages.
    error InvalidRouter(address caller);
    /// @notice No sender is trusted on this source chain.
    error SourceNotAllowed(uint64 sourceChainSelector);
    /// @notice The sender is not the trusted one.
    error SenderNotAllowed(uint64 sourceChainSelector, bytes sender);
    /// @notice The message carries tokens, for which there is no use here.
    error TokensNotAccepted();
    /// @notice The update belongs to another feed.
    error WrongFeed(bytes32 expected, bytes32 given);
    /// @notice The update has other units.
    error WrongDecimals(uint8 expected, uint8 given);
    /// @notice This message is not parked.
    error NotParked(bytes32 messageId);
    /// @notice The parked round cannot be accepted yet: it is from the future.
    error ParkedInFuture(uint64 observedAt, uint64 updatedAt);

    /// @param config What the feed measures and its limits: feed id and decimals must be those of the source.
    /// @param admin Who grants the roles.
    /// @param router_ The CCIP router of this chain.
    constructor(FeedConfig memory config, address admin, address router_)
        PriceFeed(config, admin)
        RouterSetting(router_)
    {}

    /// @notice Trust one sender on a source chain. Admin only.
    /// @param sourceChainSelector CCIP's number of the source chain.
    /// @param sender The OracleWithCCIP there; zero to trust none.
    function setAllowedSender(uint64 sourceChainSelector, address sender) external onlyRole(DEFAULT_ADMIN_ROLE) {
        allowedSender[sourceChainSelector] = sender;
        emit AllowedSenderSet(sourceChainSelector, sender);
    }

    /// @inheritdoc IAny2EVMMessageReceiver
    function ccipReceive(Client.Any2EVMMessage calldata message) external override whenNotPaused {
        if (msg.sender != router) revert InvalidRouter(msg.sender);
        _requireAllowed(message.sourceChainSelector, message.sender);
        if (message.destTokenAmounts.length != 0) revert TokensNotAccepted();
        PriceUpdate.Update memory update = PriceUpdate.decode(message.data);
        if (update.feedId != feedId) revert WrongFeed(feedId, update.feedId);
        if (update.decimals != decimals) revert WrongDecimals(decimals, update.decimals);
        _take(
            Received({
                messageId: message.messageId,
                answer: update.answer,
                roundId: update.roundId,
                observedAt: update.observedAt,
                updatedAt: update.updatedAt,
                sourceChainSelector: message.sourceChainSelector,
                parkedReason: 0
            })
        );
    }

    /// @notice Accept the parked round although it moved too far. Operator only. Bounds and clock are not overruled: an
    /// admin widens the bounds first, and the time must have come.
    /// @param messageId The message that brought it.
    function acceptParked(bytes32 messageId) external onlyRole(OPERATOR_ROLE) whenNotPaused {
        Received memory update = _requireParked(messageId);
        uint8 reason = _reasonToPark(update);
        if (reason == PARKED_OUT_OF_RANGE) revert AnswerOutOfRange(update.answer, minAnswer, maxAnswer);
        if (reason == PARKED_IN_FUTURE) revert ParkedInFuture(update.observedAt, update.updatedAt);
        delete _parked;
        _accept(update);
    }

    /// @notice Drop the parked round. Operator only.
    /// @param messageId The message that brought it.
    function discardParked(bytes32 messageId) external onlyRole(OPERATOR_ROLE) {
        _discard(_requireParked(messageId));
    }

    /// @notice The round that waits; all zero if there is none. There is at most one: the newest.
    function parkedUpdate() external view returns (Received memory) {
        return _parked;
    }

    /// @notice When a round was accepted on this chain, 0 if there is no such round.
    /// @param roundId The round to read.
    function receivedAt(uint80 roundId) external view returns (uint64) {
        return _rounds[roundId].receivedAt;
    }

    /// @notice Which interfaces are implemented: CCIP delivers only to those who answer for its own.
    /// @param interfaceId The interface in question (ERC-165).
    function supportsInterface(bytes4 interfaceId) public view override(AccessControlDefaultAdminRules) returns (bool) {
        return interfaceId == type(IAny2EVMMessageReceiver).interfaceId || super.supportsInterface(interfaceId);
    }

    /// @dev Decide about an authentic update.
    function _take(Received memory update) private {
        if (update.roundId <= _latestRound) {
            emit UpdateIgnored(update.roundId, update.messageId, IGNORED_ROUND_NOT_NEWER);
            return;
        }
        if (update.observedAt <= _rounds[_latestRound].startedAt) {
            emit UpdateIgnored(update.roundId, update.messageId, IGNORED_OBSERVATION_NOT_NEWER);
            return;
        }
        uint8 reason = _reasonToPark(update);
        if (reason == 0 || (reason == PARKED_STEP_TOO_LARGE && _confirmsParked(update))) _acceptAndSettle(update);
        else _park(update, reason);
    }

    /// @dev Make an update current, and then the parked one if that is newer and no longer too far away. So the order in
    /// which the two came makes no difference.
    function _acceptAndSettle(Received memory update) private {
        _accept(update);
        Received memory parked = _parked;
        if (parked.roundId == 0) return;
        if (parked.roundId <= update.roundId || parked.observedAt <= update.observedAt) {
            _discard(parked);
        } else if (_reasonToPark(parked) == 0) {
            delete _parked;
            _accept(parked);
        }
    }

    function _accept(Received memory update) private {
        _publish(update.roundId, update.answer, update.observedAt, update.updatedAt);
        emit UpdateReceived(
            update.roundId,
            update.answer,
            update.observedAt,
            update.updatedAt,
            uint64(block.timestamp),
            update.messageId,
            update.sourceChainSelector
        );
    }

    /// @dev Keep an update that cannot be accepted; only the newest is kept.
    function _park(Received memory update, uint8 reason) private {
        Received memory parked = _parked;
        if (update.roundId <= parked.roundId) {
            emit UpdateIgnored(update.roundId, update.messageId, IGNORED_NEWER_IS_PARKED);
            return;
        }
        if (parked.roundId != 0) _discard(parked);
        update.parkedReason = reason;
        _parked = update;
        emit UpdateParked(update.roundId, update.messageId, update.answer, update.observedAt, reason);
    }

    function _discard(Received memory parked) private {
        delete _parked;
        emit ParkedUpdateDiscarded(parked.roundId, parked.messageId);
    }

    /// @dev Whether two rounds agree on the new level: an update and the parked one, of another round, are within a step of
    /// each other. Seen from the older of the two, so that their order of arrival makes no difference.
    function _confirmsParked(Received memory update) private view returns (bool) {
        Received memory parked = _parked;
        if (parked.roundId == 0 || parked.roundId == update.roundId) return false;
        uint8 reason = _reasonToPark(parked);
        if (reason == PARKED_OUT_OF_RANGE || reason == PARKED_IN_FUTURE) return false;
        return parked.roundId < update.roundId
            ? _withinStep(parked.answer, update.answer)
            : _withinStep(update.answer, parked.answer);
    }

    /// @dev Why an update cannot be accepted as things stand, or 0.
    function _reasonToPark(Received memory update) private view returns (uint8) {
        if (!_inBounds(update.answer)) return PARKED_OUT_OF_RANGE;
        uint256 latestAllowed = block.timestamp + MAX_FUTURE_SECONDS;
        if (update.observedAt > latestAllowed || update.updatedAt > latestAllowed) return PARKED_IN_FUTURE;
        uint80 last = _latestRound;
        return last == 0 || _withinStep(_rounds[last].answer, update.answer) ? 0 : PARKED_STEP_TOO_LARGE;
    }

    function _requireParked(bytes32 messageId) private view returns (Received memory parked) {
        parked = _parked;
        if (parked.roundId == 0 || parked.messageId != messageId) revert NotParked(messageId);
    }

    /// @dev The sender is `abi.encode(address)`; comparing the encodings leaves no room for dirty bits.
    function _requireAllowed(uint64 sourceChainSelector, bytes calldata sender) private view {
        address allowed = allowedSender[sourceChainSelector];
        if (allowed == address(0)) revert SourceNotAllowed(sourceChainSelector);
        if (keccak256(sender) != keccak256(abi.encode(allowed))) revert SenderNotAllowed(sourceChainSelector, sender);
    }
}
