import pytest

from seamark.core.errors import RejectedError, SeamarkError, SettingsError, StopError, TemporaryError


def test_an_error_reads_as_what_failed_and_what_to_do() -> None:
    assert str(SeamarkError("node down", remedy="start it")) == "node down; start it"
    assert str(SeamarkError("node down")) == "node down"


def test_a_settings_error_names_the_setting() -> None:
    error = SettingsError("HEARTBEAT", "is not set", remedy="export HEARTBEAT=1h")
    assert str(error) == "HEARTBEAT: is not set; export HEARTBEAT=1h"
    assert (error.setting, error.problem) == ("HEARTBEAT", "is not set")


@pytest.mark.parametrize("kind", [TemporaryError, RejectedError, StopError])
def test_the_tree_splits_by_what_the_caller_can_do(kind: type[SeamarkError]) -> None:
    others = {TemporaryError, RejectedError, StopError} - {kind}
    assert issubclass(kind, SeamarkError)
    assert not any(issubclass(kind, other) for other in others)


def test_a_temporary_error_may_say_how_long() -> None:
    assert TemporaryError("busy", retry_after=2.5).retry_after == 2.5
