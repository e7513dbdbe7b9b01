import pytest

from seamark.app.naming import calling
from seamark.core.errors import SettingsError, StopError

NAMES = {"oracle.feeds[0].aggregator": "AGGREGATOR_ADDRESS", "database": "SEAMARK_DATABASE", "oracle": "ORACLE"}


@pytest.mark.parametrize(
    ("setting", "called"),
    [
        ("oracle.feeds[0].aggregator", "AGGREGATOR_ADDRESS"),
        ("database", "SEAMARK_DATABASE"),
        ("database.url", "SEAMARK_DATABASE"),
        ("oracle.feeds[1]", "ORACLE"),
        ("databases", "databases"),
        ("api.port", "api.port"),
    ],
)
def test_errors_name_what_was_written(setting: str, called: str) -> None:
    with pytest.raises(SettingsError) as error, calling(NAMES):
        raise SettingsError(setting, "is wrong", remedy="correct it")
    assert str(error.value) == f"{called}: is wrong; correct it"


def test_other_errors_pass() -> None:
    problem = StopError("stop")
    with pytest.raises(StopError) as error, calling(NAMES):
        raise problem
    assert error.value is problem
