// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {OracleReceiver} from "../../src/OracleReceiver.sol";
import {PriceUpdate} from "../../src/libraries/PriceUpdate.sol";
import {MockRouter} from "../mocks/MockRouter.sol";
import {FeedTest} from "./FeedTest.sol";

/// @title A receiver, and messages for it numbered from 1.
abstract contract ReceiverTest is FeedTest {
    OracleReceiver internal receiver;
    MockRouter internal router;
    address internal source = makeAddr("source");
    uint256 private _delivered;

    function setUpReceiver(uint32 maxStepBps) internal {
        router = new MockRouter(NEAR_CHAIN, FEE);
        receiver = newReceiver(maxStepBps, address(router));
        vm.prank(admin);
        receiver.setAllowedSender(FAR_CHAIN, source);
    }

    function messageId(uint256 number) internal pure returns (bytes32) {
        return keccak256(abi.encode("message", number));
    }

    /// @dev Deliver an update as the next message.
    function deliver(PriceUpdate.Update memory u) internal {
        deliverFrom(FAR_CHAIN, abi.encode(source), PriceUpdate.encode(u));
    }

    function deliverFrom(uint64 selector, bytes memory sender, bytes memory data) internal {
        ++_delivered;
        router.deliverRaw(messageId(_delivered), selector, sender, data, receiver);
    }

    function nothingParked() internal view {
        eq(receiver.parkedUpdate().roundId, 0, "nothing is parked");
        eq(receiver.parkedUpdate().messageId, bytes32(0), "nothing at all");
    }
}
