import pytest

from edge_runtime.errors import SessionError
from edge_runtime.settings import SessionSettings, is_plain_text


def test_settings_travel_as_plain_data() -> None:
    settings = SessionSettings(threads=2, optimization="basic")
    assert settings.to_plain() == {
        "threads": 2,
        "execution_provider": "CPUExecutionProvider",
        "optimization": "basic",
    }
    assert SessionSettings.from_plain(settings.to_plain()) == settings
    unpacked = SessionSettings(threads=1, prepack=False, arena=False)
    assert {name: value for name, value in unpacked.to_plain().items() if value is False} == {
        "prepack": False,
        "arena": False,
    }
    assert SessionSettings.from_plain(unpacked.to_plain()) == unpacked


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"threads": 0}, "threads must be"),
        ({"threads": True}, "threads must be"),
        ({"threads": 1_000_000}, "threads must be a whole number from 1 to 256"),
        ({"threads": 1, "execution_provider": "\x1b[2J"}, "execution_provider must be"),
        ({"threads": 1.5}, "threads must be"),
        ({"threads": 1, "optimization": "most"}, "all, extended, basic, off"),
        ({"threads": 1, "prepack": 0}, "prepack must be true or false"),
        ({"threads": 1, "execution_provider": ""}, "execution_provider must be"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(SessionError, match=sentence):
        SessionSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"spin": True}, {"threads": None}, {"prepack": True}])
def test_from_plain_refuses_other_keys(change: dict[str, object]) -> None:
    plain = SessionSettings(threads=1).to_plain() | change
    if change.get("threads", 1) is None:
        del plain["threads"]
    with pytest.raises(SessionError, match="exactly the keys"):
        SessionSettings.from_plain(plain)


@pytest.mark.parametrize("data", [None, [], "threads", 3])
def test_from_plain_refuses_what_is_no_object(data: object) -> None:
    with pytest.raises(SessionError, match="must be an object"):
        SessionSettings.from_plain(data)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "a\nb", "\x1b[31m", "a\u202eb", "\ud800", "a\u2028b", "x" * 4097, None, 3, b"x"])
def test_what_a_terminal_would_obey_is_no_plain_text(text: object) -> None:
    assert not is_plain_text(text)
    assert is_plain_text("Zoë approved it: 3 % less")
