"""Two reports that the published OCR2Aggregator accepted on a chain: configuration, report, signatures, calldata."""

import json
from pathlib import Path

from seamark.core.ids import Address, ChainId
from seamark.oracle.reporting.codec import Report, ReportContext
from seamark.oracle.reporting.digest import ConfigSet

VECTORS = json.loads((Path(__file__).parent / "ocr2_vectors.json").read_text())


def raw(text):
    return bytes.fromhex(text.removeprefix("0x"))


def config_of(case):
    return ConfigSet(
        case["configCount"],
        tuple(Address(one.lower()) for one in case["signers"]),
        tuple(Address(one.lower()) for one in case["transmitters"]),
        case["f"],
        raw(case["onchainConfig"]),
        case["offchainConfigVersion"],
        raw(case["offchainConfig"]),
    )


def place_of(case):
    return ChainId(case["chainId"]), Address(case["contract"].lower())


def context_of(case):
    return ReportContext(raw(case["configDigest"]), case["epoch"], case["round"], raw(case["extraHash"]))


def report_of(case):
    return Report(
        case["observationsTimestamp"],
        tuple(raw(case["observers"])),
        tuple(int(one) for one in case["observations"]),
        int(case["juelsPerFeeCoin"]),
    )
