"""Settings of the CCIP monitor, from YAML values and from the environment alone."""

from __future__ import annotations

import pytest

from seamark.core.errors import SettingsError
from seamark.core.ids import ChainId
from seamark.evm.settings import ChainSettings
from seamark.messages.protocols.ccip import ccip_chains
from seamark.messages.protocols.ccip.selectors import NamedChain, SelectorTable, published_selectors
from seamark.messages.protocols.ccip.settings import CcipSettings, ccip_from_environment
from seamark.runtime.settings import validate_settings

ROUTER = "0x80226fc0Ee2b096224EeAc085Bb9a8cba1146f7D"
ENVIRONMENT = {"RPC_URL": "http://127.0.0.1:8545", "CCIP_ROUTER_ADDRESS": ROUTER}


def chain(chain_id: int, **more: object) -> ChainSettings:
    return ChainSettings.model_validate({"chain_id": chain_id, "rpc": ["http://127.0.0.1:1"], **more})


class TestYaml:
    def test_a_chain_with_a_published_selector(self) -> None:
        settings = validate_settings(CcipSettings, {"chains": [{"chain": "eth", "router": ROUTER, "start_block": 5}]})
        (found,) = ccip_chains(settings, {"eth": chain(1)})
        assert (found.selector, found.name, found.start_block) == (5009297550715157269, "eth", 5)
        assert found.router == ROUTER.lower()

    def test_a_private_selector_above_two_to_the_63(self) -> None:
        settings = validate_settings(CcipSettings, {"chains": [{"chain": "defi", "router": ROUTER}]})
        (found,) = ccip_chains(settings, {"defi": chain(138, selector="13801380138013801380", label="DeFi Oracle")})
        assert (found.selector, found.name) == (13801380138013801380, "DeFi Oracle")

    @pytest.mark.parametrize(
        ("chains", "setting", "words"),
        [
            ({"x": chain(1)}, "ccip.chains[0].chain", "chains defined under `chains`: x"),
            ({}, "ccip.chains[0].chain", "none"),
            ({"eth": chain(138)}, "chains.eth.selector", "has no published CCIP selector"),
        ],
    )
    def test_what_does_not_fit_names_setting_and_remedy(
        self, chains: dict[str, ChainSettings], setting: str, words: str
    ) -> None:
        settings = validate_settings(CcipSettings, {"chains": [{"chain": "eth", "router": ROUTER}]})
        with pytest.raises(SettingsError) as caught:
            ccip_chains(settings, chains)
        assert caught.value.setting == setting
        assert words in str(caught.value)
        assert caught.value.remedy

    @pytest.mark.parametrize(
        "values",
        [
            {"chains": [{"chain": "eth", "router": "0x12"}]},
            {"chains": [{"chain": "eth", "router": ROUTER, "start_block": -1}]},
            {"chains": [{"chain": "eth", "router": ROUTER, "rooter": 1}]},
            {"chains": [{"chain": "eth", "router": ROUTER}, {"chain": "eth", "router": ROUTER}]},
            {"chains": [{"router": ROUTER}]},
        ],
    )
    def test_bad_values(self, values: dict[str, object]) -> None:
        with pytest.raises(SettingsError):
            validate_settings(CcipSettings, values)


class TestEnvironment:
    def test_three_variables_make_a_monitor(self) -> None:
        ccip, chains = ccip_from_environment({**ENVIRONMENT, "MONITORING_INTERVAL": "30"}, ChainId(1))
        (found,) = ccip_chains(ccip, chains)
        assert (found.chain_id, found.selector, found.start_block) == (1, 5009297550715157269, None)
        assert chains["chain-1"].poll_interval == 30.0

    @pytest.mark.parametrize(
        ("text", "seconds"), [("15", 15.0), ("0.5", 0.5), ("2m", 120.0), ("250ms", 0.25), ("", 15.0)]
    )
    def test_the_interval(self, text: str, seconds: float) -> None:
        _, chains = ccip_from_environment({**ENVIRONMENT, "MONITORING_INTERVAL": text}, ChainId(1))
        assert chains["chain-1"].poll_interval == seconds

    def test_a_private_chain(self) -> None:
        more = {"CCIP_CHAIN_SELECTOR": "13801380138013801380", "CCIP_START_BLOCK": "7"}
        ccip, chains = ccip_from_environment({**ENVIRONMENT, **more}, ChainId(138))
        (found,) = ccip_chains(ccip, chains)
        assert (found.selector, found.start_block) == (13801380138013801380, 7)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("RPC_URL", ""),
            ("RPC_URL", "ftp://x"),
            ("CCIP_ROUTER_ADDRESS", ""),
            ("CCIP_ROUTER_ADDRESS", "0x12"),
            ("CCIP_ROUTER_ADDRESS", ROUTER.replace("E", "e", 1)),
            ("MONITORING_INTERVAL", "often"),
            ("MONITORING_INTERVAL", "0"),
            ("MONITORING_INTERVAL", "-5"),
            ("CCIP_START_BLOCK", "x"),
            ("CCIP_START_BLOCK", "-1"),
            ("CCIP_CHAIN_SELECTOR", "abc"),
        ],
    )
    def test_bad_values_name_their_variable(self, name: str, value: str) -> None:
        with pytest.raises(SettingsError) as caught:
            ccip_from_environment({**ENVIRONMENT, name: value}, ChainId(1))
        assert caught.value.setting == name


class TestSelectors:
    @pytest.mark.parametrize(
        ("chain_id", "selector"),
        [
            (1, 5009297550715157269),
            (10, 3734403246176062136),
            (8453, 15971525489660198786),
            (42161, 4949039107694359620),
            (31337, 7759470850252068959),
            (1337, 3379446385462418246),
        ],
    )
    def test_published(self, chain_id: int, selector: int) -> None:
        found = SelectorTable().of_chain(ChainId(chain_id))
        assert found is not None
        assert found.selector == selector

    def test_138_has_none(self) -> None:
        assert SelectorTable().of_chain(ChainId(138)) is None

    def test_each_selector_once(self) -> None:
        chains = published_selectors()
        assert len({chain.selector for chain in chains}) == len({chain.chain_id for chain in chains}) == len(chains)

    def test_private_ones_win(self) -> None:
        table = SelectorTable([NamedChain(ChainId(1), 5009297550715157269, "mine")])  # type: ignore[arg-type]
        assert table.name("5009297550715157269") == "mine"
        assert table.name("123") == "123", "nobody knows it"
