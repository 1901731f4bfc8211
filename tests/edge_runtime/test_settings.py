import pytest

from edge_runtime.errors import SessionError
from edge_runtime.settings import SessionSettings


def test_settings_travel_as_plain_data() -> None:
    settings = SessionSettings(threads=2, optimization="basic")
    assert settings.to_plain() == {
        "threads": 2,
        "execution_provider": "CPUExecutionProvider",
        "optimization": "basic",
    }
    assert SessionSettings.from_plain(settings.to_plain()) == settings


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"threads": 0}, "threads must be"),
        ({"threads": True}, "threads must be"),
        ({"threads": 1.5}, "threads must be"),
        ({"threads": 1, "optimization": "most"}, "all, extended, basic, off"),
        ({"threads": 1, "execution_provider": ""}, "execution_provider must be"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(SessionError, match=sentence):
        SessionSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"spin": True}, {"threads": None}])
def test_from_plain_refuses_other_keys(change: dict[str, object]) -> None:
    plain = SessionSettings(threads=1).to_plain() | change
    if change.get("threads", 1) is None:
        del plain["threads"]
    with pytest.raises(SessionError, match="exactly the keys"):
        SessionSettings.from_plain(plain)
