// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";
import {Aggregator} from "../src/Aggregator.sol";
import {OracleReceiver} from "../src/OracleReceiver.sol";
import {OracleWithCCIP} from "../src/OracleWithCCIP.sol";
import {PriceUpdate} from "../src/libraries/PriceUpdate.sol";
import {FeedTest} from "./base/FeedTest.sol";
import {MockRouter} from "./mocks/MockRouter.sol";
import {MockToken} from "./mocks/MockToken.sol";

/// @title What the calls that happen every day cost. One call per test; all else is in `setUp`, whose storage is cold again.
/// @notice The router takes its fee and does nothing else, so sends cost what they cost us, without CCIP's own share.
contract GasTest is FeedTest {
    /// @dev What the receiver gets on the way, and the share of it that it may use.
    uint256 private constant RECEIVER_GAS = 200_000;
    uint256 private constant RECEIVER_GAS_ALLOWED = RECEIVER_GAS * 80 / 100;

    Aggregator private plain;
    OracleWithCCIP private oracle;
    OracleWithCCIP private oracleLink;
    OracleWithCCIP private oracleQuiet;
    OracleReceiver private receiver;
    OracleReceiver private receiverFresh;
    OracleReceiver private receiverParked;
    MockRouter private router;
    Client.Any2EVMMessage private _message;
    Client.Any2EVMMessage private _older;

    function setUp() public {
        MockToken link;
        plain = newAggregator(1_000);
        (oracle, router, link) = newOracle(1_000);
        router.setMode(MockRouter.Mode.Forget);
        oracleLink = new OracleWithCCIP(config(1_000), admin, address(router), address(link));
        oracleQuiet = new OracleWithCCIP(config(1_000), admin, address(router), address(link));
        grantRoles(oracleLink);
        grantRoles(oracleQuiet);
        vm.deal(publisher, 10 ether);
        vm.deal(address(oracle), 1 ether);
        link.mint(address(oracleLink), 1 ether);
        setDestination(oracle, FAR_CHAIN, toReceiver(oracle, address(this), address(0)));
        setDestination(oracleLink, FAR_CHAIN, toReceiver(oracleLink, address(this), address(link)));
        submit(plain, PRICE);
        submit(oracle, PRICE);
        submit(oracleLink, PRICE);
        submit(oracleQuiet, PRICE);

        receiver = newReceiver(1_000, address(this));
        receiverFresh = newReceiver(1_000, address(this));
        receiverParked = newReceiver(1_000, address(this));
        vm.startPrank(admin);
        receiver.setAllowedSender(FAR_CHAIN, address(oracle));
        receiverFresh.setAllowedSender(FAR_CHAIN, address(oracle));
        receiverParked.setAllowedSender(FAR_CHAIN, address(oracle));
        vm.stopPrank();
        fill(_message, update(1, PRICE));
        receiver.ccipReceive(_message);
        receiverParked.ccipReceive(_message);
        pass(20);
        PriceUpdate.Update memory between = update(2, PRICE * 109 / 100);
        pass(20);
        fill(_message, update(3, PRICE * 118 / 100));
        receiverParked.ccipReceive(_message);
        fill(_older, between);
        fill(_message, update(3, PRICE * 101 / 100));
    }

    function fill(Client.Any2EVMMessage storage message, PriceUpdate.Update memory u) private {
        message.messageId = keccak256(abi.encode(u));
        message.sourceChainSelector = FAR_CHAIN;
        message.sender = abi.encode(oracle);
        message.data = PriceUpdate.encode(u);
    }

    function test_SubmitToAggregator() public {
        vm.prank(publisher);
        plain.submit(2, PRICE, uint64(block.timestamp));
    }

    function test_SubmitThatIsParked() public {
        vm.prank(publisher);
        plain.submit(2, 2 * PRICE, uint64(block.timestamp));
    }

    function test_SubmitWithoutDestinations() public {
        vm.prank(publisher);
        oracleQuiet.submit(2, PRICE, uint64(block.timestamp));
    }

    function test_SubmitWithOneDestinationForNative() public {
        vm.prank(publisher);
        oracle.submit(2, PRICE, uint64(block.timestamp));
    }

    function test_SubmitWithOneDestinationForNativeWithRefund() public {
        vm.prank(publisher);
        oracle.submit{value: 2 * FEE}(2, PRICE, uint64(block.timestamp));
    }

    function test_SubmitWithOneDestinationForLink() public {
        vm.prank(publisher);
        oracleLink.submit(2, PRICE, uint64(block.timestamp));
    }

    function test_ReceiveTheFirst() public {
        receiverFresh.ccipReceive{gas: RECEIVER_GAS_ALLOWED}(_message);
        eq(receiverFresh.latestRound(), 3, "taken");
    }

    function test_ReceiveTheNext() public {
        receiver.ccipReceive{gas: RECEIVER_GAS_ALLOWED}(_message);
        eq(receiver.latestRound(), 3, "taken");
    }

    function test_ReceiveOneThatIsIgnored() public {
        receiverParked.ccipReceive{gas: RECEIVER_GAS_ALLOWED}(_older);
        receiverParked.ccipReceive{gas: RECEIVER_GAS_ALLOWED}(_older);
    }

    /// @dev The dearest case: the update is taken, and brings the parked one into reach.
    function test_ReceiveOneThatFreesTheParkedOne() public {
        receiverParked.ccipReceive{gas: RECEIVER_GAS_ALLOWED}(_older);
        eq(receiverParked.latestRound(), 3, "both were taken");
    }
}
