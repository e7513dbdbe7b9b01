"""A real node takes what services sign: Web3Signer, AWS KMS and Google Cloud KMS, with a policy in front."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from seamark.core.ids import ChainId
from seamark.devnet.anvil import Anvil, AnvilOptions
from seamark.evm.ports import TxState
from seamark.evm.rpc import Chain
from seamark.evm.settings import SignerSettings
from seamark.evm.signers import PolicyRefused, open_guarded
from seamark.evm.transactions import Sender, SenderSettings
from seamark.runtime.clock import SystemClock
from seamark.runtime.http import make_session
from seamark.storage.database import open_database
from tests.support.key_services import (
    ACCESS_KEY,
    ADDRESS,
    KEY_VERSION,
    SECRET_KEY,
    AwsKmsService,
    GcpKmsService,
    Web3SignerService,
    served,
)
from tests.support.sending import TO, price

LOCAL = ChainId(31337)
RSA = rsa.generate_private_key(65537, 2048)
PEM = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
POLICY = {"allow": [{"chain_id": 31337, "contract": TO}], "max_fee": "0.1 ether", "max_spend_per_day": "1 ether"}


@pytest.fixture
async def anvil() -> AsyncIterator[Anvil]:
    async with Anvil(AnvilOptions(LOCAL)) as node:
        yield node


async def backend(kind: str, stack: AsyncExitStack, folder: Path) -> dict[str, Any]:
    """The settings of a signer, and the stand-in behind them."""
    if kind == "web3signer":
        keeper = await stack.enter_async_context(served(Web3SignerService()))
        return {"url": keeper.url, "address": ADDRESS}
    if kind == "aws_kms":
        kms = await stack.enter_async_context(served(AwsKmsService()))
        return {"key_id": "alias/seamark", "region": "eu-central-1", "endpoint": kms.url, "address": ADDRESS}
    google = await stack.enter_async_context(
        served(GcpKmsService(account_key=RSA.public_key(), now=SystemClock().now() + 1))
    )
    account = {
        "type": "service_account",
        "client_email": google.email,
        "private_key": PEM,
        "private_key_id": "1",
        "token_uri": google.url + "/token",
    }
    (folder / "account.json").write_text(json.dumps(account))
    (folder / "account.json").chmod(0o600)
    return {
        "key_version": KEY_VERSION,
        "endpoint": google.url,
        "credentials_file": str(folder / "account.json"),
        "address": ADDRESS,
    }


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", ["web3signer", "aws_kms", "gcp_kms"])
async def test_a_node_takes_what_a_service_signed(anvil: Anvil, tmp_path: Path, kind: str, *, legacy: bool) -> None:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(make_session())
        database = await open_database("sqlite://")
        stack.push_async_callback(database.close)
        chain = Chain(LOCAL, (anvil.url,), session=session, clock=SystemClock())
        stack.push_async_callback(chain.close)
        await anvil.request("anvil_setBalance", ADDRESS, hex(10**19))
        environment = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        signer = await open_guarded(
            SignerSettings.model_validate({kind: await backend(kind, stack, tmp_path), "policy": POLICY}),
            "oracle.signer",
            session=session,
            clock=SystemClock(),
            database=database,
            environment=environment,
        )
        settings = SenderSettings(poll_s=0.05)
        if legacy:
            settings = SenderSettings(poll_s=0.05, fees=type(settings.fees)(legacy=True))
        sender = Sender(chain=chain, signer=signer, database=database, clock=SystemClock(), settings=settings)
        running = asyncio.create_task(sender.run())
        try:
            first = await anvil.request("eth_getTransactionCount", ADDRESS, "latest")
            await asyncio.gather(*(sender.submit(price(number)) for number in range(5)))
            for number in range(5):
                outcome = await asyncio.wait_for(sender.wait(f"price-{number}", until=TxState.MINED), 20)
                assert outcome.receipt is not None
                assert outcome.receipt.succeeded
            with pytest.raises(PolicyRefused):
                await sender.submit(price(9, to=ADDRESS))
            sent = await anvil.request("eth_getTransactionByHash", outcome.hashes[0])
            assert (sent["from"], sent["type"]) == (ADDRESS, "0x0" if legacy else "0x2")
            last = await anvil.request("eth_getTransactionCount", ADDRESS, "latest")
            assert int(last, 16) == int(first, 16) + 5
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await sender.close()
