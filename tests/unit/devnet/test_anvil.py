from __future__ import annotations

import os
import socket
import stat

import pytest

from seamark.core.errors import SettingsError, StopError
from seamark.core.ids import ChainId
from seamark.devnet import anvil
from seamark.devnet.anvil import Anvil, AnvilOptions, find_anvil, free_port


def executable(path, content="#!/bin/sh\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No project, an empty PATH, no variable."""
    monkeypatch.setattr(anvil, "node_module_roots", list)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.delenv("SEAMARK_ANVIL", raising=False)
    return tmp_path


def after(arguments, flag):
    return arguments[arguments.index(flag) + 1]


# ---- the command line ------------------------------------------------------------------------------------------------


def test_a_plain_chain():
    arguments = AnvilOptions(ChainId(31337)).arguments(1234)
    assert after(arguments, "--host") == "127.0.0.1"
    assert after(arguments, "--port") == "1234"
    assert after(arguments, "--chain-id") == "31337"
    assert after(arguments, "--slots-in-an-epoch") == "1"
    assert not {"--gas-price", "--block-time", "--state"} & set(arguments)


def test_a_chain_with_free_gas_fixes_all_fees_at_zero():
    arguments = AnvilOptions(ChainId(138), zero_fee=True).arguments(1)
    assert after(arguments, "--gas-price") == "0"
    assert after(arguments, "--block-base-fee-per-gas") == "0"
    assert "--disable-min-priority-fee" in arguments


def test_a_chain_with_a_block_time_and_a_state(tmp_path):
    options = AnvilOptions(ChainId(1), block_time_s=2, state_file=tmp_path / "state.json", state_interval_s=7)
    arguments = options.arguments(1)
    assert after(arguments, "--block-time") == "2"
    assert after(arguments, "--state") == str(tmp_path / "state.json")
    assert after(arguments, "--state-interval") == "7"


# ---- the binary ------------------------------------------------------------------------------------------------------


def test_the_variable_goes_first(nowhere, monkeypatch):
    binary = executable(nowhere / "mine")
    monkeypatch.setenv("SEAMARK_ANVIL", str(binary))
    assert find_anvil() == binary


def test_a_variable_that_leads_nowhere_is_an_error(nowhere, monkeypatch):
    monkeypatch.setenv("SEAMARK_ANVIL", str(nowhere / "none"))
    with pytest.raises(SettingsError, match=r"SEAMARK_ANVIL: .*none is not an executable file"):
        find_anvil()


def test_the_npm_package_is_found(nowhere, monkeypatch):
    root = nowhere / "node_modules"
    binary = executable(root / "@foundry-rs" / anvil._package_name() / "bin" / "anvil")
    monkeypatch.setattr(anvil, "node_module_roots", lambda: [nowhere / "other", root])
    assert find_anvil() == binary


def test_the_npm_link_on_the_path_is_resolved_to_the_binary(nowhere, monkeypatch):
    modules = nowhere / "lib" / "node_modules" / "@foundry-rs"
    script = executable(modules / "anvil" / "bin.mjs")
    binary = executable(modules / anvil._package_name() / "bin" / "anvil")
    link = nowhere / "bin" / "anvil"
    link.parent.mkdir()
    link.symlink_to(script)
    monkeypatch.setenv("PATH", str(link.parent))
    assert find_anvil() == binary
    binary.unlink()
    with pytest.raises(StopError, match="anvil is not installed"):
        find_anvil()


def test_a_binary_on_the_path(nowhere, monkeypatch):
    binary = executable(nowhere / "bin" / "anvil")
    monkeypatch.setenv("PATH", str(binary.parent))
    assert find_anvil() == binary


def test_no_binary_names_the_remedy(nowhere):
    with pytest.raises(StopError, match=r"anvil is not installed; run `make demo` or `npm ci`.*SEAMARK_ANVIL"):
        find_anvil()


def test_module_folders_of_the_working_folder_come_first(tmp_path, monkeypatch):
    (tmp_path / "node_modules").mkdir()
    deep = tmp_path / "one" / "two"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert anvil.node_module_roots()[0] == tmp_path / "node_modules"


# ---- starting --------------------------------------------------------------------------------------------------------


async def test_a_taken_port_names_its_setting(nowhere):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        node = Anvil(AnvilOptions(ChainId(1), port=port, port_setting="devnet.home.port"), binary=nowhere / "x")
        with pytest.raises(SettingsError, match=rf"devnet\.home\.port: port {port} is taken; stop what listens there"):
            await node.start()
        assert not node.running
        assert node.pid is None


async def test_a_node_that_leaves_at_once_gives_its_last_words(tmp_path):
    binary = executable(tmp_path / "anvil", "#!/bin/sh\necho no such chain >&2\nexit 7\n")
    node = Anvil(AnvilOptions(ChainId(1), log_file=tmp_path / "log"), binary=binary)
    with pytest.raises(StopError, match="anvil for chain 1 left while starting: no such chain"):
        await node.start()
    assert not node.running


async def test_asking_a_node_that_does_not_run_is_an_error():
    with pytest.raises(StopError, match="anvil for chain 5 is not running"):
        await Anvil(AnvilOptions(ChainId(5))).request("eth_chainId")


async def test_stopping_what_never_ran_is_fine():
    node = Anvil(AnvilOptions(ChainId(5)))
    await node.stop()
    await node.kill()


def test_a_free_port_can_be_listened_on():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", free_port()))


def test_the_child_watches_the_right_parent():
    assert anvil._SHIM.is_file()
    assert os.access(anvil._SHIM, os.R_OK)


async def test_a_node_that_does_not_end_when_asked_is_killed(tmp_path, monkeypatch):
    # It answers nothing, so the start gives up; and it ignores SIGINT, so the end has to be SIGKILL.
    binary = executable(tmp_path / "anvil", "#!/bin/sh\ntrap '' INT\nwhile :; do sleep 0.01; done\n")
    monkeypatch.setattr(anvil, "START_TIMEOUT_S", 0.3)
    monkeypatch.setattr(anvil, "STOP_TIMEOUT_S", 0.1)
    node = Anvil(AnvilOptions(ChainId(1), port=free_port(), log_file=tmp_path / "log"), binary=binary)
    with pytest.raises(StopError, match=r"anvil on port \d+ did not answer within"):
        await node.start()
    assert node.pid is None
    assert not node.running
