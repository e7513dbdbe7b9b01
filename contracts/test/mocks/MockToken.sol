// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A token that anybody can mint.
contract MockToken is ERC20("Mock LINK", "LINK") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}
