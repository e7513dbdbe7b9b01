// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Destinations} from "../../src/Destinations.sol";
import {OracleReceiver} from "../../src/OracleReceiver.sol";
import {OracleWithCCIP} from "../../src/OracleWithCCIP.sol";
import {FeedTest} from "../base/FeedTest.sol";
import {MockRouter} from "../mocks/MockRouter.sol";
import {MockToken} from "../mocks/MockToken.sol";

/// @title Everything that may happen on a lane, in any order: publishing through a router that misbehaves, deliveries late,
/// twice or never, resends, and strangers who try their luck.
/// @notice A publication that reverts ends the run (`fail_on_revert`): CCIP must never prevent one.
contract LaneHandler is FeedTest {
    OracleWithCCIP public oracle;
    OracleReceiver public receiver;
    MockRouter public router;
    MockToken public link;

    /// @dev How many rounds were published, and the newest one that was delivered.
    uint256 public published;
    uint256 public newestDelivered;
    /// @dev Set if the current round of the receiver ever went back.
    bool public wentBack;
    /// @dev Set if somebody got in who should not.
    bool public intruded;
    /// @dev Set if a fee, a refund or a balance was not what it should be.
    bool public miscounted;
    /// @dev Set if an observation was taken that waited too long, or one refused that did not.
    bool public misjudgedAge;

    bytes private _routerCode;

    constructor() {
        (oracle, router, link) = newOracle(0);
        receiver = newReceiver(0, address(router));
        _routerCode = address(router).code;
        vm.prank(admin);
        receiver.setAllowedSender(NEAR_CHAIN, address(oracle));
        setDestination(oracle, FAR_CHAIN, toReceiver(oracle, address(receiver), address(0)));
        setDestination(oracle, OTHER_CHAIN, toReceiver(oracle, address(receiver), address(link)));
        vm.deal(address(oracle), 1 ether);
        link.mint(address(oracle), 1 ether);
    }

    function publish(int256 answer, uint256 secondsLater, uint256 value, bool withoutRouter) external {
        pass(bound(secondsLater, 1, 1 hours));
        answer = boundInt(answer, MIN, MAX);
        value = bound(value, 0, 3 * FEE);
        vm.deal(publisher, value);
        uint256 routerBefore = address(router).balance;
        uint256 oracleBefore = address(oracle).balance;
        uint256 linkBefore = link.balanceOf(address(oracle)) + link.balanceOf(address(router));
        if (withoutRouter) vm.etch(address(router), "");

        submitAs(oracle, publisher, answer, value);

        ++published;
        if (withoutRouter) vm.etch(address(router), _routerCode);
        uint256 fees = address(router).balance - routerBefore;
        uint256 fromValue = fees < value ? fees : value;
        bool exact = publisher.balance == value - fromValue
            && address(oracle).balance == oracleBefore - (fees - fromValue)
            && link.balanceOf(address(oracle)) + link.balanceOf(address(router)) == linkBefore;
        if (!exact) miscounted = true;
        // Bad times pass, so that most runs see sends that work, too.
        router.setMode(MockRouter.Mode.Honest);
        router.setFee(FEE);
    }

    /// @dev A submission that waited for its block. A router in bad mood must make no difference here, either.
    function publishLate(int256 answer, uint256 secondsLater, uint256 age) external {
        pass(bound(secondsLater, 1, 1 hours));
        age = bound(age, 1, 2 * uint256(oracle.maxObservationAge()));
        uint64 observedAt = uint64(block.timestamp - age);
        if (published != 0) {
            (,, uint256 startedAt,,) = oracle.latestRoundData();
            if (observedAt <= startedAt) return;
        }
        vm.prank(publisher);
        try oracle.submit(uint80(published) + 1, boundInt(answer, MIN, MAX), observedAt) {
            ++published;
            if (age > oracle.maxObservationAge()) misjudgedAge = true;
        } catch {
            if (age <= oracle.maxObservationAge()) misjudgedAge = true;
        }
    }

    function deliver(uint256 index) external {
        uint256 count = router.sentCount();
        if (count != 0) _deliver(bound(index, 0, count - 1));
    }

    function deliverTheNewest() external {
        uint256 count = router.sentCount();
        if (count != 0) _deliver(count - 1);
    }

    function resend(uint256 roundId, bool far) external {
        if (published == 0) return;
        roundId = bound(roundId, 1, published);
        vm.deal(operator, 2 ether);
        vm.prank(operator);
        try oracle.resend{value: 2 ether}(uint80(roundId), far ? FAR_CHAIN : OTHER_CHAIN) {} catch {}
    }

    /// @dev Until the next publication.
    function misbehave(uint8 mode) external {
        mode = uint8(bound(mode, 0, uint256(type(MockRouter.Mode).max)));
        router.setReentry(
            address(oracle), abi.encodeCall(oracle.submit, (uint80(published) + 2, PRICE, uint64(block.timestamp) + 1))
        );
        router.setMode(MockRouter.Mode(mode));
    }

    /// @dev Until the next publication.
    function changeFee(uint256 fee) external {
        router.setFee(bound(fee, 0, 2 ether));
    }

    function intrude(address who, uint256 which) external {
        if (who == admin || who == publisher || who == secondPublisher || who == pauser || who == operator) return;
        if (who == address(oracle) || who == address(router)) return;
        bytes[6] memory calls = [
            abi.encodeCall(oracle.submit, (uint80(published) + 1, PRICE, uint64(block.timestamp) + 1)),
            abi.encodeCall(oracle.resend, (1, FAR_CHAIN)),
            abi.encodeCall(oracle.withdrawNative, (payable(who), 1)),
            abi.encodeCall(oracle.removeDestination, (FAR_CHAIN)),
            abi.encodeCall(oracle.sendFromSelf, (1, FAR_CHAIN)),
            abi.encodeCall(oracle.proposeRouter, (address(router)))
        ];
        vm.prank(who);
        (bool ok,) = address(oracle).call(calls[which % 6]);
        if (ok) intruded = true;

        bytes memory data = router.sentCount() == 0 ? bytes("") : router.sent(0).data;
        // The right message from the wrong chain, and from the wrong sender.
        try router.deliverRaw("", OTHER_CHAIN, abi.encode(oracle), data, receiver) {
            intruded = true;
        } catch {}
        try router.deliverRaw("", NEAR_CHAIN, abi.encode(who), data, receiver) {
            intruded = true;
        } catch {}
    }

    function _deliver(uint256 index) private {
        uint256 before = receiver.latestRound();
        MockRouter.Sent memory message = router.sent(index);
        // The far side works whatever the near side does.
        router.deliver(index, receiver);
        (,, uint80 roundId) = abi.decode(message.data, (uint8, bytes32, uint80));
        if (roundId > newestDelivered) newestDelivered = roundId;
        if (receiver.latestRound() < before) wentBack = true;
    }
}
