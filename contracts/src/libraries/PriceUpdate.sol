// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// @title The message that carries one round of a feed to another chain.
/// @notice Version 1 is `abi.encode(uint8 version, bytes32 feedId, uint80 roundId, int256 answer, uint64 observedAt,
/// uint64 updatedAt, uint8 decimals)`: seven words, 224 bytes. Decoding is strict: exact length, no dirty high bits.
library PriceUpdate {
    /// @dev The only version there is.
    uint8 internal constant VERSION = 1;
    /// @dev Seven words.
    uint256 internal constant LENGTH_BYTES = 224;

    /// @dev One round of a feed as it stands on the source chain. Times are seconds since the epoch.
    struct Update {
        bytes32 feedId;
        uint80 roundId;
        int256 answer;
        uint64 observedAt;
        uint64 updatedAt;
        uint8 decimals;
    }

    /// @notice The payload names a version that this code does not know.
    error UnsupportedVersion(uint256 given);
    /// @notice The payload is not the canonical encoding of an update.
    error MalformedPayload(uint256 length);

    /// @dev Encode an update as the current version.
    function encode(Update memory update) internal pure returns (bytes memory) {
        return abi.encode(
            VERSION, update.feedId, update.roundId, update.answer, update.observedAt, update.updatedAt, update.decimals
        );
    }

    /// @dev Decode a payload, or revert with the reason. The version is judged first: other versions may be longer.
    function decode(bytes memory payload) internal pure returns (Update memory update) {
        if (payload.length < 32) revert MalformedPayload(payload.length);
        uint256 version = uint256(bytes32(payload));
        if (version != VERSION) revert UnsupportedVersion(version);
        if (payload.length != LENGTH_BYTES) revert MalformedPayload(payload.length);
        uint256[7] memory words = abi.decode(payload, (uint256[7]));
        update = Update({
            feedId: bytes32(words[1]),
            roundId: uint80(words[2]),
            answer: int256(words[3]),
            observedAt: uint64(words[4]),
            updatedAt: uint64(words[5]),
            decimals: uint8(words[6])
        });
        // Narrowing dropped the high bits; the payload is canonical only if encoding brings them all back.
        if (keccak256(encode(update)) != keccak256(payload)) revert MalformedPayload(payload.length);
    }
}
