"""kill -9 before every step of a rollback, then say it again: one release, one hold, nothing left over."""

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow, pytest.mark.timeout(3600)]

AS_EXPECTED = {
    "again": 0, "deployed": "1", "holds": [["2", True]], "registered": ["1", "1", "2"], "bundles": ["1", "1", "2"],
    "file": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], str]:
    """Outcome of each kill, the last of which comes after the last step, and what the processes said."""
    root = tmp_path_factory.mktemp("rollback")
    command = [sys.executable, "-m", "tests.end_to_end.rollback_kills", str(root)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=3500, check=False)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")], run.stderr


def test_every_step_was_killed_once(ended: tuple[list[dict[str, Any]], str]) -> None:
    *killed, last = (line["killed"] for line in ended[0])
    assert len(killed) > 15 and set(killed) == {-signal.SIGKILL} and last == 0


def test_the_same_rollback_said_again_ends_as_one_that_nobody_killed(ended: tuple[list[dict[str, Any]], str]) -> None:
    """One that was killed after its last record had ended, so that said again it asks for more, which nothing is."""
    lines, said = ended
    own = [{**AS_EXPECTED, "killed": line["killed"], "again": line["again"]} for line in lines[:-1]]
    wrong = [(step, line) for step, (line, right) in enumerate(zip(lines, own, strict=False)) if line != right]
    assert wrong == [], said[-3000:]
    again = [line["again"] for line in lines[:-1]]
    assert again == sorted(again) and again.count(0) > 15


def test_said_again_after_its_end_it_goes_no_further_than_there_is(ended: tuple[list[dict[str, Any]], str]) -> None:
    """The last line is of a rollback that ended, said once more: nothing is before version 1."""
    assert ended[0][-1] == {**AS_EXPECTED, "killed": 0, "again": 1}
    assert "expected a release before release 3 that nobody has left or holds, got none" in ended[1]
