from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from seamark.core.errors import StopError
from seamark.devnet import data_folder
from seamark.devnet.data_folder import DataFolder

HOLD = (
    "import fcntl, os, sys, time; file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT);"
    " fcntl.flock(file, fcntl.LOCK_EX);"
    " os.pwrite(file, f'{os.getpid()}\\n'.encode(), 0); print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def holder(tmp_path):
    """Another process that has the lock, as a devnet that runs."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


async def test_the_folder_is_made_and_locked_for_others(tmp_path):
    folder = DataFolder(tmp_path / "new" / "devnet")
    await folder.lock()
    assert folder.path.is_dir()
    assert (folder.path / "lock").read_text() == f"{os.getpid()}\n"
    folder.unlock()
    folder.unlock()
    again = DataFolder(tmp_path / "new" / "devnet")
    await again.lock()
    again.unlock()


async def test_a_running_devnet_keeps_its_folder(tmp_path, holder):
    folder = DataFolder(tmp_path)
    with pytest.raises(StopError, match=rf"another devnet \(process {holder.pid}\) runs on .*; stop it, or choose"):
        await folder.lock()


async def test_nodes_of_a_dead_devnet_are_waited_for(tmp_path, holder):
    (tmp_path / "lock").write_text("999999999\n")  # its owner is gone, a node still holds the lock
    folder = DataFolder(tmp_path)
    waiting = asyncio.create_task(folder.lock())
    await asyncio.sleep(2 * data_folder.POLL_S)
    assert not waiting.done()
    holder.kill()
    await waiting
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    folder.unlock()


async def test_nodes_that_never_end_are_named(tmp_path, holder, monkeypatch):
    monkeypatch.setattr(data_folder, "WAIT_S", 0.01)
    (tmp_path / "lock").write_text("")
    with pytest.raises(StopError, match=r"nodes of an earlier devnet still hold .*; end the anvil processes"):
        await DataFolder(tmp_path).lock()


async def test_clearing_forgets_the_chains_and_keeps_the_logs(tmp_path):
    folder = DataFolder(tmp_path)
    for path in (folder.manifest, folder.state("home"), folder.state("remote"), folder.log("home")):
        path.write_text("something")
    folder.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["home.log"]
    folder.clear()
