"""The keystore's decoder is imported late, and must not change the process."""

import subprocess
import sys
from pathlib import Path


def test_opening_a_keystore_leaves_the_recursion_limit_alone(tmp_path: Path) -> None:
    """A deep reply of a hostile node must stay a RecursionError: py_ecc's import would make it a crash."""
    program = (
        "import sys; from seamark.evm.signers.keystore import _decoder; before = sys.getrecursionlimit(); _decoder();"
        "assert 'py_ecc' in sys.modules; assert sys.getrecursionlimit() == before"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)
