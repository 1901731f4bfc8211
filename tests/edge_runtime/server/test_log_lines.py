import json
import logging
import sys
from typing import Any

import pytest

from edge_runtime.server import log_as_lines
from edge_runtime.server.log_lines import LogLines


def line_of(message: str, told: dict[str, Any] | None = None, error: BaseException | None = None) -> dict[str, Any]:
    information = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord("edgewright", logging.WARNING, "file", 1, message, (), information)
    if told is not None:
        record.told = told
    text = LogLines().format(record)
    assert "\n" not in text and text.isascii()
    made: dict[str, Any] = json.loads(text)
    return made


def test_a_record_is_one_object_on_one_line() -> None:
    made = line_of("a\nb\u202e", {"port": 8080})
    assert made.pop("time").endswith("Z")
    assert made == {"message": "a\nb\u202e", "level": "warning", "logger": "edgewright", "port": 8080}


def test_an_exception_is_in_the_line() -> None:
    try:
        raise KeyError("x")
    except KeyError as error:
        made = line_of("failed", error=error)
    assert "Traceback" in made["exception"] and "KeyError" in made["exception"]


def test_what_has_no_form_in_json_is_its_text() -> None:
    assert line_of("x", {"path": sys})["path"] == repr(sys)


def test_loggers_that_clients_can_fill_are_quiet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = logging.getLogger("edgewright")  # as in a process of its own, whatever other tests have set
    for name, value in (("propagate", True), ("level", logging.NOTSET), ("handlers", []), ("disabled", False)):
        monkeypatch.setattr(ours, name, value)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        log_as_lines(verbose=False)
        logging.getLogger("uvicorn.error").warning("invalid")
        logging.getLogger("edgewright.server").debug("hidden")
        logging.getLogger("edgewright.server").info("shown")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name in ("uvicorn", "asyncio"):
            logging.getLogger(name).setLevel(logging.NOTSET)
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "shown"
