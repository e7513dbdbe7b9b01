// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IAny2EVMMessageReceiver} from "@chainlink/contracts-ccip/contracts/interfaces/IAny2EVMMessageReceiver.sol";
import {IRouterClient} from "@chainlink/contracts-ccip/contracts/interfaces/IRouterClient.sol";
import {Client} from "@chainlink/contracts-ccip/contracts/libraries/Client.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title A router for tests: takes fees as the real one does, keeps the messages, and misbehaves on request.
contract MockRouter is IRouterClient {
    enum Mode {
        Honest,
        RefuseQuote,
        RefuseSend,
        EatGas,
        EatGasInQuote,
        HugeRevert,
        HugeReturn,
        ShortReturn,
        RaiseFee,
        TakeLess,
        Reenter,
        Forget
    }

    struct Sent {
        uint64 selector;
        bytes32 messageId;
        address sender;
        bytes data;
        bytes extraArgs;
    }

    uint64 public immutable chainSelector;
    uint256 public fee;
    Mode public mode;
    address public reenterTarget;
    bytes public reenterCall;
    bytes public reenterReply;
    Sent[] private _sent;

    error Refused();

    constructor(uint64 chainSelector_, uint256 fee_) {
        chainSelector = chainSelector_;
        fee = fee_;
    }

    receive() external payable {}

    function setFee(uint256 fee_) external {
        fee = fee_;
    }

    function setMode(Mode mode_) external {
        mode = mode_;
    }

    function setReentry(address target, bytes calldata data) external {
        mode = Mode.Reenter;
        reenterTarget = target;
        reenterCall = data;
    }

    function isChainSupported(uint64) external pure returns (bool) {
        return true;
    }

    function getFee(uint64, Client.EVM2AnyMessage memory) external view returns (uint256) {
        if (mode == Mode.RefuseQuote) revert Refused();
        if (mode == Mode.EatGasInQuote) _eatGas();
        return fee;
    }

    function ccipSend(uint64 selector, Client.EVM2AnyMessage calldata message) external payable returns (bytes32 id) {
        if (mode == Mode.RefuseSend) revert Refused();
        if (mode == Mode.EatGas) _eatGas();
        if (mode == Mode.HugeRevert) _huge();
        if (mode == Mode.ShortReturn) {
            assembly {
                return(0, 8)
            }
        }
        _takeFee(message.feeToken);
        if (mode == Mode.Reenter) {
            (bool ok, bytes memory reply) = reenterTarget.call(reenterCall);
            reenterReply = reply;
            if (!ok) revert Refused();
        }
        id = keccak256(abi.encode(chainSelector, selector, _sent.length));
        if (mode == Mode.HugeReturn) {
            assembly {
                mstore(0, id)
                return(0, 200000)
            }
        }
        if (mode == Mode.Forget) return id;
        _sent.push(Sent(selector, id, msg.sender, message.data, message.extraArgs));
    }

    /// @dev Hand a message to a receiver, as the far router would.
    function deliver(uint256 index, IAny2EVMMessageReceiver receiver) external {
        Sent memory message = _sent[index];
        deliverRaw(message.messageId, chainSelector, abi.encode(message.sender), message.data, receiver);
    }

    function deliverRaw(
        bytes32 messageId,
        uint64 source,
        bytes memory sender,
        bytes memory data,
        IAny2EVMMessageReceiver receiver
    ) public {
        Client.EVMTokenAmount[] memory none = new Client.EVMTokenAmount[](0);
        receiver.ccipReceive(Client.Any2EVMMessage(messageId, source, sender, data, none));
    }

    function sentCount() external view returns (uint256) {
        return _sent.length;
    }

    function sent(uint256 index) external view returns (Sent memory) {
        return _sent[index];
    }

    function _takeFee(address token) private {
        uint256 due = mode == Mode.RaiseFee ? fee + 1 : fee;
        if (token == address(0)) {
            if (msg.value < due) revert InsufficientFeeTokenAmount();
        } else {
            if (msg.value != 0) revert InvalidMsgValue();
            if (mode == Mode.TakeLess) due /= 2;
            bool ok = IERC20(token).transferFrom(msg.sender, address(this), due);
            if (!ok) revert Refused();
        }
    }

    function _eatGas() private pure {
        assembly {
            invalid()
        }
    }

    function _huge() private pure {
        assembly {
            revert(0, 200000)
        }
    }
}
