// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IRouterClient} from "@chainlink/contracts-ccip/contracts/interfaces/IRouterClient.sol";
import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";
import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {Destinations} from "../src/Destinations.sol";
import {OracleWithCCIP} from "../src/OracleWithCCIP.sol";
import {RouterSetting} from "../src/RouterSetting.sol";
import {PriceUpdate} from "../src/libraries/PriceUpdate.sol";
import {FeedTest} from "./base/FeedTest.sol";
import {ReenteringPublisher, RefusingPublisher} from "./mocks/Callers.sol";
import {MockRouter} from "./mocks/MockRouter.sol";
import {MockToken} from "./mocks/MockToken.sol";

contract OracleWithCCIPTest is FeedTest {
    OracleWithCCIP private oracle;
    MockRouter private router;
    MockToken private link;
    address private receiver = makeAddr("receiver");

    function setUp() public {
        (oracle, router, link) = newOracle(0);
        vm.deal(publisher, 10 ether);
        vm.deal(operator, 10 ether);
    }

    function addNative(uint64 selector) private {
        setDestination(oracle, selector, toReceiver(oracle, receiver, address(0)));
    }

    function addLink(uint64 selector) private {
        setDestination(oracle, selector, toReceiver(oracle, receiver, address(link)));
    }

    function test_TheMessageIsTheRound() public {
        addNative(FAR_CHAIN);
        Destinations.Destination memory to = oracle.destination(FAR_CHAIN);
        Client.EVM2AnyMessage memory expected = Client.EVM2AnyMessage({
            receiver: abi.encode(receiver),
            data: PriceUpdate.encode(update(1, PRICE)),
            tokenAmounts: new Client.EVMTokenAmount[](0),
            feeToken: address(0),
            extraArgs: to.extraArgs
        });
        vm.expectCall(address(router), FEE, abi.encodeCall(IRouterClient.ccipSend, (FAR_CHAIN, expected)));
        submitAs(oracle, publisher, PRICE, FEE);
    }

    function test_SendingIsAnnounced() public {
        addNative(FAR_CHAIN);
        bytes32 id = keccak256(abi.encode(NEAR_CHAIN, FAR_CHAIN, 0));
        uint64 observedAt = uint64(block.timestamp);
        vm.prank(publisher);
        vm.expectEmit(address(oracle));
        emit OracleWithCCIP.CrossChainUpdateSent(1, FAR_CHAIN, id, abi.encode(receiver), address(0), FEE);
        oracle.submit{value: FEE}(1, PRICE, observedAt);
    }

    function test_NativeFeesComeFromTheCallFirstAndTheRestIsRefunded() public {
        addNative(FAR_CHAIN);
        addNative(OTHER_CHAIN);
        vm.deal(address(oracle), 1 ether);
        submitAs(oracle, publisher, PRICE, 1 ether);
        eq(publisher.balance, 10 ether - 2 * FEE, "two fees");
        eq(address(oracle).balance, 1 ether, "own funds untouched");
        eq(address(router).balance, 2 * FEE, "exact");
    }

    function test_NativeFeesComeFromOwnFundsAfterThat() public {
        addNative(FAR_CHAIN);
        addNative(OTHER_CHAIN);
        vm.deal(address(oracle), 1 ether);
        submitAs(oracle, publisher, PRICE, FEE + 1);
        eq(publisher.balance, 10 ether - FEE - 1, "all of the payment");
        eq(address(oracle).balance, 1 ether - FEE + 1, "the rest of the second fee");
    }

    function test_LinkFeesAreApprovedExactly() public {
        addLink(FAR_CHAIN);
        link.mint(address(oracle), 1 ether);
        submitAs(oracle, publisher, PRICE, 5);
        eq(link.balanceOf(address(router)), FEE, "fee");
        eq(link.allowance(address(oracle), address(router)), 0, "no claim is left");
        eq(publisher.balance, 10 ether, "payment refunded");
    }

    function test_AFeeOfExactlyTheCapIsPaid() public {
        addNative(FAR_CHAIN);
        router.setFee(1 ether);
        submitAs(oracle, publisher, PRICE, 1 ether);
        eq(router.sentCount(), 1, "sent");
        eq(address(router).balance, 1 ether, "paid");
    }

    function test_WithoutDestinationsThePaymentComesBack() public {
        submitAs(oracle, publisher, PRICE, 1 ether);
        eq(publisher.balance, 10 ether, "refunded");
    }

    function test_AParkedAnswerSendsNothingAndRefunds() public {
        vm.prank(admin);
        oracle.setMaxStepBps(100);
        addNative(FAR_CHAIN);
        submitAs(oracle, publisher, PRICE, FEE);
        pass(1);
        submitAs(oracle, publisher, 2 * PRICE, FEE);
        eq(router.sentCount(), 1, "only the first round");
        eq(publisher.balance, 10 ether - FEE, "refunded");
    }

    function test_ARefusedRefundIsRecordedAndCanBeWithdrawn() public {
        RefusingPublisher refusing = new RefusingPublisher();
        bytes32 role = oracle.PUBLISHER_ROLE();
        vm.prank(admin);
        oracle.grantRole(role, address(refusing));
        vm.expectEmit(address(oracle));
        emit OracleWithCCIP.RefundFailed(address(refusing), 1 ether);
        refusing.submit{value: 1 ether}(oracle, 1, PRICE);
        eq(oracle.latestRound(), 1, "published");
        vm.prank(admin);
        oracle.withdrawNative(payable(stranger), 1 ether);
        eq(stranger.balance, 1 ether, "not stuck");
    }

    function test_ARefundCannotSubmitAgain() public {
        ReenteringPublisher reentering = new ReenteringPublisher();
        bytes32 role = oracle.PUBLISHER_ROLE();
        vm.prank(admin);
        oracle.grantRole(role, address(reentering));
        reentering.submit{value: 1 ether}(oracle, 1, PRICE);
        eq(oracle.latestRound(), 1, "one round");
        no(reentering.succeeded(), "the second was refused");
    }

    function test_PausedSendingPublishesOnly() public {
        addNative(FAR_CHAIN);
        vm.prank(pauser);
        vm.expectEmit(address(oracle));
        emit OracleWithCCIP.SendingPausedSet(true);
        oracle.pauseSending();
        submitAs(oracle, publisher, PRICE, FEE);
        eq(oracle.latestRound(), 1, "published");
        eq(router.sentCount(), 0, "not sent");
        eq(publisher.balance, 10 ether, "refunded");
        vm.expectRevert(OracleWithCCIP.SendingIsPaused.selector);
        vm.prank(operator);
        oracle.resend(1, FAR_CHAIN);
        vm.prank(pauser);
        oracle.unpauseSending();
        pass(1);
        submitAs(oracle, publisher, PRICE, FEE);
        eq(router.sentCount(), 1, "sent again");
    }

    function test_ResendSendsARoundAgain() public {
        addNative(FAR_CHAIN);
        submitAs(oracle, publisher, PRICE, FEE);
        vm.prank(operator);
        bytes32 id = oracle.resend{value: 1 ether}(1, FAR_CHAIN);
        eq(router.sent(1).messageId, id, "message id");
        eq(router.sent(1).data, router.sent(0).data, "same payload");
        eq(operator.balance, 10 ether - FEE, "rest refunded");
    }

    function test_ResendOfAnOldRoundDoesNotTurnBackTheClock() public {
        addNative(FAR_CHAIN);
        submitAs(oracle, publisher, PRICE, FEE);
        pass(1);
        submitAs(oracle, publisher, 2 * PRICE, FEE);
        pass(1);
        vm.prank(operator);
        oracle.resend{value: FEE}(1, FAR_CHAIN);
        (uint80 roundId, int256 answer, uint64 sentAt,) = oracle.lastSent(FAR_CHAIN);
        eq(roundId, 2, "round");
        eq(answer, 2 * PRICE, "answer");
        eq(sentAt, block.timestamp - 1, "time");
    }

    function test_ResendFailsWithTheReason() public {
        Destinations.Destination memory to = toReceiver(oracle, receiver, address(0));
        vm.startPrank(operator);
        vm.expectRevert(abi.encodeWithSelector(Destinations.UnknownDestination.selector, FAR_CHAIN));
        oracle.resend(1, FAR_CHAIN);
        vm.stopPrank();

        setDestination(oracle, FAR_CHAIN, to);
        vm.expectRevert("No data present");
        vm.prank(operator);
        oracle.resend(1, FAR_CHAIN);

        submit(oracle, PRICE);
        vm.expectRevert(abi.encodeWithSelector(OracleWithCCIP.InsufficientFunds.selector, address(0), 0, FEE));
        vm.prank(operator);
        oracle.resend(1, FAR_CHAIN);

        to.enabled = false;
        setDestination(oracle, FAR_CHAIN, to);
        vm.expectRevert(abi.encodeWithSelector(OracleWithCCIP.DestinationDisabled.selector, FAR_CHAIN));
        vm.prank(operator);
        oracle.resend(1, FAR_CHAIN);
    }

    function test_ResendOfRoundZeroIsRefused() public {
        addNative(FAR_CHAIN);
        vm.deal(address(oracle), 1 ether);
        vm.expectRevert("No data present");
        vm.prank(operator);
        oracle.resend(0, FAR_CHAIN);
    }

    function test_QuoteAndRunway() public {
        addNative(FAR_CHAIN);
        addLink(OTHER_CHAIN);
        link.mint(address(oracle), 3 * FEE);
        (address feeToken, uint256 fee) = oracle.quote(OTHER_CHAIN);
        eq(feeToken, address(link), "token");
        eq(fee, FEE, "fee");
        eq(oracle.feeRunway(FAR_CHAIN), 0, "no native funds");
        eq(oracle.feeRunway(OTHER_CHAIN), 3, "three sends");
        router.setFee(0);
        eq(oracle.feeRunway(FAR_CHAIN), type(uint256).max, "free");
        submit(oracle, PRICE);
        (, fee) = oracle.quote(FAR_CHAIN);
        eq(fee, 0, "with data");
    }

    function test_SubmitGasLimitGrowsWithDestinations() public {
        uint256 none = oracle.submitGasLimit();
        addNative(FAR_CHAIN);
        uint256 one = oracle.submitGasLimit();
        eq(one - none, uint256(600_000) * 64 / 63 + 40_000, "per destination");
    }

    function test_SendGasLimitIsBounded() public {
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(OracleWithCCIP.InvalidSendGasLimit.selector, 99_999));
        oracle.setSendGasLimit(99_999);
        vm.expectRevert(abi.encodeWithSelector(OracleWithCCIP.InvalidSendGasLimit.selector, 5_000_001));
        oracle.setSendGasLimit(5_000_001);
        vm.expectEmit(address(oracle));
        emit OracleWithCCIP.SendGasLimitSet(700_000);
        oracle.setSendGasLimit(700_000);
        eq(oracle.sendGasLimit(), 700_000, "set");
    }

    function test_Withdrawals() public {
        link.mint(address(oracle), 5);
        (bool ok,) = address(oracle).call{value: 7}("");
        yes(ok, "takes native funds");
        vm.startPrank(admin);
        vm.expectEmit(address(oracle));
        emit OracleWithCCIP.Withdrawn(address(link), stranger, 5);
        oracle.withdrawToken(link, stranger, 5);
        oracle.withdrawNative(payable(stranger), 7);
        eq(link.balanceOf(stranger), 5, "link");
        eq(stranger.balance, 7, "native");
        vm.deal(address(oracle), 1);
        vm.expectRevert(abi.encodeWithSelector(OracleWithCCIP.PaymentRefused.selector, address(link)));
        oracle.withdrawNative(payable(address(link)), 1);
    }

    function test_ConstructionChecksItsAddresses() public {
        vm.expectRevert(abi.encodeWithSelector(RouterSetting.NoCode.selector, stranger));
        new OracleWithCCIP(config(0), admin, stranger, address(link));
        vm.expectRevert(abi.encodeWithSelector(RouterSetting.NoCode.selector, stranger));
        new OracleWithCCIP(config(0), admin, address(router), stranger);
        OracleWithCCIP nativeOnly = new OracleWithCCIP(config(0), admin, address(router), address(0));
        eq(address(nativeOnly.linkToken()), address(0), "native only");
    }

    function test_RouterChangesAfterADelay() public {
        MockRouter next = new MockRouter(NEAR_CHAIN, FEE);
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(RouterSetting.RouterNotAcceptable.selector, address(0), 0));
        oracle.acceptRouter();
        vm.expectRevert(abi.encodeWithSelector(RouterSetting.NoCode.selector, stranger));
        oracle.proposeRouter(stranger);

        uint64 acceptableAt = uint64(block.timestamp) + 1 days;
        vm.expectEmit(address(oracle));
        emit RouterSetting.RouterProposed(address(next), acceptableAt);
        oracle.proposeRouter(address(next));
        vm.warp(acceptableAt - 1);
        vm.expectRevert(abi.encodeWithSelector(RouterSetting.RouterNotAcceptable.selector, address(next), acceptableAt));
        oracle.acceptRouter();
        vm.warp(acceptableAt);
        vm.expectEmit(address(oracle));
        emit RouterSetting.RouterChanged(address(router), address(next));
        oracle.acceptRouter();
        eq(oracle.router(), address(next), "changed");
        eq(oracle.pendingRouter(), address(0), "done");

        oracle.proposeRouter(address(router));
        oracle.proposeRouter(address(0));
        eq(oracle.pendingRouterAt(), 0, "withdrawn");
        vm.expectRevert(abi.encodeWithSelector(RouterSetting.RouterNotAcceptable.selector, address(0), 0));
        oracle.acceptRouter();
    }

    function testFuzz_StrangersAreRejected(address who) public {
        vm.assume(who != admin && who != publisher && who != secondPublisher && who != pauser && who != operator);
        vm.assume(who != address(oracle));
        Destinations.Destination memory to = toReceiver(oracle, receiver, address(0));
        bytes[] memory calls = new bytes[](12);
        calls[0] = abi.encodeCall(oracle.submit, (1, PRICE, uint64(block.timestamp)));
        calls[1] = abi.encodeCall(oracle.resend, (1, FAR_CHAIN));
        calls[2] = abi.encodeCall(oracle.pauseSending, ());
        calls[3] = abi.encodeCall(oracle.unpauseSending, ());
        calls[4] = abi.encodeCall(oracle.setSendGasLimit, (600_000));
        calls[5] = abi.encodeCall(oracle.withdrawNative, (payable(who), 0));
        calls[6] = abi.encodeCall(oracle.withdrawToken, (link, who, 0));
        calls[7] = abi.encodeCall(oracle.setDestination, (FAR_CHAIN, to));
        calls[8] = abi.encodeCall(oracle.removeDestination, (FAR_CHAIN));
        calls[9] = abi.encodeCall(oracle.setDestinationHeartbeat, (FAR_CHAIN, 1));
        calls[10] = abi.encodeCall(oracle.proposeRouter, (address(router)));
        calls[11] = abi.encodeCall(oracle.acceptRouter, ());
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(who);
            (bool ok, bytes memory reply) = address(oracle).call(calls[i]);
            no(ok, "must fail");
            eq(bytes32(bytes4(reply)), bytes32(IAccessControl.AccessControlUnauthorizedAccount.selector), "why");
        }
        vm.expectRevert(OracleWithCCIP.OnlySelf.selector);
        vm.prank(who);
        oracle.sendFromSelf(1, FAR_CHAIN);
    }

    function test_NotEvenTheAdminSendsFromSelf() public {
        vm.expectRevert(OracleWithCCIP.OnlySelf.selector);
        vm.prank(admin);
        oracle.sendFromSelf(1, FAR_CHAIN);
    }
}
