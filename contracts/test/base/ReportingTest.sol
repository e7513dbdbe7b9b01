// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {ReportingAggregator} from "../../src/reporting/ReportingAggregator.sol";
import {Test} from "./Test.sol";

/// @title A network of oracles with keys, and reports as they sign them.
abstract contract ReportingTest is Test {
    int192 internal constant MIN = 1;
    int192 internal constant MAX = 1e24;
    int192 internal constant PRICE = 2_000e8;
    bytes32 internal constant EXTRA_HASH = bytes32(uint256(0x11));
    bytes internal constant OFFCHAIN_CONFIG = hex"deadbeef";

    /// @dev A call of `transmit`, to be spoilt field by field.
    struct Sent {
        bytes32[3] context;
        bytes report;
        bytes32[] rs;
        bytes32[] ss;
        bytes32 rawVs;
    }

    address internal owner = makeAddr("owner");
    address internal stranger = makeAddr("stranger");

    function newFeed() internal returns (ReportingAggregator) {
        return new ReportingAggregator(MIN, MAX, 8, "ETH / USD", owner);
    }

    function keyOf(uint256 oracle) internal pure returns (uint256) {
        return oracle + 1;
    }

    function signerOf(uint256 oracle) internal pure returns (address) {
        return vm.addr(keyOf(oracle));
    }

    function transmitterOf(uint256 oracle) internal pure returns (address) {
        return address(uint160(0x1000 + oracle));
    }

    function oracles(uint256 n) internal pure returns (address[] memory signers, address[] memory transmitters) {
        signers = new address[](n);
        transmitters = new address[](n);
        for (uint256 i = 0; i < n; ++i) {
            signers[i] = signerOf(i);
            transmitters[i] = transmitterOf(i);
        }
    }

    function onchainConfig() internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(1), MIN, MAX);
    }

    function configure(ReportingAggregator feed, uint256 n, uint8 f) internal {
        (address[] memory signers, address[] memory transmitters) = oracles(n);
        vm.prank(owner);
        feed.setConfig(signers, transmitters, f, onchainConfig(), 2, OFFCHAIN_CONFIG);
    }

    /// @dev `n` observations around the price, rising by one.
    function around(int192 price, uint256 n) internal pure returns (int192[] memory observations) {
        observations = new int192[](n);
        for (uint256 i = 0; i < n; ++i) {
            observations[i] = price + int192(int256(i)) - int192(int256(n / 2));
        }
    }

    function observers(uint256 n) internal pure returns (bytes32 word) {
        for (uint256 i = 0; i < n; ++i) {
            word |= bytes32(i << (248 - 8 * i));
        }
    }

    function encodeReport(int192[] memory observations) internal view returns (bytes memory) {
        return abi.encode(uint32(block.timestamp), observers(observations.length), observations, int192(0));
    }

    /// @dev A call with the signatures of oracles 0 to `signatures` - 1.
    function sent(ReportingAggregator feed, uint32 epoch, uint8 round, bytes memory report, uint256 signatures)
        internal
        view
        returns (Sent memory call)
    {
        (,, bytes32 digest) = feed.latestConfigDetails();
        call.context = [digest, bytes32((uint256(epoch) << 8) | round), EXTRA_HASH];
        call.report = report;
        sign(call, signatures);
    }

    function sign(Sent memory call, uint256 signatures) internal pure {
        uint256[] memory keys = new uint256[](signatures);
        for (uint256 i = 0; i < signatures; ++i) {
            keys[i] = keyOf(i);
        }
        signWith(call, keys);
    }

    function signWith(Sent memory call, uint256[] memory keys) internal pure {
        bytes32 hash = keccak256(abi.encodePacked(keccak256(call.report), call.context));
        call.rs = new bytes32[](keys.length);
        call.ss = new bytes32[](keys.length);
        call.rawVs = bytes32(0);
        for (uint256 i = 0; i < keys.length; ++i) {
            uint8 v;
            (v, call.rs[i], call.ss[i]) = vm.sign(keys[i], hash);
            call.rawVs |= bytes32(uint256(v - 27) << (248 - 8 * i));
        }
    }

    function transmit(ReportingAggregator feed, address from, Sent memory call) internal {
        vm.prank(from);
        feed.transmit(call.context, call.report, call.rs, call.ss, call.rawVs);
    }

    function refused(ReportingAggregator feed, Sent memory call, string memory why) internal {
        vm.expectRevert(bytes(why));
        transmit(feed, transmitterOf(0), call);
    }
}
