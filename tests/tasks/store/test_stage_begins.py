"""Lines that say that a stage begins, with the time that it takes by earlier ones."""

import json
import logging
from pathlib import Path

import pytest

from tasks.store import StageStore
from tasks.store.stage_begins import QUICK_S, duration

CODE = ("tasks.store.stage_begins",)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "edgewright.stages")
    return caplog


def run(root: Path, name: str, ratio: float) -> None:
    StageStore(root).run(name, {"ratio": ratio}, CODE, lambda _: {"done": True})


def keep(root: Path, name: str, *took: float) -> None:
    """Write results of earlier stages that took so many seconds."""
    for number, seconds in enumerate(took):
        path = root / name / f"earlier-{number}" / "result.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"seconds": seconds}))


def test_the_line_comes_before_the_work(tmp_path: Path, lines: pytest.LogCaptureFixture) -> None:
    seen: list[list[str]] = []
    StageStore(tmp_path).run("prune", {}, CODE, lambda _: seen.append(list(lines.messages)))
    assert seen == [["begins: a pruning round"]]


def test_earlier_stages_tell_how_long_it_takes(tmp_path: Path, lines: pytest.LogCaptureFixture) -> None:
    keep(tmp_path, "prune", 100, 200, 130)
    run(tmp_path, "prune", 0.2)
    assert lines.messages == ["begins: a pruning round, about 2 min as before"]


def test_what_is_found_or_quick_or_unnamed_has_no_line(tmp_path: Path, lines: pytest.LogCaptureFixture) -> None:
    run(tmp_path, "prune", 0.2)
    lines.clear()
    run(tmp_path, "prune", 0.2)
    keep(tmp_path, "measure", QUICK_S / 2)
    run(tmp_path, "measure", 0.2)
    run(tmp_path, "portable", 0.2)
    assert lines.messages == []


def test_a_damaged_result_is_passed_over(tmp_path: Path, lines: pytest.LogCaptureFixture) -> None:
    keep(tmp_path, "qat", 40)
    (tmp_path / "qat" / "earlier-0" / "result.json").write_text("{")
    run(tmp_path, "qat", 0.2)
    assert lines.messages == ["begins: a file by QAT"]


@pytest.mark.parametrize(("seconds", "said"), [(0.2, "1 s"), (45, "45 s"), (600, "10 min"), (9000, "2.5 h")])
def test_a_duration_in_words(seconds: float, said: str) -> None:
    assert duration(seconds) == said
