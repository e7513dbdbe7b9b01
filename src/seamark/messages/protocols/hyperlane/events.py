"""What Mailbox and InterchainGasPaymaster emit, and the reads that discovery needs.

Source: `Mailbox.sol`, `IPostDispatchHook.sol`, `InterchainGasPaymaster.sol`, `StaticAggregationHook.sol` of
@hyperlane-xyz/core.
"""

from __future__ import annotations

from seamark.evm.abi import Abi, Event

__all__ = [
    "AGGREGATION",
    "CONFIGURATION",
    "DEFAULT_HOOK_SET",
    "DISPATCH",
    "DISPATCH_ID",
    "GAS_PAYMASTER",
    "GAS_PAYMENT",
    "HOOK",
    "MAILBOX",
    "OWNERSHIP_TRANSFERRED",
    "PAYMASTER_EVENTS",
    "PROCESS",
    "PROCESS_ID",
    "REQUIRED_HOOK_SET",
]

DISPATCH = Event.parse(
    "event Dispatch(address indexed sender, uint32 indexed destination, bytes32 indexed recipient, bytes message)"
)
DISPATCH_ID = Event.parse("event DispatchId(bytes32 indexed messageId)")
PROCESS = Event.parse("event Process(uint32 indexed origin, bytes32 indexed sender, address indexed recipient)")
PROCESS_ID = Event.parse("event ProcessId(bytes32 indexed messageId)")
DEFAULT_ISM_SET = Event.parse("event DefaultIsmSet(address indexed module)")
DEFAULT_HOOK_SET = Event.parse("event DefaultHookSet(address indexed hook)")
REQUIRED_HOOK_SET = Event.parse("event RequiredHookSet(address indexed hook)")
OWNERSHIP_TRANSFERRED = Event.parse(
    "event OwnershipTransferred(address indexed previousOwner, address indexed newOwner)"
)
GAS_PAYMENT = Event.parse(
    "event GasPayment(bytes32 indexed messageId, uint32 indexed destinationDomain, uint256 gasAmount, uint256 payment)"
)
DESTINATION_GAS_CONFIG_SET = Event.parse(
    "event DestinationGasConfigSet(uint32 remoteDomain, address gasOracle, uint96 gasOverhead)"
)
BENEFICIARY_SET = Event.parse("event BeneficiarySet(address beneficiary)")

CONFIGURATION = (
    DEFAULT_ISM_SET,
    DEFAULT_HOOK_SET,
    REQUIRED_HOOK_SET,
    OWNERSHIP_TRANSFERRED,
    DESTINATION_GAS_CONFIG_SET,
    BENEFICIARY_SET,
)
PAYMASTER_EVENTS = (GAS_PAYMENT, OWNERSHIP_TRANSFERRED, DESTINATION_GAS_CONFIG_SET, BENEFICIARY_SET)

MAILBOX = Abi.parse(
    "function VERSION() view returns (uint8)",
    "function localDomain() view returns (uint32)",
    "function nonce() view returns (uint32)",
    "function defaultHook() view returns (address)",
    "function requiredHook() view returns (address)",
)
HOOK = Abi.parse(
    "function hookType() view returns (uint8)",
    "function hooks(bytes message) view returns (address[])",
)
AGGREGATION, GAS_PAYMASTER = 2, 4
"""`IPostDispatchHook.Types` that matter here."""
