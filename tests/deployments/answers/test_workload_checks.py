"""A workload's words about itself are checked before anything is made of it."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployments.answers import LONGEST_DESCRIPTION, check_attributes, described
from deployments.errors import ConfigurationError
from deployments.workload import Split, check_row_of_outputs, read_splits
from tests.deployments.example_rows import Rows, attributes

GOOD: dict[str, Any] = {
    "task": "classification", "labels": ("a", "b"), "preprocessing": {"divide by": 255, "order": ["red", "green"]},
    "group": "site",
}  # fmt: skip


def test_what_is_right_passes() -> None:
    check_attributes(attributes(**GOOD))
    check_attributes(attributes(task="own", written=("predictions", "score")))
    check_attributes(attributes(task="multi_label", labels=["one"], preprocessing="as it is"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"task": "ranking"},
            "regression, embedding, segmentation, detection, own, got 'ranking'",
        ),
        ({"task": None}, "got None"),
        ({"task": "own"}, "got no predictions and no score; write them"),
        ({"task": "own", "written": ("score",)}, "got no predictions; write them"),
        (
            {"labels": np.zeros(300, np.int64)},
            "got ndarray of 300; correct it, or give an attribute for something else",
        ),
        ({"labels": ("a", "a")}, "different names"),
        ({"labels": ("a",)}, "different names"),
        ({"labels": "ab"}, "got 'ab'"),
        ({"labels": (0, 1)}, "got (0, 1)"),
        ({"labels": ("a", "not a number")}, "none of them not a number"),
        ({"labels": ("a", "none"), "task": "multi_label"}, "none of them none or not a number"),
        ({"labels": ("a+b", "c"), "task": "multi_label"}, "expected `labels` without +"),
        ({"group": 3}, "the name of a slice column or None as `group`, got 3"),
        ({"group": ""}, "the name of a slice column"),
        ({"preprocessing": {"mean": np.float32(3)}}, "plain text, finite numbers"),
        ({"preprocessing": float("nan")}, "plain text, finite numbers"),
        ({"preprocessing": {1: "one"}}, "plain text, finite numbers"),
        ({"preprocessing": "x" * LONGEST_DESCRIPTION}, "at most 4,000 characters as JSON, got 4,002"),
    ],
)
def test_what_is_wrong_is_one_sentence(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_attributes(attributes(**GOOD | changes))
    assert says in str(caught.value) and "; " in str(caught.value)


class Grouped(Rows):
    """Rows of two machines."""

    group = "machine"


def test_the_column_of_a_group_is_in_every_split() -> None:
    with pytest.raises(
        ConfigurationError, match=r"Grouped`: split `train`: expected the slice column machine, .* label"
    ):
        read_splits(Grouped())


class Floats(Rows):
    """A measured value for each row."""

    def split(self, name: Any) -> Split:
        rows = super().split(name)
        return Split(rows.inputs, np.linspace(0, 1, len(rows), dtype=np.float32), rows.slices)


class Scored(Floats):
    """The same, with a score of its own."""

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return -abs(outputs[:, 0] - targets)


def test_measured_values_are_no_classes_and_the_three_usual_tasks_are_offered() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_splits(Floats())
    said = str(caught.value)
    assert 'split `train`: expected for the task "classification" class numbers' in said
    assert "got targets (rows) of float32 from 0 to 1" in said
    for offered in ('"binary"', '"multi_label"', '"regression"', "`predictions` and `score`"):
        assert offered in said


def test_a_score_of_the_workloads_own_takes_any_targets() -> None:
    splits = read_splits(Scored())
    check_row_of_outputs(Scored(), (3,), splits)
    with pytest.raises(ConfigurationError, match="two or more classes"):  # the arg-max of one column
        check_row_of_outputs(Scored(), (1,), splits)


def test_targets_beyond_the_labels() -> None:
    class Named(Rows):
        labels = ("a", "b")

        def split(self, _: Any) -> Split:
            slices = pd.DataFrame({"label": [0, 1, 2]})
            return Split((np.ones((3, 3), np.float32),), np.array([0, 1, 2]), slices)

    with pytest.raises(ConfigurationError, match="class numbers from 0 to 1, one for each of the `labels`"):
        read_splits(Named())


def test_truth_values_are_described_too() -> None:
    assert described(np.array([[True], [False]])) == "targets (rows, 1) of bool from 0 to 1"


@pytest.mark.parametrize(
    ("reason", "got"),
    [
        ("", "got ''"),
        (" ", "got ' '"),
        ("it is  ", "got 'it is  '"),
        (7, "got 7"),
        ("x y z" * 101, "got 505 characters"),
    ],
)
def test_a_reason_is_a_text_that_says_something(reason: object, got: str) -> None:
    check_attributes(attributes(shared_rows=None))
    check_attributes(attributes(shared_rows="a sensor has few values"))
    with pytest.raises(ConfigurationError) as caught:
        check_attributes(attributes(shared_rows=reason))
    expected = "expected `shared_rows` as a text of 3 words or more and at most 500 characters that says why, or None"
    assert str(caught.value).startswith(f"{expected}, {got}; ")


@pytest.mark.parametrize("output", ["", 1, ("logits",)])
def test_an_output_has_a_name(output: object) -> None:
    check_attributes(attributes(output=None))
    check_attributes(attributes(output="logits"))
    with pytest.raises(ConfigurationError, match="expected the name of one of the model's outputs or None as `output`"):
        check_attributes(attributes(output=output))
