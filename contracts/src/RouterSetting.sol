// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {
    AccessControlDefaultAdminRules
} from "@openzeppelin/contracts/access/extensions/AccessControlDefaultAdminRules.sol";

/// @title The CCIP router that a contract trusts, changeable by its admin after a delay.
/// @notice Routers change rarely (ramps, behind them, do often), but a contract that cannot follow is lost. The delay gives
/// everybody time to see a change that should not happen.
abstract contract RouterSetting is AccessControlDefaultAdminRules {
    /// @notice How long a proposed router waits before it can be accepted.
    uint64 public constant ROUTER_CHANGE_DELAY_SECONDS = 1 days;

    /// @notice The router in use.
    address public router;
    /// @notice The router that was proposed, zero if none.
    address public pendingRouter;
    /// @notice When the proposed router can be accepted, in seconds since the epoch.
    uint64 public pendingRouterAt;

    /// @notice A router was proposed, or the proposal withdrawn (zero).
    event RouterProposed(address indexed router, uint64 acceptableAt);
    /// @notice A router is in use from now on.
    event RouterChanged(address indexed previous, address indexed router);

    /// @notice There is no contract at this address.
    error NoCode(address account);
    /// @notice There is no proposed router, or its delay has not passed.
    error RouterNotAcceptable(address pendingRouter, uint64 acceptableAt);

    constructor(address router_) {
        _requireCode(router_);
        router = router_;
        emit RouterChanged(address(0), router_);
    }

    /// @notice Propose another router. Admin only; a second proposal replaces the first and starts the delay again.
    /// @param router_ The router, or zero to withdraw the proposal.
    function proposeRouter(address router_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        uint64 acceptableAt;
        if (router_ != address(0)) {
            _requireCode(router_);
            acceptableAt = uint64(block.timestamp) + ROUTER_CHANGE_DELAY_SECONDS;
        }
        pendingRouter = router_;
        pendingRouterAt = acceptableAt;
        emit RouterProposed(router_, acceptableAt);
    }

    /// @notice Use the proposed router, once its delay has passed. Admin only.
    function acceptRouter() external onlyRole(DEFAULT_ADMIN_ROLE) {
        address next = pendingRouter;
        if (next == address(0) || block.timestamp < pendingRouterAt) revert RouterNotAcceptable(next, pendingRouterAt);
        emit RouterChanged(router, next);
        router = next;
        delete pendingRouter;
        delete pendingRouterAt;
    }

    /// @dev Revert unless there is a contract at the address.
    function _requireCode(address account) internal view {
        if (account.code.length == 0) revert NoCode(account);
    }
}
