// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

/// @title Who reports to a feed: the oracles of one configuration, and the digest that names it.
/// @notice The owner sets a whole configuration at once; its digest is part of all that oracles sign, so a report of one
/// configuration, contract or chain means nothing to another. Same calls, event and digest as libocr's OCR2Abstract; errors are
/// strings, because the published contract's strings are what tools know.
abstract contract OracleSet is Ownable2Step {
    /// @dev Everything the digest is made from, beside chain, contract and count.
    struct Config {
        address[] signers;
        address[] transmitters;
        uint8 f;
        bytes onchainConfig;
        uint64 offchainConfigVersion;
        bytes offchainConfig;
    }

    /// @dev What `transmit` reads and writes with one storage slot. The low byte of `epochAndRound` is the round.
    struct HotVars {
        uint8 f;
        uint40 epochAndRound;
        uint32 roundId;
    }

    /// @dev So many fit into a word with one byte each, as observers and parities of signatures are passed.
    uint256 internal constant MAX_ORACLES = 31;
    /// @dev Digests of EVM chains begin with these two bytes (libocr's ConfigDigestPrefixEVM).
    uint256 private constant DIGEST_PREFIX = 0x0001 << 240;
    uint256 private constant DIGEST_MASK = type(uint256).max >> 16;

    HotVars internal _hotVars;
    bytes32 internal _configDigest;
    uint32 private _configCount;
    uint32 private _configBlock;
    address[] private _signers;
    address[] private _transmitters;
    /// @dev Position plus one, so that zero is "no signer".
    mapping(address signer => uint8) internal _signerNumber;
    mapping(address transmitter => bool) internal _isTransmitter;

    /// @notice A configuration was set.
    event ConfigSet(
        uint32 previousConfigBlockNumber,
        bytes32 configDigest,
        uint64 configCount,
        address[] signers,
        address[] transmitters,
        uint8 f,
        bytes onchainConfig,
        uint64 offchainConfigVersion,
        bytes offchainConfig
    );

    /// @notice Set who reports from now on. Owner only. Epochs begin anew; rounds go on.
    /// @param signers The addresses that oracles sign reports with, at most 31.
    /// @param transmitters The accounts that may transmit, in the same order.
    /// @param f How many oracles may be faulty: above 0, and less than a third of them.
    /// @param onchainConfig 0x01, then the smallest and the largest answer as int192: 49 bytes that must say what the contract says.
    /// @param offchainConfigVersion How the oracles read the last argument.
    /// @param offchainConfig For the oracles alone.
    function setConfig(
        address[] memory signers,
        address[] memory transmitters,
        uint8 f,
        bytes memory onchainConfig,
        uint64 offchainConfigVersion,
        bytes memory offchainConfig
    ) external onlyOwner {
        require(signers.length <= MAX_ORACLES, "too many oracles");
        require(signers.length == transmitters.length, "oracle length mismatch");
        require(3 * uint256(f) < signers.length, "faulty-oracle f too high");
        require(f > 0, "f must be positive");
        require(keccak256(onchainConfig) == keccak256(_onchainConfig()), "invalid onchainConfig");
        _setConfig(Config(signers, transmitters, f, onchainConfig, offchainConfigVersion, offchainConfig));
    }

    /// @notice Never: a feed without an owner could not replace an oracle that is lost.
    function renounceOwnership() public view override(Ownable) onlyOwner {
        revert("owner cannot be renounced");
    }

    /// @notice The configuration in use.
    /// @return configCount How many there were, with this one.
    /// @return blockNumber The block in which it was set: where to look for `ConfigSet`.
    /// @return configDigest Its name.
    function latestConfigDetails()
        external
        view
        returns (uint32 configCount, uint32 blockNumber, bytes32 configDigest)
    {
        return (_configCount, _configBlock, _configDigest);
    }

    /// @notice The configuration in use and how far it got.
    /// @return scanLogs False: epochs need not be looked for in logs.
    /// @return configDigest The name of the configuration.
    /// @return epoch The epoch of the latest report.
    function latestConfigDigestAndEpoch() external view returns (bool scanLogs, bytes32 configDigest, uint32 epoch) {
        return (false, _configDigest, uint32(_hotVars.epochAndRound >> 8));
    }

    /// @notice The accounts that may transmit, in the order in which they were set.
    function getTransmitters() external view returns (address[] memory) {
        return _transmitters;
    }

    /// @dev What `onchainConfig` must be.
    function _onchainConfig() internal view virtual returns (bytes memory);

    function _setConfig(Config memory config) private {
        _removeOracles();
        for (uint256 i = 0; i < config.signers.length; ++i) {
            _addOracle(config.signers[i], config.transmitters[i], uint8(i + 1));
        }
        _signers = config.signers;
        _transmitters = config.transmitters;
        _hotVars.f = config.f;
        _hotVars.epochAndRound = 0;
        uint32 previousBlock = _configBlock;
        _configBlock = uint32(block.number);
        _configDigest = _digest(config, ++_configCount);
        emit ConfigSet(
            previousBlock,
            _configDigest,
            _configCount,
            config.signers,
            config.transmitters,
            config.f,
            config.onchainConfig,
            config.offchainConfigVersion,
            config.offchainConfig
        );
    }

    function _removeOracles() private {
        for (uint256 i = 0; i < _signers.length; ++i) {
            delete _signerNumber[_signers[i]];
            delete _isTransmitter[_transmitters[i]];
        }
    }

    /// @dev The zero address is what a signature that is none recovers to, so as a signer it would make all signatures good.
    function _addOracle(address signer, address transmitter, uint8 number) private {
        require(signer != address(0), "zero signer address");
        require(_signerNumber[signer] == 0, "repeated signer address");
        require(!_isTransmitter[transmitter], "repeated transmitter address");
        _signerNumber[signer] = number;
        _isTransmitter[transmitter] = true;
    }

    function _digest(Config memory config, uint64 count) private view returns (bytes32) {
        bytes32 hash = keccak256(
            abi.encode(
                block.chainid,
                address(this),
                count,
                config.signers,
                config.transmitters,
                config.f,
                config.onchainConfig,
                config.offchainConfigVersion,
                config.offchainConfig
            )
        );
        return bytes32(DIGEST_PREFIX | (uint256(hash) & DIGEST_MASK));
    }
}
