"""Slices that nobody named: planted ones are found and refused, and nothing is where nothing was planted."""

import dataclasses
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quality_gates.evidence import Evidence
from quality_gates.gates import FoundSlices
from tests.quality_gates.classed import seen

GATE = FoundSlices(name="found", against="parent", min_rows=110, carried=5, margin=0.15, confidence=0.95)


def models(seed: int, lost: float, n: int = 4000) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Candidate and parent; the candidate loses a share of the rows that are hot at line 3."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"row_id": np.arange(n), "line": random.integers(0, 8, n), "heat": random.normal(size=n)})
    right = random.random(n) < 0.95
    flipped = (random.random(n) < lost) & (frame["line"] == 3) & (frame["heat"] > 0.7)
    parent, candidate = (
        frame.assign(prediction=r, score=r.astype(float)) for r in (right, right & ~np.asarray(flipped))
    )
    return candidate, parent


def evidence(lost: float) -> Evidence:
    return dataclasses.replace(seen(*models(0, lost)), validation=seen(*models(1, lost)))


def test_a_planted_slice_is_found_and_refused_with_its_name() -> None:
    result = GATE.evaluate(evidence(0.5))
    assert result.outcome == "fail" and result.slice is not None
    assert "line = 3" in result.slice and "heat" in result.slice
    assert result.findings and result.remedy and result.estimate is not None and result.estimate < -0.3


def test_where_nothing_was_lost_nothing_is_found() -> None:
    assert GATE.evaluate(evidence(0.0)).outcome == "pass"


def test_a_pass_says_the_smallest_loss_that_it_could_have_found() -> None:
    sentence = GATE.evaluate(evidence(0.0)).sentence
    found = re.search(r"In a region of 110 rows, the smallest loss .* in 4 of 5 cases is ([\d.]+) points", sentence)
    assert found is not None and 15 < float(found[1]) <= 30


def test_rows_that_find_only_a_loss_far_beyond_the_margin_are_inconclusive() -> None:
    few = {"min_rows": 25, "margin": 0.05}
    seen_few = dataclasses.replace(seen(*models(0, 0.0, n=500)), validation=seen(*models(1, 0.0, n=500)))
    result = GATE.model_copy(update=few).evaluate(seen_few)
    assert result.outcome == "inconclusive" and result.blocking
    assert "In a region of 25 rows, the smallest loss that it could have found" in result.sentence
    assert result.remedy is not None and re.match(r"Set `min_rows` to about \d+", result.remedy)
    warned = GATE.model_copy(update=few | {"on_inconclusive": "warn"}).evaluate(seen_few)
    assert warned.outcome == "inconclusive" and not warned.blocking


def test_the_min_rows_that_the_remedy_names_suffice() -> None:
    narrow = GATE.model_copy(update={"min_rows": 25, "margin": 0.1})
    remedy = narrow.evaluate(evidence(0.0)).remedy or ""
    needed = int("".join(re.findall(r"about ([\d,]+)", remedy)).replace(",", ""))
    assert narrow.model_copy(update={"min_rows": needed}).evaluate(evidence(0.0)).outcome == "pass"
    assert narrow.model_copy(update={"min_rows": needed // 2}).evaluate(evidence(0.0)).outcome == "inconclusive"


def test_a_shown_loss_fails_however_few_the_rows() -> None:
    assert GATE.model_copy(update={"min_rows": 40}).evaluate(evidence(0.9)).outcome == "fail"


def test_rows_without_a_region_that_is_large_enough_are_inconclusive() -> None:
    result = GATE.model_copy(update={"min_rows": 3000}).evaluate(evidence(0.0))
    assert result.outcome == "inconclusive" and "nothing could have been found" in result.sentence


def test_regions_that_lost_but_have_too_few_test_rows_leave_it_open() -> None:
    candidate, parent = models(0, 0.0)
    elsewhere = [frame.assign(line=frame["line"] + 100, heat=frame["heat"] + 100) for frame in (candidate, parent)]
    result = GATE.evaluate(dataclasses.replace(seen(*elsewhere), validation=seen(*models(1, 0.5))))
    assert result.outcome == "inconclusive" and "none has 110 test rows" in result.sentence


def test_a_loss_on_the_searched_rows_alone_is_no_finding() -> None:
    only_there = dataclasses.replace(seen(*models(0, 0.0)), validation=seen(*models(1, 0.5)))
    result = GATE.evaluate(only_there)
    assert result.outcome == "pass" and result.findings


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"validation": None}, "validation rows of both models are missing"),
        ({"parent": None}, "parent model was not measured"),
    ],
)
def test_missing_rows_fail(change: dict[str, Any], says: str) -> None:
    result = GATE.evaluate(dataclasses.replace(evidence(0.0), **change))
    assert result.outcome == "fail" and says in result.sentence


def test_the_same_rows_on_both_sides_fail() -> None:
    both = seen(*models(0, 0.0))
    result = GATE.evaluate(dataclasses.replace(both, validation=seen(*models(0, 0.0))))
    assert result.outcome == "fail" and "same rows" in result.sentence


def test_a_column_that_is_not_there_or_has_gaps_fails() -> None:
    assert GATE.model_copy(update={"columns": ("sensor",)}).evaluate(evidence(0.0)).outcome == "fail"
    gaps = tuple(frame.assign(heat=frame["heat"].where(frame["row_id"] != 3)) for frame in models(1, 0.0))
    assert GATE.evaluate(dataclasses.replace(evidence(0.0), validation=seen(*gaps))).outcome == "fail"


def test_the_order_of_rows_changes_nothing() -> None:
    shuffled = [seen(*(frame.sample(frac=1, random_state=seed) for frame in models(seed, 0.5))) for seed in (0, 1)]
    assert GATE.evaluate(dataclasses.replace(shuffled[0], validation=shuffled[1])) == GATE.evaluate(evidence(0.5))
