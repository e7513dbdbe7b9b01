// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {
    AggregatorInterface,
    AggregatorV2V3Interface,
    AggregatorV3Interface
} from "../interfaces/AggregatorV2V3Interface.sol";
import {OracleSet} from "./OracleSet.sol";

/// @title A price feed that a reporting network writes: one report, signed by f + 1 oracles, is one round.
/// @notice The calls, events, checks and error strings of libocr's OCR2Aggregator, without its billing in LINK, its validator
/// and its access controllers; who pays oracles does so elsewhere. Stricter in two ways: a report must be sorted, since its
/// middle element is taken for the median, and the zero address cannot be a signer.
contract ReportingAggregator is OracleSet, AggregatorV2V3Interface {
    /// @dev One accepted report.
    struct Transmission {
        int192 answer;
        uint32 observationsTimestamp;
        uint32 transmissionTimestamp;
    }

    /// @dev A report as it was signed; byte i of `observers` is who made observation i.
    struct Report {
        uint32 observationsTimestamp;
        bytes32 observers;
        int192[] observations;
        int192 juelsPerFeeCoin;
    }

    /// @inheritdoc AggregatorV3Interface
    uint256 public constant override version = 6;
    /// @notice What this contract is, for tools.
    string public constant typeAndVersion = "ReportingAggregator 1.0.0";
    /// @dev Calldata of `transmit` beside the bytes of its report and its signatures: the selector; three words of context,
    /// three offsets, the parities; three lengths.
    uint256 private constant TRANSMIT_BYTES = 4 + 10 * 32;
    uint8 private constant ONCHAIN_CONFIG_VERSION = 1;
    /// @dev A report beside its observations: four words and the length of the list.
    uint256 private constant REPORT_BYTES = 5 * 32;

    /// @notice The smallest answer that is accepted.
    int192 public immutable minAnswer;
    /// @notice The largest answer that is accepted.
    int192 public immutable maxAnswer;
    /// @inheritdoc AggregatorV3Interface
    uint8 public immutable override decimals;

    /// @notice Whether an account may ask for a round, beside the owner.
    mapping(address account => bool) public isRequester;
    string private _description;
    mapping(uint32 roundId => Transmission) private _transmissions;

    /// @notice A report became a round. The last argument's low byte is the protocol's round, the rest its epoch.
    event NewTransmission(
        uint32 indexed aggregatorRoundId,
        int192 answer,
        address transmitter,
        uint32 observationsTimestamp,
        int192[] observations,
        bytes observers,
        int192 juelsPerFeeCoin,
        bytes32 configDigest,
        uint40 epochAndRound
    );
    /// @notice Somebody wants a report whatever the price; with digest, epoch and round of the latest one.
    event RoundRequested(address indexed requester, bytes32 configDigest, uint32 epoch, uint8 round);
    /// @notice An account may ask for rounds, or may no more.
    event RequesterSet(address indexed account, bool allowed);

    /// @param minAnswer_ The smallest answer to accept.
    /// @param maxAnswer_ The largest answer to accept.
    /// @param decimals_ Answers are in units of 10^-decimals.
    /// @param description_ What the feed measures, for people: "ETH / USD".
    /// @param owner_ Who sets the configuration; hands over in two steps.
    constructor(int192 minAnswer_, int192 maxAnswer_, uint8 decimals_, string memory description_, address owner_)
        Ownable(owner_)
    {
        require(minAnswer_ <= maxAnswer_, "min above max");
        minAnswer = minAnswer_;
        maxAnswer = maxAnswer_;
        decimals = decimals_;
        _description = description_;
    }

    /// @notice Publish a signed report as the next round. Transmitters only.
    /// @param reportContext The digest of the configuration; 27 bytes, 4 of epoch, 1 of round; a hash of what the report was
    /// made from.
    /// @param report abi.encode(uint32 observationsTimestamp, bytes32 observers, int192[] observations, int192 juelsPerFeeCoin).
    /// @param rs The r of each of the f + 1 signatures.
    /// @param ss The s of each.
    /// @param rawVs Byte i is the parity of signature i, 0 or 1.
    function transmit(
        bytes32[3] calldata reportContext,
        bytes calldata report,
        bytes32[] calldata rs,
        bytes32[] calldata ss,
        bytes32 rawVs
    ) external {
        HotVars memory hotVars = _hotVars;
        require(hotVars.epochAndRound < uint40(uint256(reportContext[1])), "stale report");
        require(_isTransmitter[msg.sender], "unauthorized transmitter");
        require(_configDigest == reportContext[0], "configDigest mismatch");
        // Padding would be paid for by whoever refunds gas, and would make one report many transactions.
        require(
            msg.data.length == TRANSMIT_BYTES + report.length + 32 * (rs.length + ss.length), "calldata length mismatch"
        );
        require(rs.length == uint256(hotVars.f) + 1, "wrong number of signatures");
        require(rs.length == ss.length, "signatures out of registration");
        _checkSignatures(keccak256(abi.encode(keccak256(report), reportContext)), rs, ss, rawVs);
        hotVars.epochAndRound = uint40(uint256(reportContext[1]));
        _publish(hotVars, reportContext[0], _decode(report));
    }

    /// @notice Ask the oracles for a report now. Owner and requesters only.
    /// @return The next round. Its report may have been on its way before it was asked for.
    function requestNewRound() external returns (uint80) {
        require(msg.sender == owner() || isRequester[msg.sender], "Only owner&requester can call");
        HotVars memory hotVars = _hotVars;
        emit RoundRequested(msg.sender, _configDigest, uint32(hotVars.epochAndRound >> 8), uint8(hotVars.epochAndRound));
        return uint80(hotVars.roundId) + 1;
    }

    /// @notice Let an account ask for rounds, or no more. Owner only.
    /// @param account Who.
    /// @param allowed Whether.
    function setRequester(address account, bool allowed) external onlyOwner {
        isRequester[account] = allowed;
        emit RequesterSet(account, allowed);
    }

    /// @notice The latest report, for the oracles: contracts read rounds.
    /// @return configDigest The configuration in use.
    /// @return epoch The epoch of the report.
    /// @return round The protocol's round of the report.
    /// @return latestAnswer_ Its answer.
    /// @return latestTimestamp_ When it was recorded.
    function latestTransmissionDetails()
        external
        view
        returns (bytes32 configDigest, uint32 epoch, uint8 round, int192 latestAnswer_, uint64 latestTimestamp_)
    {
        // solhint-disable-next-line avoid-tx-origin
        require(msg.sender == tx.origin, "Only callable by EOA");
        HotVars memory hotVars = _hotVars;
        Transmission storage latest = _transmissions[hotVars.roundId];
        return (
            _configDigest,
            uint32(hotVars.epochAndRound >> 8),
            uint8(hotVars.epochAndRound),
            latest.answer,
            latest.transmissionTimestamp
        );
    }

    /// @inheritdoc AggregatorV3Interface
    function description() external view override returns (string memory) {
        return _description;
    }

    /// @inheritdoc AggregatorInterface
    function latestAnswer() external view override returns (int256) {
        return _transmissions[_hotVars.roundId].answer;
    }

    /// @inheritdoc AggregatorInterface
    function latestTimestamp() external view override returns (uint256) {
        return _transmissions[_hotVars.roundId].transmissionTimestamp;
    }

    /// @inheritdoc AggregatorInterface
    function latestRound() external view override returns (uint256) {
        return _hotVars.roundId;
    }

    /// @inheritdoc AggregatorInterface
    function getAnswer(uint256 roundId) external view override returns (int256) {
        return roundId > type(uint32).max ? int256(0) : _transmissions[uint32(roundId)].answer;
    }

    /// @inheritdoc AggregatorInterface
    function getTimestamp(uint256 roundId) external view override returns (uint256) {
        return roundId > type(uint32).max ? 0 : _transmissions[uint32(roundId)].transmissionTimestamp;
    }

    /// @notice One round; all zero but the id if there is no such round, and all zero if there cannot be, as on published OCR2
    /// feeds (older feeds revert).
    /// @param roundId The round to read.
    /// @return id The round.
    /// @return answer The answer.
    /// @return startedAt When it was observed.
    /// @return updatedAt When it was recorded.
    /// @return answeredInRound The round itself.
    function getRoundData(uint80 roundId) public view override returns (uint80, int256, uint256, uint256, uint80) {
        if (roundId > type(uint32).max) return (0, 0, 0, 0, 0);
        Transmission memory found = _transmissions[uint32(roundId)];
        return (roundId, found.answer, found.observationsTimestamp, found.transmissionTimestamp, roundId);
    }

    /// @notice The current round; all zero before the first.
    /// @return id The round.
    /// @return answer The answer.
    /// @return startedAt When it was observed.
    /// @return updatedAt When it was recorded.
    /// @return answeredInRound The round itself.
    function latestRoundData() external view override returns (uint80, int256, uint256, uint256, uint80) {
        return getRoundData(_hotVars.roundId);
    }

    /// @inheritdoc OracleSet
    function _onchainConfig() internal view override returns (bytes memory) {
        return abi.encodePacked(ONCHAIN_CONFIG_VERSION, minAnswer, maxAnswer);
    }

    /// @dev Each of the signatures is by another oracle of the configuration.
    function _checkSignatures(bytes32 hash, bytes32[] calldata rs, bytes32[] calldata ss, bytes32 rawVs) private view {
        uint256 seen = 0;
        for (uint256 i = 0; i < rs.length; ++i) {
            uint256 v = uint256(uint8(rawVs[i])) + 27;
            address signer = v > 28 ? address(0) : ecrecover(hash, uint8(v), rs[i], ss[i]);
            uint256 bit = 1 << _signerNumber[signer];
            require(bit != 1, "signature error");
            require(seen & bit == 0, "duplicate signer");
            seen |= bit;
        }
    }

    /// @dev Read a report, and see that it is no longer than it says.
    function _decode(bytes calldata raw) private pure returns (Report memory report) {
        (report.observationsTimestamp, report.observers, report.observations, report.juelsPerFeeCoin) =
            abi.decode(raw, (uint32, bytes32, int192[], int192));
        require(raw.length == REPORT_BYTES + 32 * report.observations.length, "report length mismatch");
    }

    /// @dev Make a report the next round. `hotVars` holds its epoch and round already.
    function _publish(HotVars memory hotVars, bytes32 digest, Report memory report) private {
        uint256 count = report.observations.length;
        require(count <= MAX_ORACLES, "num observations out of bounds");
        require(hotVars.f < count, "too few values to trust median");
        for (uint256 i = 1; i < count; ++i) {
            require(report.observations[i - 1] <= report.observations[i], "observations not sorted");
        }
        int192 median = report.observations[count / 2];
        require(minAnswer <= median && median <= maxAnswer, "median is out of min-max range");
        ++hotVars.roundId;
        _hotVars = hotVars;
        _transmissions[hotVars.roundId] = Transmission(median, report.observationsTimestamp, uint32(block.timestamp));
        _tell(hotVars, median, digest, report);
    }

    /// @dev The events: one for those who follow reports, two for those who follow any feed.
    function _tell(HotVars memory hotVars, int192 median, bytes32 digest, Report memory report) private {
        bytes memory observers = abi.encodePacked(report.observers);
        uint256 count = report.observations.length;
        // A shorter length in front of the same bytes; `count` is at most 31.
        assembly ("memory-safe") {
            mstore(observers, count)
        }
        emit NewTransmission(
            hotVars.roundId,
            median,
            msg.sender,
            report.observationsTimestamp,
            report.observations,
            observers,
            report.juelsPerFeeCoin,
            digest,
            hotVars.epochAndRound
        );
        emit NewRound(hotVars.roundId, address(0), report.observationsTimestamp);
        emit AnswerUpdated(median, hotVars.roundId, block.timestamp);
    }
}
