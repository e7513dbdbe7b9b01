// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IRouterClient} from "@chainlink/contracts-ccip/contracts/interfaces/IRouterClient.sol";
import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {Aggregator} from "./Aggregator.sol";
import {Destinations} from "./Destinations.sol";
import {FeedConfig} from "./PriceFeed.sol";
import {RouterSetting} from "./RouterSetting.sol";
import {BoundedCall} from "./libraries/BoundedCall.sol";
import {PriceUpdate} from "./libraries/PriceUpdate.sol";

/// @title A price feed that carries its rounds to other chains over CCIP.
/// @notice Invariant: nothing that happens on the way to another chain can undo or prevent a price update. Each send is a
/// call to this contract itself with bounded gas and a bounded reply; whatever goes wrong in it becomes `SendFailed`, and
/// the next round, or `resend`, tries again. A destination pays its fee in LINK or in the native token, never more than
/// its cap. What a caller sent and no fee used goes back to the caller.
contract OracleWithCCIP is Aggregator, Destinations, RouterSetting, ReentrancyGuard {
    using BoundedCall for address;
    using SafeERC20 for IERC20;

    /// @notice Gas that one send may use, unless the admin sets another limit: a CCIP 2.0 send takes about 350,000.
    uint32 public constant DEFAULT_SEND_GAS_LIMIT = 600_000;
    /// @dev Limits of the limit: below, no send succeeds; above, a block may be too small for a few destinations.
    uint32 private constant MIN_SEND_GAS_LIMIT = 100_000;
    uint32 private constant MAX_SEND_GAS_LIMIT = 5_000_000;
    /// @dev What of a failure is kept in `SendFailed`.
    uint256 private constant MAX_REASON_BYTES = 256;
    /// @dev Gas for a refund: enough for a smart wallet, too little to matter.
    uint256 private constant REFUND_GAS = 50_000;
    /// @dev Gas to take a submission without any send, with room to spare.
    uint256 private constant SUBMIT_GAS = 250_000;
    /// @dev Gas to look at one destination and report its failure.
    uint256 private constant DESTINATION_GAS = 40_000;
    /// @dev Gas to come to an orderly end after the last destination.
    uint256 private constant CLOSING_GAS = 100_000;

    /// @notice The only token, besides the native one, in which fees are paid.
    IERC20 public immutable linkToken;
    /// @notice Gas that one send may use.
    uint32 public sendGasLimit;
    /// @notice Whether sending is paused; prices are published all the same.
    bool public sendingPaused;

    /// @notice A round is on its way.
    event CrossChainUpdateSent(
        uint80 indexed roundId,
        uint64 indexed destinationChainSelector,
        bytes32 indexed messageId,
        bytes receiver,
        address feeToken,
        uint256 fee
    );
    /// @notice A round could not be sent. `reason` is the start of the revert data; empty if the send ran out of gas.
    event SendFailed(uint80 indexed roundId, uint64 indexed destinationChainSelector, bytes reason);
    /// @notice Sending was paused or taken up again.
    event SendingPausedSet(bool paused);
    /// @notice The gas that one send may use was changed.
    event SendGasLimitSet(uint32 gasLimit);
    /// @notice The caller would not take what was left of its payment: the amount stays here, for the admin to withdraw.
    event RefundFailed(address indexed to, uint256 amount);
    /// @notice The admin took out funds; the zero address is the native token.
    event Withdrawn(address indexed token, address indexed to, uint256 amount);

    /// @notice Only this contract may call this.
    error OnlySelf();
    /// @notice Sending is paused.
    error SendingIsPaused();
    /// @notice The destination is switched off.
    error DestinationDisabled(uint64 selector);
    /// @notice The transaction had too little gas left to try a send.
    error NotEnoughGasToSend(uint256 needed);
    /// @notice The fee is above the cap of the destination.
    error FeeAboveCap(uint256 fee, uint256 cap);
    /// @notice There is too little of the fee token.
    error InsufficientFunds(address feeToken, uint256 balance, uint256 needed);
    /// @notice The gas limit is not between 100,000 and 5,000,000.
    error InvalidSendGasLimit(uint32 gasLimit);
    /// @notice The native token could not be paid out.
    error PaymentRefused(address to);

    /// @param config What the feed measures and its limits.
    /// @param admin Who grants the roles.
    /// @param router_ The CCIP router of this chain.
    /// @param linkToken_ LINK on this chain, or zero if fees are paid in the native token only.
    constructor(FeedConfig memory config, address admin, address router_, address linkToken_)
        Aggregator(config, admin)
        RouterSetting(router_)
    {
        if (linkToken_ != address(0)) _requireCode(linkToken_);
        linkToken = IERC20(linkToken_);
        sendGasLimit = DEFAULT_SEND_GAS_LIMIT;
    }

    /// @notice Take native tokens for fees.
    receive() external payable {}

    /// @notice Publish the answer of the next round and send it to every destination that is due. Publisher only.
    /// @dev Give it `submitGasLimit()` gas: an estimate finds the least gas with which the transaction succeeds, and it
    /// also succeeds with too little gas to send.
    /// @param roundId Must be the latest round + 1.
    /// @param answer The answer, in units of 10^-decimals, within the bounds.
    /// @param observedAt When it was observed, in seconds.
    function submit(uint80 roundId, int256 answer, uint64 observedAt)
        external
        payable
        override
        onlyRole(PUBLISHER_ROLE)
        whenNotPaused
        nonReentrant
    {
        uint256 unspent = msg.value;
        if (_submit(roundId, answer, observedAt) && !sendingPaused) unspent = _sendToAllDue(roundId, answer, unspent);
        _refund(unspent);
    }

    /// @notice Send a round again, due or not. Operator only; reverts with the reason if it cannot be sent.
    /// @param roundId A round that was published.
    /// @param selector Where to send it.
    /// @return messageId The CCIP message.
    function resend(uint80 roundId, uint64 selector)
        external
        payable
        onlyRole(OPERATOR_ROLE)
        nonReentrant
        returns (bytes32 messageId)
    {
        if (sendingPaused) revert SendingIsPaused();
        uint256 nativeFee;
        (messageId, nativeFee) = _send(roundId, selector);
        _refund(_minus(msg.value, nativeFee));
    }

    /// @notice One send in a call of its own, so that it can fail alone. Only this contract may call it.
    /// @param roundId A round that was published.
    /// @param selector Where to send it.
    /// @return nativeFee What was paid in the native token.
    function sendFromSelf(uint80 roundId, uint64 selector) external returns (uint256 nativeFee) {
        if (msg.sender != address(this)) revert OnlySelf();
        (, nativeFee) = _send(roundId, selector);
    }

    /// @notice Stop sending; prices are published all the same. Pauser only.
    function pauseSending() external onlyRole(PAUSER_ROLE) {
        _setSendingPaused(true);
    }

    /// @notice Send again. Pauser only.
    function unpauseSending() external onlyRole(PAUSER_ROLE) {
        _setSendingPaused(false);
    }

    /// @notice Change the gas that one send may use. Admin only.
    /// @param gasLimit Between 100,000 and 5,000,000.
    function setSendGasLimit(uint32 gasLimit) external onlyRole(DEFAULT_ADMIN_ROLE) {
        if (gasLimit < MIN_SEND_GAS_LIMIT || gasLimit > MAX_SEND_GAS_LIMIT) revert InvalidSendGasLimit(gasLimit);
        sendGasLimit = gasLimit;
        emit SendGasLimitSet(gasLimit);
    }

    /// @notice Take out native tokens. Admin only.
    /// @param to Who gets them.
    /// @param amount How much, in wei.
    function withdrawNative(address payable to, uint256 amount) external onlyRole(DEFAULT_ADMIN_ROLE) nonReentrant {
        emit Withdrawn(address(0), to, amount);
        (bool ok,) = to.call{value: amount}("");
        if (!ok) revert PaymentRefused(to);
    }

    /// @notice Take out tokens, LINK or any other. Admin only.
    /// @param token Which token.
    /// @param to Who gets them.
    /// @param amount How much, in base units.
    function withdrawToken(IERC20 token, address to, uint256 amount)
        external
        onlyRole(DEFAULT_ADMIN_ROLE)
        nonReentrant
    {
        emit Withdrawn(address(token), to, amount);
        token.safeTransfer(to, amount);
    }

    /// @notice What sending the latest round would cost now. Reverts as the router does.
    /// @param selector Which destination.
    /// @return feeToken The token of the fee; zero is the native token.
    /// @return fee The fee, in base units.
    function quote(uint64 selector) public view returns (address feeToken, uint256 fee) {
        Destination memory target = destination(selector);
        return (target.feeToken, IRouterClient(router).getFee(selector, _message(_latestRound, target)));
    }

    /// @notice How many sends this contract can pay for at the present fee.
    /// @param selector Which destination.
    /// @return sends The number; the largest uint256 if sending is free.
    function feeRunway(uint64 selector) external view returns (uint256 sends) {
        (address feeToken, uint256 fee) = quote(selector);
        return fee == 0 ? type(uint256).max : _funds(feeToken) / fee;
    }

    /// @notice A gas limit for `submit` with which no send is skipped for lack of gas.
    function submitGasLimit() external view returns (uint256 gas) {
        uint256 perSend = _gasForSend() + DESTINATION_GAS;
        return SUBMIT_GAS + CLOSING_GAS + perSend * destinationSelectors().length;
    }

    /// @dev Send a round to every destination that is due; returns what is left of the caller's payment.
    function _sendToAllDue(uint80 roundId, int256 answer, uint256 unspent) private returns (uint256) {
        uint64[] memory selectors = destinationSelectors();
        for (uint256 i = 0; i < selectors.length; ++i) {
            if (!_isDue(selectors[i], answer)) continue;
            // What follows must never run dry, so a send that could eat what the rest needs is not started.
            uint256 needed = _gasForSend() + DESTINATION_GAS * (selectors.length - i) + CLOSING_GAS;
            if (gasleft() < needed) {
                emit SendFailed(roundId, selectors[i], abi.encodeWithSelector(NotEnoughGasToSend.selector, needed));
                continue;
            }
            (bool ok, bytes memory reply) = address(this)
                .boundedCall(
                    sendGasLimit, 0, abi.encodeCall(this.sendFromSelf, (roundId, selectors[i])), MAX_REASON_BYTES
                );
            if (ok) unspent = _minus(unspent, abi.decode(reply, (uint256)));
            else emit SendFailed(roundId, selectors[i], reply);
        }
        return unspent;
    }

    /// @dev Send one round to one destination and pay for it, or revert.
    function _send(uint80 roundId, uint64 selector) private returns (bytes32 messageId, uint256 nativeFee) {
        Destination memory target = destination(selector);
        if (!target.enabled) revert DestinationDisabled(selector);
        Client.EVM2AnyMessage memory message = _message(roundId, target);
        address to = router;
        _requireCode(to);

        uint256 fee = IRouterClient(to).getFee(selector, message);
        if (fee > target.maxFee) revert FeeAboveCap(fee, target.maxFee);
        uint256 funds = _funds(target.feeToken);
        if (funds < fee) revert InsufficientFunds(target.feeToken, funds, fee);
        _recordSent(selector, roundId, _knownRound(roundId).answer);

        if (target.feeToken == address(0)) {
            nativeFee = fee;
            messageId = IRouterClient(to).ccipSend{value: fee}(selector, message);
        } else {
            linkToken.forceApprove(to, fee);
            messageId = IRouterClient(to).ccipSend(selector, message);
            // A router that took less than it asked for keeps no claim on the rest.
            if (linkToken.allowance(address(this), to) != 0) linkToken.forceApprove(to, 0);
        }
        emit CrossChainUpdateSent(roundId, selector, messageId, target.receiver, target.feeToken, fee);
    }

    /// @dev Give back what was not spent. A refusal is recorded and does not undo the update.
    function _refund(uint256 amount) private {
        if (amount == 0) return;
        (bool ok,) = msg.sender.boundedCall(REFUND_GAS, amount, "", 0);
        if (!ok) emit RefundFailed(msg.sender, amount);
    }

    function _setSendingPaused(bool paused_) private {
        sendingPaused = paused_;
        emit SendingPausedSet(paused_);
    }

    /// @dev The CCIP message for a round; for round 0 (no data yet) a message of the same size, for quotes.
    function _message(uint80 roundId, Destination memory target) private view returns (Client.EVM2AnyMessage memory) {
        Round memory round;
        if (roundId != 0) round = _knownRound(roundId);
        bytes memory payload = PriceUpdate.encode(
            PriceUpdate.Update(feedId, roundId, round.answer, round.startedAt, round.updatedAt, decimals)
        );
        return Client.EVM2AnyMessage({
            receiver: target.receiver,
            data: payload,
            tokenAmounts: new Client.EVMTokenAmount[](0),
            feeToken: target.feeToken,
            extraArgs: target.extraArgs
        });
    }

    /// @dev Gas that must be left before a send, for the call to get `sendGasLimit`: a call passes on 63/64 at most.
    function _gasForSend() private view returns (uint256) {
        return (uint256(sendGasLimit) * 64) / 63;
    }

    function _funds(address feeToken) private view returns (uint256) {
        return feeToken == address(0) ? address(this).balance : linkToken.balanceOf(address(this));
    }

    function _isFeeToken(address token) internal view override returns (bool) {
        return token == address(0) || token == address(linkToken);
    }

    /// @dev a - b, or 0: the caller's payment is used first, the balance of the contract after it.
    function _minus(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a - b : 0;
    }
}
