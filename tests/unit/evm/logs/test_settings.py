"""Settings that cannot work are refused where they are made."""

from __future__ import annotations

import pytest

from seamark.evm.logs import StreamSettings


@pytest.mark.parametrize("name", ["max_range", "first_range", "prefetch", "max_batch_logs", "head_range"])
def test_sizes_must_be_positive(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        StreamSettings(**{name: 0})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["start_block", "finality_depth", "suspect_tries", "kept_finalized"])
def test_counts_must_not_be_negative(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        StreamSettings(**{name: -1})  # type: ignore[arg-type]
    StreamSettings(**{name: 0})  # type: ignore[arg-type]
