// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IRouterClient} from "@chainlink/contracts-ccip/contracts/interfaces/IRouterClient.sol";
import {Destinations} from "../src/Destinations.sol";
import {OracleWithCCIP} from "../src/OracleWithCCIP.sol";
import {RouterSetting} from "../src/RouterSetting.sol";
import {FeedTest} from "./base/FeedTest.sol";
import {MockRouter} from "./mocks/MockRouter.sol";
import {MockToken} from "./mocks/MockToken.sol";
import {Vm} from "./base/Vm.sol";

/// @title Whatever the router does, the price is published and the money is where it belongs.
contract HostileRouterTest is FeedTest {
    OracleWithCCIP private oracle;
    MockRouter private router;
    MockToken private link;
    address private receiver = makeAddr("receiver");

    function setUp() public {
        (oracle, router, link) = newOracle(0);
        vm.deal(publisher, 10 ether);
        vm.deal(operator, 10 ether);
        link.mint(address(oracle), 1 ether);
        setDestination(oracle, FAR_CHAIN, toReceiver(oracle, receiver, address(0)));
        setDestination(oracle, OTHER_CHAIN, toReceiver(oracle, receiver, address(link)));
    }

    /// @dev Submit and expect that the price is published, and that nothing was spent on the failures.
    function submitAndExpectFailures(bytes memory nativeReason, bytes memory linkReason) private {
        vm.prank(publisher);
        vm.expectEmit(address(oracle));
        emit OracleWithCCIP.SendFailed(1, FAR_CHAIN, nativeReason);
        vm.expectEmit(address(oracle));
        emit OracleWithCCIP.SendFailed(1, OTHER_CHAIN, linkReason);
        oracle.submit{value: 1 ether}(1, PRICE, uint64(block.timestamp));
        nothingWasSpent();
        (uint80 roundId,,,) = oracle.lastSent(FAR_CHAIN);
        eq(roundId, 0, "a failure is not a send");
    }

    function nothingWasSpent() private view {
        eq(oracle.latestAnswer(), PRICE, "published");
        eq(publisher.balance, 10 ether, "refunded");
        eq(address(oracle).balance, 0, "nothing is stuck");
        eq(link.balanceOf(address(oracle)), 1 ether, "no link spent");
        eq(link.allowance(address(oracle), address(router)), 0, "no claim is left");
    }

    function test_RefusedQuote() public {
        router.setMode(MockRouter.Mode.RefuseQuote);
        bytes memory why = abi.encodeWithSelector(MockRouter.Refused.selector);
        submitAndExpectFailures(why, why);
    }

    function test_RefusedSend() public {
        router.setMode(MockRouter.Mode.RefuseSend);
        bytes memory why = abi.encodeWithSelector(MockRouter.Refused.selector);
        submitAndExpectFailures(why, why);
    }

    function test_NoCode() public {
        vm.etch(address(router), "");
        bytes memory why = abi.encodeWithSelector(RouterSetting.NoCode.selector, address(router));
        submitAndExpectFailures(why, why);
    }

    function test_RouterThatEatsItsGas() public {
        router.setMode(MockRouter.Mode.EatGas);
        uint256 before = gasleft();
        submitAs(oracle, publisher, PRICE, 1 ether);
        vm.assertLe(before - gasleft(), oracle.submitGasLimit(), "within the advertised limit");
        nothingWasSpent();
        router.setMode(MockRouter.Mode.EatGasInQuote);
        pass(1);
        submitAs(oracle, publisher, PRICE, 1 ether);
        nothingWasSpent();
    }

    function test_HugeRevertDataIsCutOff() public {
        router.setMode(MockRouter.Mode.HugeRevert);
        vm.recordLogs();
        submitAs(oracle, publisher, PRICE, 1 ether);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        uint256 failures;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != OracleWithCCIP.SendFailed.selector) continue;
            ++failures;
            vm.assertLe(abi.decode(logs[i].data, (bytes)).length, 256, "bounded");
        }
        eq(failures, 2, "both failed");
        nothingWasSpent();
    }

    function test_HugeReplyIsHarmless() public {
        router.setMode(MockRouter.Mode.HugeReturn);
        submitAs(oracle, publisher, PRICE, 1 ether);
        (uint80 roundId,,,) = oracle.lastSent(OTHER_CHAIN);
        eq(roundId, 1, "sent");
        eq(oracle.latestRound(), 1, "published");
    }

    function test_ShortReplyIsAFailure() public {
        router.setMode(MockRouter.Mode.ShortReturn);
        submitAndExpectFailures("", "");
    }

    function test_FeeThatRisesAfterTheQuote() public {
        router.setMode(MockRouter.Mode.RaiseFee);
        submitAndExpectFailures(
            abi.encodeWithSelector(IRouterClient.InsufficientFeeTokenAmount.selector),
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(router), FEE, FEE + 1)
        );
    }

    function test_FeeAboveTheCap() public {
        router.setFee(1 ether + 1);
        bytes memory why = abi.encodeWithSelector(OracleWithCCIP.FeeAboveCap.selector, 1 ether + 1, 1 ether);
        submitAndExpectFailures(why, why);
    }

    function test_TooLittleMoney() public {
        vm.prank(admin);
        oracle.withdrawToken(link, admin, 1 ether);
        vm.recordLogs();
        submitAs(oracle, publisher, PRICE, FEE - 1);
        eq(oracle.latestRound(), 1, "published");
        eq(router.sentCount(), 0, "not sent");
        eq(publisher.balance, 10 ether, "refunded");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        eq(
            abi.decode(logs[2].data, (bytes)),
            abi.encodeWithSelector(OracleWithCCIP.InsufficientFunds.selector, address(0), FEE - 1, FEE),
            "native"
        );
        eq(
            abi.decode(logs[3].data, (bytes)),
            abi.encodeWithSelector(OracleWithCCIP.InsufficientFunds.selector, address(link), 0, FEE),
            "link"
        );
    }

    function test_RouterThatTakesLessKeepsNoClaim() public {
        router.setMode(MockRouter.Mode.TakeLess);
        submitAs(oracle, publisher, PRICE, 1 ether);
        eq(link.balanceOf(address(oracle)), 1 ether - FEE / 2, "took half");
        eq(link.allowance(address(oracle), address(router)), 0, "no claim is left");
    }

    function test_ReentryIsRefused() public {
        vm.startPrank(admin);
        oracle.grantRole(oracle.PUBLISHER_ROLE(), address(router));
        oracle.grantRole(oracle.OPERATOR_ROLE(), address(router));
        vm.stopPrank();
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(oracle.submit, (2, PRICE, uint64(block.timestamp) + 1));
        calls[1] = abi.encodeCall(oracle.resend, (1, FAR_CHAIN));
        for (uint256 i = 0; i < calls.length; ++i) {
            router.setReentry(address(oracle), calls[i]);
            submitAs(oracle, publisher, PRICE, 1 ether);
            eq(oracle.latestRound(), i + 1, "one round each");
            eq(router.sentCount(), 0, "the send failed");
            pass(1);
        }
        // The reply of a refused reentry is undone with the send, so look at it in a call that is not.
        vm.expectRevert(MockRouter.Refused.selector);
        vm.prank(operator);
        oracle.resend{value: 1 ether}(1, FAR_CHAIN);
    }

    function test_GuardIsWhatRefusesReentry() public {
        router.setReentry(address(this), abi.encodeCall(this.reenterSubmit, ()));
        bytes32 role = oracle.PUBLISHER_ROLE();
        vm.prank(admin);
        oracle.grantRole(role, address(this));
        submitAs(oracle, publisher, PRICE, 1 ether);
        eq(router.sentCount(), 2, "the send went through, the reentry did not");
        eq(oracle.latestRound(), 1, "one round");
        eq(
            bytes32(bytes4(router.reenterReply().length == 0 ? bytes("") : abi.decode(router.reenterReply(), (bytes)))),
            bytes32(ReentrancyGuard.ReentrancyGuardReentrantCall.selector),
            "why"
        );
    }

    function reenterSubmit() external returns (bytes memory reply) {
        bool ok;
        (ok, reply) = address(oracle).call(abi.encodeCall(oracle.submit, (2, PRICE, uint64(block.timestamp) + 1)));
        no(ok, "refused");
    }

    function testFuzz_TooLittleGasForASendStillPublishes(uint256 gas) public {
        router.setMode(MockRouter.Mode.EatGas);
        gas = bound(gas, 220_000, oracle.submitGasLimit());
        vm.prank(publisher);
        oracle.submit{value: 1 ether, gas: gas}(1, PRICE, uint64(block.timestamp));
        nothingWasSpent();
    }

    function test_TooLittleGasIsNamed() public {
        vm.recordLogs();
        vm.prank(publisher);
        oracle.submit{value: 1 ether, gas: 400_000}(1, PRICE, uint64(block.timestamp));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        bytes memory reason = abi.decode(logs[2].data, (bytes));
        eq(bytes32(bytes4(reason)), bytes32(OracleWithCCIP.NotEnoughGasToSend.selector), "named");
        nothingWasSpent();
    }

    function test_TheAdvertisedGasIsEnoughForAllDestinations() public {
        for (uint64 i = 1; i <= 14; ++i) {
            setDestination(oracle, i, toReceiver(oracle, receiver, address(0)));
        }
        uint256 gas = oracle.submitGasLimit();
        vm.prank(publisher);
        oracle.submit{value: 1 ether, gas: gas}(1, PRICE, uint64(block.timestamp));
        eq(router.sentCount(), 16, "all sent");
    }

    function test_ADeadDestinationDoesNotStopTheOthers() public {
        Destinations.Destination memory capped = toReceiver(oracle, receiver, address(0));
        capped.maxFee = 0;
        setDestination(oracle, FAR_CHAIN, capped);
        submitAs(oracle, publisher, PRICE, 1 ether);
        eq(router.sentCount(), 1, "the other one");
        eq(router.sent(0).selector, OTHER_CHAIN, "was sent");
    }
}
