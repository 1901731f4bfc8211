"""Exit codes of answers and errors, and the log that a traceback goes into."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow.exceptions import MlflowException

from deployments.errors import ConfigurationError
from edge_runtime.errors import BundleError, MeasurementFailed, MeasurementInterrupted
from flows.exit_codes import KEPT_LOGS, code_of, ending_of
from tasks.errors import KeysError, PreflightError, RegistryError, RegistryUnavailable, SystemFailure
from tasks.outcomes import Outcome


def outcome(answer: Any) -> Outcome:
    return Outcome(model="m", version="1", recipe="r", recipe_digest="d", run_id="0", answer=answer)


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([], 0),
        (["published"], 0),
        (["refused"], 1),
        (["partly published"], 1),
        (["error"], 2),
        (["published", "error", "refused"], 2),
        (["undecided", "error"], 3),
    ],
)
def test_of_several_answers_the_highest_code_counts(answers: list[str], code: int) -> None:
    assert code_of([outcome(answer) for answer in answers]) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("said"), 2),
        (PreflightError("said"), 2),
        (RegistryError("said"), 2),
        (BundleError("said"), 2),
        (MeasurementFailed("said"), 2),
        (MeasurementInterrupted("said"), 3),
        (SystemFailure("said"), 3),
        (KeysError("said"), 3),
        (RegistryUnavailable("said"), 3),
    ],
)
def test_errors_of_ours_say_their_sentence_and_leave_no_log(tmp_path: Path, error: Exception, code: int) -> None:
    assert ending_of(error, tmp_path) == (code, "said")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        MemoryError("cannot allocate"),
        MlflowException("no answer"),
        httpx.ConnectError("refused"),
        KeyError("key"),
        RuntimeError("two\nlines"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_other_error_is_one_line_and_its_traceback_is_in_a_log(tmp_path: Path, error: Exception) -> None:
    try:
        raise error
    except Exception as raised:
        code, sentence = ending_of(raised, tmp_path)
    [log] = (tmp_path / "logs").iterdir()
    assert code == 3 and "\n" not in sentence
    assert f"got {type(error).__name__}: " in sentence and f"its traceback is in {log}" in sentence
    assert "Traceback" in log.read_text() and "raise error" in log.read_text()


def test_no_secret_is_in_a_sentence_or_a_log(tmp_path: Path) -> None:
    for error in (RuntimeError("http://alice:s3cr3t-x@host"), SystemFailure("http://alice:s3cr3t-x@host")):
        assert "s3cr3t-x" not in ending_of(error, tmp_path).sentence
    assert all("s3cr3t-x" not in log.read_text() for log in (tmp_path / "logs").iterdir())


def test_a_log_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    assert "its traceback could not be written to" in ending_of(RuntimeError("x"), tmp_path).sentence


def test_old_logs_are_removed(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for index in range(KEPT_LOGS + 5):
        (tmp_path / "logs" / f"20200101-0000{index:02}-1.log").touch()
    ending_of(RuntimeError("x"), tmp_path)
    names = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert len(names) == KEPT_LOGS and not names[-1].startswith("2020")
