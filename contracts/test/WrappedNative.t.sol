// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {WrappedNative} from "../src/devnet/WrappedNative.sol";
import {Test} from "./base/Test.sol";

contract WrappedNativeTest is Test {
    WrappedNative private token;
    address private alice = makeAddr("alice");
    address private bob = makeAddr("bob");

    function setUp() public {
        token = new WrappedNative();
        vm.deal(alice, 10 ether);
        vm.prank(alice);
        token.deposit{value: 4 ether}();
    }

    function test_DepositAndWithdraw() public {
        vm.startPrank(alice);
        (bool ok,) = address(token).call{value: 1 ether}("");
        yes(ok, "plain transfers are wrapped");
        eq(token.balanceOf(alice), 5 ether, "wrapped");
        eq(token.totalSupply(), 5 ether, "supply");
        token.withdraw(2 ether);
        eq(alice.balance, 7 ether, "unwrapped");
        vm.expectRevert(abi.encodeWithSelector(WrappedNative.InsufficientBalance.selector, 3 ether, 4 ether));
        token.withdraw(4 ether);
    }

    function test_WithdrawToARefusingContract() public {
        vm.deal(address(this), 1);
        token.deposit{value: 1}();
        vm.expectRevert(abi.encodeWithSelector(WrappedNative.PaymentRefused.selector, address(this)));
        token.withdraw(1);
    }

    function test_Transfers() public {
        vm.prank(alice);
        yes(token.transfer(bob, 1 ether), "transfer");
        eq(token.balanceOf(bob), 1 ether, "moved");
        vm.expectRevert(abi.encodeWithSelector(WrappedNative.InsufficientAllowance.selector, 0, 1));
        vm.prank(bob);
        token.transferFrom(alice, bob, 1);
        vm.prank(alice);
        token.approve(bob, 2 ether);
        vm.prank(bob);
        token.transferFrom(alice, bob, 1 ether);
        eq(token.allowance(alice, bob), 1 ether, "used");
        vm.prank(alice);
        token.approve(bob, type(uint256).max);
        vm.prank(bob);
        token.transferFrom(alice, bob, 1 ether);
        eq(token.allowance(alice, bob), type(uint256).max, "never used up");
    }
}
