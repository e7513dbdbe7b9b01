// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// @title A call whose gas and whose reply are both bounded.
/// @notice `try`/`catch` copies the whole reply into the caller's memory, so a callee can make its caller run out of gas
/// with a large one. This copies at most `maxReply` bytes.
library BoundedCall {
    /// @dev Call `target` with at most `gasLimit` gas; `reply` is the first `maxReply` bytes of what it returned.
    function boundedCall(address target, uint256 gasLimit, uint256 value, bytes memory data, uint256 maxReply)
        internal
        returns (bool ok, bytes memory reply)
    {
        reply = new bytes(maxReply);
        assembly ("memory-safe") {
            ok := call(gasLimit, target, value, add(data, 0x20), mload(data), 0, 0)
            let size := returndatasize()
            // size = min(size, maxReply), without a branch
            size := xor(size, mul(xor(size, maxReply), gt(size, maxReply)))
            mstore(reply, size)
            returndatacopy(add(reply, 0x20), 0, size)
        }
    }
}
