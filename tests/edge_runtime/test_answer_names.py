"""Names of classes in place of numbers, from a bundle or from a file."""

import json
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.__main__ import main
from edge_runtime.answer_names import named_rows, read_labels
from edge_runtime.errors import SessionError
from tests.edge_runtime.bundle.linear import write
from tests.edge_runtime.models import weights

ROWS = np.random.default_rng(4).standard_normal((5, 8), dtype=np.float32)
NAMES = ("good", "scratch", "Bläschen")
RIGHT = [NAMES[number] for number in (ROWS @ weights(8, 3)).argmax(axis=1)]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    np.save(tmp_path / "rows.npy", ROWS)
    return tmp_path / "rows.npy"


def test_the_bundles_own_labels_are_spoken(
    tmp_path: Path, model: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lineage = {"verdict": "pass", "labels": ", ".join(NAMES), "task": "classification"}
    bundle = write(tmp_path / "target", model, lineage=lineage)
    assert main(["predict", str(bundle), str(rows), "--labels"]) == 0
    assert json.loads(capsys.readouterr().out) == {"y": RIGHT}


@pytest.mark.parametrize("text", ["\n".join(NAMES), "\n".join(NAMES) + "\n", json.dumps(NAMES)])
def test_a_file_of_labels_is_spoken_and_written(bundle: Path, rows: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "names.txt").write_text(text, encoding="utf-8")
    answers = tmp_path / "answers.json"
    words = ["--labels", str(tmp_path / "names.txt"), "--output", str(answers)]
    assert main(["predict", str(bundle), str(rows), *words]) == 0
    assert json.loads(answers.read_text(encoding="utf-8")) == {"y": RIGHT}


def test_a_bundle_without_labels_says_so(bundle: Path, rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(bundle), str(rows), "--labels"]) == 2
    assert "has no labels of its own; give a file" in capsys.readouterr().err


def test_labels_of_another_number_are_refused(
    bundle: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "names.txt").write_text("good\nbad\n")
    assert main(["predict", str(bundle), str(rows), "--labels", str(tmp_path / "names.txt")]) == 2
    assert "answers each row with 3 numbers, and there are 2 labels (good, bad)" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "good\ngood\n", "good\n\nbad\n", '["good", '])
def test_a_file_that_names_no_classes_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(SessionError, match=r"names\.txt"):
        read_labels(tmp_path / "names.txt")


def test_tasks_answer_in_their_own_way() -> None:
    logits = np.array([[-1.0], [2.0]], np.float32)
    assert named_rows(logits, ["off", "on"], "binary") == named_rows(logits[:, 0], ["off", "on"], "") == ["off", "on"]
    several = np.array([[1.0, -1.0, 2.0], [-1.0, -1.0, -1.0]], np.float32)
    assert named_rows(several, NAMES, "multi_label") == [["good", "Bläschen"], []]


def test_broken_numbers_are_no_class() -> None:
    with pytest.raises(SessionError, match="NaN or infinity"):
        named_rows(np.array([[np.nan, 0, 0]], np.float32), NAMES, "classification")
