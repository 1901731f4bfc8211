"""The facts of the report: what happened in words, which rows are shown, and that damage does not break the page."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quality_gates.evidence import Evidence, ModelEvidence
from quality_gates.policy import SliceCondition
from quality_gates.verdict import GateResult, Verdict
from tasks.outcomes import DeviceOutcome
from tasks.reporting import gate_report as report
from tasks.reporting import row_findings as findings
from tests.edge_runtime.models import linear_model
from tests.end_to_end.tiny.workload import Tiny
from tests.tasks.outcomes.recorded import NEW


def verdict(outcome: str) -> Verdict:
    gate = {"name": "a", "kind": "limit", "outcome": outcome, "blocking": True, "metric": "load_ms", "sentence": "so."}
    return Verdict.of((GateResult.model_validate(gate),))


@pytest.mark.parametrize(
    ("outcome", "deployed", "words"),
    [
        ("pass", None, "Published; the first model on this device."),
        ("pass", "1", "Published; replaces version 1."),
        ("fail", "2", "Refused; version 2 stays deployed."),
        ("inconclusive", None, "Refused; nothing is deployed on this device yet."),
    ],
)
def test_the_decision_in_words(outcome: str, deployed: str | None, words: str) -> None:
    line = {"verdict": outcome, "published": outcome == "pass", "deployed_version": deployed}
    assert report.decision(DeviceOutcome.model_validate(NEW | line)) == words


@pytest.fixture
def job() -> Any:
    workload = Tiny()
    critical = [SliceCondition(column="label", equals=8)]
    recipe = SimpleNamespace(critical_slices=critical, workload="tiny:Tiny", show_test_rows=False, members=())
    splits = {name: workload.split(name) for name in ("validation", "test")}
    return SimpleNamespace(workload=workload, splits=splits, recipe=recipe)


def rows(job: Any, wrong: np.ndarray, split: str = "test") -> pd.DataFrame:
    labels = job.splits[split].targets
    score = (~wrong).astype(float)
    predictions = np.where(wrong, -1, labels)
    return pd.DataFrame({"row_id": np.arange(len(labels)), "prediction": predictions, "score": score, "label": labels})


def test_flipped_rows_of_the_critical_slice_come_first_with_their_pictures(job: Any) -> None:
    labels = job.splits["test"].targets
    reference = ModelEvidence(rows(job, np.zeros(len(labels), dtype=bool)), None)
    candidate = ModelEvidence(rows(job, np.isin(labels, (1, 8))), None)
    flips = findings.negative_flips(candidate, reference)
    assert flips is not None and len(flips) == np.isin(labels, (1, 8)).sum()
    shown = list(findings.shown_flips(job, flips, "test"))
    assert len(shown) == findings.SHOWN_FLIPS
    eights = int((labels == 8).sum())
    assert [row.label for row in shown[:eights]] == ["8"] * min(eights, findings.SHOWN_FLIPS)
    assert all(row.image_png_base64 for row in shown)


def test_numbers_of_flipped_rows_have_three_digits(job: Any) -> None:
    test = job.splits["test"]
    job.splits["test"] = replace(test, slices=test.slices.assign(weight=1 / 3))
    wrong = rows(job, np.ones(len(test), dtype=bool)).assign(weight=1 / 3, prediction=0.123456)
    flips = findings.negative_flips(ModelEvidence(wrong, None), ModelEvidence(wrong.assign(score=1.0), None))
    assert flips is not None
    shown = next(findings.shown_flips(job, flips, "test"))
    assert (shown.label, shown.candidate_prediction) == ("8", "0.123")
    assert shown.slice == "label = 8, weight = 0.333"


def test_a_column_of_many_values_is_one_line_that_is_no_slice(job: Any) -> None:
    test = job.splits["test"]
    job.splits["test"] = replace(test, slices=test.slices.assign(sensor=range(len(test))))
    measured = ModelEvidence(rows(job, np.zeros(len(test), dtype=bool)).assign(sensor=range(len(test))), None)
    names = [line.slice for line in findings.slice_rows(job, Evidence(measured, measured, None))]
    assert f"sensor: {len(test)} values, too many to list" in names and "label = 8" in names


def test_operators_are_counted_of_files_that_could_be_measured_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = SimpleNamespace(path=linear_model(tmp_path / "model.onnx"))
    measured = SimpleNamespace(file=file, measured=ModelEvidence(None, None))
    assert report._operators(measured) == "1 MatMul"  # type: ignore[arg-type]
    monkeypatch.setattr(report, "optimized_operators", lambda _: pytest.fail("a file that crashes was loaded here"))
    crashed = SimpleNamespace(file=file, measured=ModelEvidence(None, None, "it crashed"))
    assert report._operators(crashed) == ""  # type: ignore[arg-type]


def both_splits(job: Any) -> Evidence:
    """The candidate is wrong on eights of both splits, and the parent nowhere; another release is wrong everywhere."""

    def models(split: str) -> Evidence:
        labels = job.splits[split].targets
        wrong = (labels == 8, np.zeros(len(labels), dtype=bool), np.ones(len(labels), dtype=bool))
        candidate, parent, deployed = (ModelEvidence(rows(job, each, split), None) for each in wrong)
        return Evidence(candidate, parent, deployed, split=split)

    return replace(models("test"), validation=models("validation"))


def test_flipped_rows_of_validation_are_shown_and_those_of_test_counted(job: Any) -> None:
    eights = {split: int((job.splits[split].targets == 8).sum()) for split in ("validation", "test")}
    found = findings.flips(job, both_splits(job), compared=False)
    assert (found["flips_from"], found["flips_validation"]) == ("validation", eights["validation"])
    assert found["flips_total"] == eights["test"] != eights["validation"]
    of_validation = set(np.flatnonzero(job.splits["validation"].targets == 8).astype(str))
    assert {row.row_id for row in found["flips"]} == of_validation
    assert findings.flips(job, both_splits(job), compared=True)["flips"] == ()


def test_test_rows_are_shown_only_where_the_recipe_allows_it(job: Any) -> None:
    job.recipe.show_test_rows = True
    found = findings.flips(job, both_splits(job), compared=False)
    assert found["flips_from"] == "test"
    of_test = set(np.flatnonzero(job.splits["test"].targets == 8).astype(str))
    assert {row.row_id for row in found["flips"]} <= of_test and len(found["flips"]) == findings.SHOWN_FLIPS


def test_without_a_measurement_on_validation_nothing_is_shown(job: Any) -> None:
    found = findings.flips(job, replace(both_splits(job), validation=None), compared=False)
    assert found["flips"] == () and found["flips_validation"] is None and found["flips_total"] > 0


def test_no_flip_shows_no_row(job: Any) -> None:
    same = ModelEvidence(rows(job, np.zeros(len(job.splits["test"]), dtype=bool)), None)
    flips = findings.negative_flips(same, same)
    assert flips is not None and list(findings.shown_flips(job, flips, "test")) == []


def test_a_failed_measurement_leaves_the_comparison_open(job: Any) -> None:
    good = ModelEvidence(rows(job, np.zeros(len(job.splits["test"]), dtype=bool)), None)
    failed = ModelEvidence(None, None, "it crashed")
    assert findings.negative_flips(failed, good) is None
    assert findings.negative_flips(good, failed) is None
    lines = list(findings.slice_rows(job, Evidence(failed, good, None)))
    assert len(lines) == 10 and all(line.candidate is None and line.parent is not None for line in lines)
    assert [line.critical for line in lines] == [line.slice == "label = 8" for line in lines]
