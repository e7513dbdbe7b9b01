// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Vm} from "./Vm.sol";

/// @title Base of our tests: cheat codes, assertions with a reason, and which contracts invariants may call.
abstract contract Test {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    address[] private _targets;

    /// @dev Forge asks for the contracts whose functions it calls between two checks of the invariants.
    function targetContracts() external view returns (address[] memory) {
        return _targets;
    }

    function target(address handler) internal {
        _targets.push(handler);
    }

    function makeAddr(string memory name) internal returns (address account) {
        account = vm.addr(uint256(keccak256(bytes(name))));
        vm.label(account, name);
    }

    function bound(uint256 x, uint256 low, uint256 high) internal pure returns (uint256) {
        uint256 size = high - low + 1;
        return size == 0 ? x : low + x % size;
    }

    function boundInt(int256 x, int256 low, int256 high) internal pure returns (int256) {
        uint256 offset = uint256(type(int256).max) + 1;
        unchecked {
            return int256(bound(uint256(x) + offset, uint256(low) + offset, uint256(high) + offset) - offset);
        }
    }

    function yes(bool ok, string memory why) internal pure {
        vm.assertEq(ok, true, why);
    }

    function no(bool ok, string memory why) internal pure {
        vm.assertEq(ok, false, why);
    }

    function eq(uint256 a, uint256 b, string memory why) internal pure {
        vm.assertEq(a, b, why);
    }

    function eq(int256 a, int256 b, string memory why) internal pure {
        vm.assertEq(a, b, why);
    }

    function eq(address a, address b, string memory why) internal pure {
        vm.assertEq(a, b, why);
    }

    function eq(bytes32 a, bytes32 b, string memory why) internal pure {
        vm.assertEq(a, b, why);
    }

    function eq(bytes memory a, bytes memory b, string memory why) internal pure {
        vm.assertEq(a, b, why);
    }

    function eq(string memory a, string memory b, string memory why) internal pure {
        vm.assertEq(a, b, why);
    }
}
