from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from seamark.devnet import die_with_parent
from seamark.devnet.anvil import _SHIM

MIDDLE = (
    "import os, signal, subprocess, sys; shim = sys.argv[1];"
    "subprocess.Popen([sys.executable, '-I', '-S', shim, str(os.getpid()), '/bin/sh', '-c',"
    " 'trap \"echo interrupted; exit\" INT; echo ready; while :; do sleep 0.01; done']);"
    "sys.stdin.read(1); os.kill(os.getpid(), signal.SIGKILL)"
)


def shim(parent: int, *program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", str(_SHIM), str(parent), *program]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def test_it_becomes_the_program():
    done = shim(os.getpid(), "/bin/sh", "-c", "echo $0 $1; exit 5", "one", "two words")
    assert (done.returncode, done.stdout) == (5, "one two words\n")


def test_it_does_not_start_when_the_parent_is_gone_already():
    done = shim(1, "/bin/echo", "too late")
    assert (done.returncode, done.stdout) == (die_with_parent.GONE, "")


def test_the_child_of_a_killed_parent_is_interrupted():
    middle = subprocess.Popen(
        [sys.executable, "-c", MIDDLE, str(_SHIM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert middle.stdin is not None
    assert middle.stdout is not None
    with middle:
        assert middle.stdout.readline() == "ready\n"
        middle.stdin.write("x")
        middle.stdin.flush()
        assert middle.stdout.read() == "interrupted\n", "its end closes the pipe; otherwise this waits for ever"
    assert middle.returncode == -signal.SIGKILL


@pytest.mark.parametrize("problem", ["prctl", "parent"])
def test_within_one_process(monkeypatch, problem):
    class Libc:
        def prctl(self, *_):
            return -1 if problem == "prctl" else 0

    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: Libc())
    if problem == "prctl":
        with pytest.raises(OSError, match="PR_SET_PDEATHSIG"):
            die_with_parent.main([str(os.getppid()), "/bin/true"])
    else:
        assert die_with_parent.main(["1" if os.getppid() != 1 else "2", "/bin/true"]) == die_with_parent.GONE
