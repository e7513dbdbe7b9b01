// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {OracleSet} from "../src/reporting/OracleSet.sol";
import {ReportingAggregator} from "../src/reporting/ReportingAggregator.sol";
import {ReportingTest} from "./base/ReportingTest.sol";

contract OracleSetTest is ReportingTest {
    ReportingAggregator private feed;

    function setUp() public {
        feed = newFeed();
    }

    function digestOf(address[] memory signers, address[] memory transmitters, uint8 f, uint64 count)
        private
        view
        returns (bytes32)
    {
        bytes memory all = abi.encode(
            block.chainid, address(feed), count, signers, transmitters, f, onchainConfig(), uint64(2), OFFCHAIN_CONFIG
        );
        return bytes32((uint256(keccak256(all)) & (type(uint256).max >> 16)) | (uint256(1) << 240));
    }

    function refuse(
        address[] memory signers,
        address[] memory transmitters,
        uint8 f,
        bytes memory config,
        string memory why
    ) private {
        vm.expectRevert(bytes(why));
        vm.prank(owner);
        feed.setConfig(signers, transmitters, f, config, 2, OFFCHAIN_CONFIG);
    }

    function test_SetConfig() public {
        vm.roll(77);
        (address[] memory signers, address[] memory transmitters) = oracles(4);
        bytes32 digest = digestOf(signers, transmitters, 1, 1);
        vm.expectEmit(address(feed));
        emit OracleSet.ConfigSet(0, digest, 1, signers, transmitters, 1, onchainConfig(), 2, OFFCHAIN_CONFIG);
        configure(feed, 4, 1);
        (uint32 count, uint32 blockNumber, bytes32 found) = feed.latestConfigDetails();
        eq(count, 1, "count");
        eq(blockNumber, 77, "block");
        eq(found, digest, "digest");
        eq(abi.encode(feed.getTransmitters()), abi.encode(transmitters), "transmitters");

        vm.roll(90);
        digest = digestOf(signers, transmitters, 1, 2);
        vm.expectEmit(address(feed));
        emit OracleSet.ConfigSet(77, digest, 2, signers, transmitters, 1, onchainConfig(), 2, OFFCHAIN_CONFIG);
        configure(feed, 4, 1);
    }

    function testFuzz_TheDigestNamesTheConfiguration(uint8 size, uint8 faulty) public {
        uint256 n = bound(size, 4, 31);
        uint8 f = uint8(bound(faulty, 1, (n - 1) / 3));
        (address[] memory signers, address[] memory transmitters) = oracles(n);
        configure(feed, n, f);
        (,, bytes32 digest) = feed.latestConfigDetails();
        eq(digest, digestOf(signers, transmitters, f, 1), "digest");
        transmit(feed, transmitterOf(n - 1), sent(feed, 1, 1, encodeReport(around(PRICE, n)), uint256(f) + 1));
        eq(feed.latestAnswer(), PRICE, "works");
    }

    function test_EpochsBeginAnewAndRoundsGoOn() public {
        configure(feed, 4, 1);
        transmit(feed, transmitterOf(0), sent(feed, 9, 9, encodeReport(around(PRICE, 3)), 2));
        configure(feed, 7, 2);
        (,, uint32 epoch) = feed.latestConfigDigestAndEpoch();
        eq(epoch, 0, "epoch");
        eq(feed.latestRound(), 1, "round");
        transmit(feed, transmitterOf(6), sent(feed, 1, 1, encodeReport(around(PRICE, 5)), 3));
        eq(feed.latestRound(), 2, "next round");
    }

    function test_WhoIsNotInTheConfigurationAnyMoreMayNothing() public {
        configure(feed, 7, 1);
        configure(feed, 4, 1);
        Sent memory call = sent(feed, 1, 1, encodeReport(around(PRICE, 3)), 2);
        vm.expectRevert(bytes("unauthorized transmitter"));
        transmit(feed, transmitterOf(6), call);
        uint256[] memory keys = new uint256[](2);
        (keys[0], keys[1]) = (keyOf(0), keyOf(6));
        signWith(call, keys);
        refused(feed, call, "signature error");
    }

    function test_NumberOfOracles() public {
        (address[] memory signers, address[] memory transmitters) = oracles(32);
        refuse(signers, transmitters, 1, onchainConfig(), "too many oracles");
        (signers,) = oracles(5);
        (, transmitters) = oracles(4);
        refuse(signers, transmitters, 1, onchainConfig(), "oracle length mismatch");
    }

    function test_NumberOfFaulty() public {
        (address[] memory signers, address[] memory transmitters) = oracles(6);
        refuse(signers, transmitters, 0, onchainConfig(), "f must be positive");
        refuse(signers, transmitters, 2, onchainConfig(), "faulty-oracle f too high");
        refuse(signers, transmitters, 255, onchainConfig(), "faulty-oracle f too high");
        refuse(new address[](0), new address[](0), 0, onchainConfig(), "faulty-oracle f too high");
        configure(feed, 7, 2);
    }

    function test_OnchainConfigMustSayWhatTheContractSays() public {
        (address[] memory signers, address[] memory transmitters) = oracles(4);
        refuse(signers, transmitters, 1, "", "invalid onchainConfig");
        refuse(signers, transmitters, 1, abi.encodePacked(uint8(1), MIN, MAX - 1), "invalid onchainConfig");
        refuse(signers, transmitters, 1, abi.encodePacked(uint8(2), MIN, MAX), "invalid onchainConfig");
        refuse(signers, transmitters, 1, bytes.concat(onchainConfig(), hex"00"), "invalid onchainConfig");
        eq(onchainConfig().length, 49, "bytes");
    }

    function test_NobodyTwice() public {
        (address[] memory signers, address[] memory transmitters) = oracles(4);
        signers[3] = signers[1];
        refuse(signers, transmitters, 1, onchainConfig(), "repeated signer address");
        (signers,) = oracles(4);
        transmitters[3] = transmitters[1];
        refuse(signers, transmitters, 1, onchainConfig(), "repeated transmitter address");
    }

    /// @dev A signature that is none recovers to the zero address: as a signer, it would make all signatures good.
    function test_TheZeroAddressSignsNothing() public {
        (address[] memory signers, address[] memory transmitters) = oracles(4);
        signers[2] = address(0);
        refuse(signers, transmitters, 1, onchainConfig(), "zero signer address");
    }

    function test_OnlyTheOwnerSetsIt() public {
        (address[] memory signers, address[] memory transmitters) = oracles(4);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger));
        vm.prank(stranger);
        feed.setConfig(signers, transmitters, 1, onchainConfig(), 2, OFFCHAIN_CONFIG);
    }

    function test_TheOwnerHandsOverInTwoSteps() public {
        vm.prank(owner);
        feed.transferOwnership(stranger);
        eq(feed.owner(), owner, "not yet");
        vm.prank(stranger);
        feed.acceptOwnership();
        eq(feed.owner(), stranger, "now");
    }

    function test_OwnershipIsNotRenounced() public {
        vm.expectRevert(bytes("owner cannot be renounced"));
        vm.prank(owner);
        feed.renounceOwnership();
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger));
        vm.prank(stranger);
        feed.renounceOwnership();
    }
}
