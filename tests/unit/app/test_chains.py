from typing import Any, ClassVar

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from seamark.app import chains as module
from seamark.app.chains import Chains, OpenChain, make_sender, open_settings_signer
from seamark.core.errors import SettingsError, TemporaryError
from seamark.core.ids import ChainId
from seamark.evm.metrics import RpcMetrics, TransactionMetrics
from seamark.evm.ports import Signer
from seamark.evm.rpc.errors import WrongChain
from seamark.evm.settings import ChainSettings, SignerSettings
from seamark.evm.types import BlockHeader
from seamark.runtime.http import make_session
from seamark.storage.database import open_database
from tests.support.clock import FakeClock

KEY = "0x" + "11" * 32


class FakeChain:
    """Opened with the real one's arguments; answers what the test put under its URL."""

    answers: ClassVar[dict[str, Any]] = {}
    opened: ClassVar[list["FakeChain"]] = []

    def __init__(self, chain_id: ChainId, urls: tuple[str, ...], **_: Any) -> None:
        self.chain_id, self.url, self.closed, self.asked = chain_id, urls[0], False, 0
        self.opened.append(self)

    async def header(self, _: str) -> BlockHeader | None:
        self.asked += 1
        answer = self.answers.get(self.url)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
async def chains(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "Chain", FakeChain)
    monkeypatch.setattr(FakeChain, "answers", {})
    monkeypatch.setattr(FakeChain, "opened", [])
    settings = {
        name: ChainSettings(chain_id=number, rpc=(f"http://{name}",))
        for number, name in ((138, "home"), (139, "remote"))
    }
    async with aiohttp.ClientSession() as session:
        yield Chains(settings, session, FakeClock(), RpcMetrics(CollectorRegistry()), 15.0)


async def test_each_chain_is_opened_once_and_closed(chains: Chains) -> None:
    await chains.open(["home", "remote", "home"])
    await chains.open(["home"])
    assert [chain.url for chain in FakeChain.opened] == ["http://home", "http://remote"]
    assert set(chains.by_id()) == {138, 139}
    await chains.close()
    assert all(chain.closed for chain in FakeChain.opened)


async def test_only_what_is_wanted_is_opened(chains: Chains) -> None:
    await chains.open(["remote"])
    assert list(chains.opened) == ["remote"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (TemporaryError("refused"), "chains.remote.rpc: no node answers (refused); check that the node runs"),
        (
            WrongChain("remote", expected=139, actual=1),
            "chains.remote.rpc: remote serves chain id 1, but the settings say 139",
        ),
    ],
)
async def test_a_node_that_will_not_do_is_named(chains: Chains, answer: Exception, words: str) -> None:
    FakeChain.answers["http://remote"] = answer
    with pytest.raises(SettingsError) as error:
        await chains.open(["home", "remote"])
    assert str(error.value).startswith(words)


async def test_a_chain_that_is_silent_does_not_hide_the_others(chains: Chains) -> None:
    FakeChain.answers["http://remote"] = TemporaryError("refused")
    await chains.open(["home", "remote"], needed=["home"])
    assert set(chains.by_id()) == {138, 139}, "it is read as soon as it answers"
    assert chains.silent == {139}


@pytest.mark.parametrize(
    ("silent", "needed", "named"), [(("remote",), ["remote"], "remote"), (("home", "remote"), [], "home")]
)
async def test_silence_that_leaves_nothing_to_start(
    chains: Chains, silent: tuple[str, ...], needed: list[str], named: str
) -> None:
    FakeChain.answers |= {f"http://{name}": TemporaryError("refused") for name in silent}
    with pytest.raises(SettingsError, match=rf"^chains\.{named}\.rpc: no node answers"):
        await chains.open(["home", "remote"], needed=needed)


async def test_a_wrong_chain_is_no_silence(chains: Chains) -> None:
    FakeChain.answers["http://remote"] = WrongChain("remote", expected=139, actual=1)
    with pytest.raises(SettingsError, match="serves chain id 1"):
        await chains.open(["home", "remote"], needed=[])


async def opened_signer(key: str) -> Signer:
    database = await open_database("sqlite://")
    try:
        async with make_session() as session:
            settings = SignerSettings(private_key=SecretStr(key))
            return await open_settings_signer(
                settings, "oracle.signer", session=session, clock=FakeClock(), database=database
            )
    finally:
        await database.close()


async def test_a_signer_is_named_by_its_setting_and_never_shown() -> None:
    signer = await opened_signer(KEY)
    assert KEY[2:] not in repr(signer)
    with pytest.raises(SettingsError, match=r"^oracle\.signer: is not a hex private key") as error:
        await opened_signer(KEY + "0")
    assert KEY not in str(error.value)


async def test_a_sender_is_of_its_chain_and_account(chains: Chains) -> None:
    await chains.open(["home"])
    item: OpenChain = chains.opened["home"]
    signer = await opened_signer(KEY)
    database = await open_database("sqlite://")
    metrics = TransactionMetrics(CollectorRegistry())
    sender = make_sender(item, signer, database=database, clock=FakeClock(), metrics=metrics)
    await database.close()
    assert (sender.address, sender.name) == (signer.address, "transactions-138")
