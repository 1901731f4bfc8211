"""Silence while another library works, and none afterwards."""

import logging
import warnings

import pytest

from model_compression.quiet import quiet


def test_prints_warnings_and_log_lines_are_held_back(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings(record=True) as caught, quiet("chatty"):
        print("hello")  # noqa: T201
        warnings.warn("beware", stacklevel=1)
        logging.getLogger("chatty").warning("hm")
        logging.getLogger("chatty").error("broken")
    assert capsys.readouterr().out == ""
    assert not caught
    assert caplog.messages == ["broken"]


@pytest.mark.parametrize("name", ["", "chatty"])
def test_levels_are_restored_also_after_an_error(name: str) -> None:
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.INFO)
    with pytest.raises(ZeroDivisionError), quiet(name):
        assert logger.level == logging.ERROR
        raise ZeroDivisionError
    assert logger.level == logging.INFO
    logger.setLevel(before)
