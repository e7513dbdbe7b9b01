// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IAny2EVMMessageReceiver} from "@chainlink/contracts-ccip/contracts/interfaces/IAny2EVMMessageReceiver.sol";
import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";
import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {
    IAccessControlDefaultAdminRules
} from "@openzeppelin/contracts/access/extensions/IAccessControlDefaultAdminRules.sol";
import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {OracleReceiver} from "../src/OracleReceiver.sol";
import {RouterSetting} from "../src/RouterSetting.sol";
import {AggregatorInterface} from "../src/interfaces/AggregatorV2V3Interface.sol";
import {PriceUpdate} from "../src/libraries/PriceUpdate.sol";
import {ReceiverTest} from "./base/ReceiverTest.sol";

contract OracleReceiverTest is ReceiverTest {
    function setUp() public {
        setUpReceiver(0);
    }

    function test_AnUpdateBecomesTheCurrentRound() public {
        uint64 observedAt = uint64(block.timestamp) - 100;
        uint64 updatedAt = uint64(block.timestamp) - 90;
        PriceUpdate.Update memory u = PriceUpdate.Update(FEED, 7, PRICE, observedAt, updatedAt, 8);
        vm.expectEmit(address(receiver));
        emit AggregatorInterface.NewRound(7, address(router), observedAt);
        vm.expectEmit(address(receiver));
        emit AggregatorInterface.AnswerUpdated(PRICE, 7, updatedAt);
        vm.expectEmit(address(receiver));
        emit OracleReceiver.UpdateReceived(
            7, PRICE, observedAt, updatedAt, uint64(block.timestamp), messageId(1), FAR_CHAIN
        );
        deliver(u);

        (uint80 id, int256 answer, uint256 startedAt, uint256 updated, uint80 answeredIn) = receiver.latestRoundData();
        eq(id, 7, "id");
        eq(answer, PRICE, "answer");
        eq(startedAt, observedAt, "startedAt is the source's observation");
        eq(updated, updatedAt, "updatedAt is the source's");
        eq(answeredIn, 7, "answeredInRound");
        eq(receiver.receivedAt(7), block.timestamp, "receivedAt is ours");
        eq(receiver.receivedAt(6), 0, "never received");
    }

    function test_SkippedRoundsReadAsUnknown() public {
        deliver(update(3, PRICE));
        pass(1);
        deliver(update(7, PRICE));
        vm.expectRevert("No data present");
        receiver.getRoundData(5);
        (, int256 answer,,,) = receiver.getRoundData(3);
        eq(answer, PRICE, "received rounds stay");
    }

    function test_DuplicatesAndOldRoundsAreIgnored() public {
        deliver(update(5, PRICE));
        pass(10);
        vm.expectEmit(address(receiver));
        emit OracleReceiver.UpdateIgnored(5, messageId(2), 1);
        deliver(update(5, PRICE + 1));
        vm.expectEmit(address(receiver));
        emit OracleReceiver.UpdateIgnored(4, messageId(3), 1);
        deliver(update(4, PRICE + 1));
        eq(receiver.latestAnswer(), PRICE, "unchanged");
    }

    function test_RoundZeroIsIgnored() public {
        vm.expectEmit(address(receiver));
        emit OracleReceiver.UpdateIgnored(0, messageId(1), 1);
        deliver(update(0, PRICE));
    }

    function test_ANewRoundWithAnOldObservationIsIgnored() public {
        deliver(update(5, PRICE));
        vm.expectEmit(address(receiver));
        emit OracleReceiver.UpdateIgnored(6, messageId(2), 2);
        deliver(update(6, PRICE + 1));
        eq(receiver.latestRound(), 5, "unchanged");
    }

    function testFuzz_OnlyTheRouterDelivers(address who) public {
        vm.assume(who != address(router));
        Client.EVMTokenAmount[] memory none = new Client.EVMTokenAmount[](0);
        bytes memory data = PriceUpdate.encode(update(1, PRICE));
        vm.expectRevert(abi.encodeWithSelector(OracleReceiver.InvalidRouter.selector, who));
        vm.prank(who);
        receiver.ccipReceive(Client.Any2EVMMessage("", FAR_CHAIN, abi.encode(source), data, none));
    }

    function testFuzz_OnlyKnownSources(uint64 selector) public {
        vm.assume(selector != FAR_CHAIN);
        vm.expectRevert(abi.encodeWithSelector(OracleReceiver.SourceNotAllowed.selector, selector));
        deliverFrom(selector, abi.encode(source), PriceUpdate.encode(update(1, PRICE)));
    }

    function testFuzz_OnlyTheKnownSender(address who) public {
        vm.assume(who != source);
        expectSenderRefused(abi.encode(who));
    }

    function testFuzz_SendersMustBeCanonical(uint256 dirt) public {
        dirt = bound(dirt, 1, type(uint96).max);
        expectSenderRefused(abi.encode((dirt << 160) | uint160(source)));
        expectSenderRefused(abi.encodePacked(source));
        expectSenderRefused("");
    }

    function expectSenderRefused(bytes memory who) private {
        vm.expectRevert(abi.encodeWithSelector(OracleReceiver.SenderNotAllowed.selector, FAR_CHAIN, who));
        deliverFrom(FAR_CHAIN, who, PriceUpdate.encode(update(1, PRICE)));
    }

    function test_SendersCanBeRemoved() public {
        vm.expectEmit(address(receiver));
        emit OracleReceiver.AllowedSenderSet(FAR_CHAIN, address(0));
        vm.prank(admin);
        receiver.setAllowedSender(FAR_CHAIN, address(0));
        vm.expectRevert(abi.encodeWithSelector(OracleReceiver.SourceNotAllowed.selector, FAR_CHAIN));
        deliver(update(1, PRICE));
    }

    function test_MistakesInConfigurationRevert() public {
        PriceUpdate.Update memory u = update(1, PRICE);
        u.feedId = keccak256("another");
        vm.expectRevert(abi.encodeWithSelector(OracleReceiver.WrongFeed.selector, FEED, u.feedId));
        deliver(u);
        u = update(1, PRICE);
        u.decimals = 18;
        vm.expectRevert(abi.encodeWithSelector(OracleReceiver.WrongDecimals.selector, 8, 18));
        deliver(u);
        vm.expectRevert(abi.encodeWithSelector(PriceUpdate.MalformedPayload.selector, 0));
        deliverFrom(FAR_CHAIN, abi.encode(source), "");
        vm.expectRevert(abi.encodeWithSelector(PriceUpdate.UnsupportedVersion.selector, 2));
        deliverFrom(FAR_CHAIN, abi.encode(source), abi.encode(2));
    }

    function test_TokensAreRefused() public {
        Client.EVMTokenAmount[] memory one = new Client.EVMTokenAmount[](1);
        bytes memory data = PriceUpdate.encode(update(1, PRICE));
        vm.expectRevert(OracleReceiver.TokensNotAccepted.selector);
        vm.prank(address(router));
        receiver.ccipReceive(Client.Any2EVMMessage("", FAR_CHAIN, abi.encode(source), data, one));
    }

    function test_APausedReceiverReverts() public {
        vm.prank(pauser);
        receiver.pause();
        vm.expectRevert(Pausable.EnforcedPause.selector);
        deliver(update(1, PRICE));
        vm.prank(pauser);
        receiver.unpause();
        deliver(update(1, PRICE));
        eq(receiver.latestRound(), 1, "delivered again");
    }

    function test_Interfaces() public view {
        yes(receiver.supportsInterface(0x85572ffb), "CCIP receiver");
        yes(receiver.supportsInterface(type(IAny2EVMMessageReceiver).interfaceId), "the same");
        yes(receiver.supportsInterface(type(IERC165).interfaceId), "ERC-165");
        yes(receiver.supportsInterface(type(IAccessControl).interfaceId), "access control");
        yes(receiver.supportsInterface(type(IAccessControlDefaultAdminRules).interfaceId), "admin rules");
        no(receiver.supportsInterface(0xffffffff), "never");
    }

    function test_TheRouterCanChange() public {
        vm.startPrank(admin);
        receiver.proposeRouter(address(this));
        vm.expectRevert(
            abi.encodeWithSelector(
                RouterSetting.RouterNotAcceptable.selector, address(this), uint64(block.timestamp) + 1 days
            )
        );
        receiver.acceptRouter();
        pass(1 days);
        receiver.acceptRouter();
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(OracleReceiver.InvalidRouter.selector, address(router)));
        deliver(update(1, PRICE));
    }

    function testFuzz_StrangersAreRejected(address who) public {
        vm.assume(who != admin && who != pauser && who != operator);
        bytes[] memory calls = new bytes[](8);
        calls[0] = abi.encodeCall(receiver.setAllowedSender, (FAR_CHAIN, who));
        calls[1] = abi.encodeCall(receiver.acceptParked, (bytes32(0)));
        calls[2] = abi.encodeCall(receiver.discardParked, (bytes32(0)));
        calls[3] = abi.encodeCall(receiver.pause, ());
        calls[4] = abi.encodeCall(receiver.unpause, ());
        calls[5] = abi.encodeCall(receiver.proposeRouter, (who));
        calls[6] = abi.encodeCall(receiver.acceptRouter, ());
        calls[7] = abi.encodeCall(receiver.setBounds, (0, 1));
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(who);
            (bool ok, bytes memory reply) = address(receiver).call(calls[i]);
            no(ok, "must fail");
            eq(bytes32(bytes4(reply)), bytes32(IAccessControl.AccessControlUnauthorizedAccount.selector), "why");
        }
    }
}
