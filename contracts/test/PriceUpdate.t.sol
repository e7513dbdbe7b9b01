// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {PriceUpdate} from "../src/libraries/PriceUpdate.sol";
import {FeedTest} from "./base/FeedTest.sol";

contract PriceUpdateTest is FeedTest {
    function decode(bytes memory payload) external pure returns (PriceUpdate.Update memory) {
        return PriceUpdate.decode(payload);
    }

    function test_PayloadIsTheDocumentedEncoding() public pure {
        PriceUpdate.Update memory u = PriceUpdate.Update(FEED, 7, -5, 11, 13, 8);
        bytes memory expected = abi.encode(uint8(1), FEED, uint80(7), int256(-5), uint64(11), uint64(13), uint8(8));
        eq(PriceUpdate.encode(u), expected, "payload");
        eq(expected.length, 224, "length");
    }

    function testFuzz_RoundTrip(PriceUpdate.Update memory u) public view {
        eq(abi.encode(this.decode(PriceUpdate.encode(u))), abi.encode(u), "round trip");
    }

    function testFuzz_WrongLengthIsRejected(uint256 length) public {
        length = bound(length, 0, 400);
        bytes memory payload = new bytes(length);
        if (length >= 32) payload[31] = 0x01;
        vm.assume(length != 224);
        vm.expectRevert(abi.encodeWithSelector(PriceUpdate.MalformedPayload.selector, length));
        this.decode(payload);
    }

    function testFuzz_OtherVersionsAreRejected(uint256 version) public {
        vm.assume(version != 1);
        bytes memory payload = abi.encode(version, FEED, uint80(7), int256(5), uint64(11), uint64(13), uint8(8));
        vm.expectRevert(abi.encodeWithSelector(PriceUpdate.UnsupportedVersion.selector, version));
        this.decode(payload);
    }

    function testFuzz_DirtyBitsAreRejected(uint256 word, uint256 bit) public {
        // Words 2 (uint80), 4 and 5 (uint64), 6 (uint8) have high bits that must be clear.
        uint8[4] memory words = [2, 4, 5, 6];
        uint8[4] memory widths = [80, 64, 64, 8];
        word = bound(word, 0, 3);
        bit = bound(bit, widths[word], 255);
        uint256[7] memory raw = [uint256(1), uint256(FEED), 7, 5, 11, 13, 8];
        raw[words[word]] |= 1 << bit;
        vm.expectRevert(abi.encodeWithSelector(PriceUpdate.MalformedPayload.selector, 224));
        this.decode(abi.encode(raw));
    }
}
