"""Rows that a workload returns: what makes splits and the deployment sample unfit, and the sentence about it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployments.errors import ConfigurationError
from deployments.rows import SPLITS, DeploymentSample, Split, SplitName, check_sample, check_splits
from deployments.workload import read_sample
from tests.deployments.example_rows import Rows, good


def altered(rows: Any, **parts: Any) -> Any:
    """Return rows of which some parts are others, of any type."""
    return replace(rows, **parts)


def test_good_splits_are_taken_with_different_numbers_of_rows() -> None:
    check_splits({name: good(rows) for name, rows in zip(SPLITS, (8, 2, 4, 6), strict=True)})


def test_a_split_without_slice_columns_is_good() -> None:
    bare = altered(good(), slices=pd.DataFrame(index=range(6)))
    check_splits(dict.fromkeys(SPLITS, bare))


def with_nan(split: Split) -> Split:
    images = split.inputs[0].copy()
    images[[1, 4], 2] = np.nan
    images[4, 3] = np.inf
    return replace(split, inputs=(images, split.inputs[1]))


CASES: dict[str, tuple[Callable[[Split], Any], str]] = {
    "nothing": (lambda _: None, "got NoneType; correct Workload.split"),
    "a bare tuple": (lambda split: (split.inputs, split.targets), "got tuple; correct"),
    "an array for the inputs": (
        lambda split: altered(split, inputs=split.inputs[0]),
        "expected a Split of a tuple of numpy arrays (one per model input)",
    ),
    "no input": (lambda split: altered(split, inputs=()), "got inputs [], targets ndarray"),
    "lists": (lambda split: altered(split, targets=[0] * 6), "targets list, slices DataFrame; correct"),
    "slices of a dict": (lambda split: altered(split, slices={"label": split.targets}), "slices dict; correct"),
    "a single number": (lambda split: altered(split, targets=np.array(3)), "a numpy array of targets"),
    "no row": (
        lambda split: Split(tuple(array[:0] for array in split.inputs), split.targets[:0], split.slices[:0]),
        "expected at least one row and the same number of rows everywhere, got 0 input 0, 0 input 1, 0 targets, 0",
    ),
    "a target too few": (
        lambda split: altered(split, targets=split.targets[:-1]),
        "got 6 input 0, 6 input 1, 5 targets, 6 slices",
    ),
    "a slice row too many": (
        lambda split: altered(split, slices=good(8).slices),
        "got 6 input 0, 6 input 1, 6 targets, 8 slices",
    ),
    "an input too short": (
        lambda split: altered(split, inputs=(split.inputs[0], split.inputs[1][:2])),
        "got 6 input 0, 2 input 1, 6 targets, 6 slices",
    ),
    "NaN rows": (with_nan, "got NaN or infinity in 2 of 6 rows; clean or drop them in Workload.split"),
    "NaN targets": (
        lambda split: altered(split, targets=np.array([0, 1, np.nan, 0, 1, 0])),
        "got NaN or infinity in 1 of 6 rows",
    ),
    "text targets": (
        lambda split: altered(split, targets=np.array(["a", "b"] * 3)),
        "expected arrays of numbers, got dtype <U1; encode them",
    ),
    "targets of the other byte order": (
        lambda split: altered(split, targets=split.targets.astype(">i8")),
        "got dtype >i8; convert them in Workload.split, such as by array.astype(np.float32)",
    ),
    "targets of more bits than torch has": (
        lambda split: altered(split, targets=split.targets.astype(np.longdouble)),
        "expected numbers as this machine computes with them",
    ),
    "a reserved column": (
        lambda split: altered(split, slices=split.slices.rename(columns={"site": "score"})),
        "got ['label', 'score']; rename them in Workload.split",
    ),
    "a column name that is no text": (
        lambda split: altered(split, slices=pd.DataFrame({0: split.targets})),
        "expected slice columns with names of their own, as text",
    ),
    "a column twice": (
        lambda split: altered(split, slices=split.slices.set_axis(["label", "label"], axis=1)),
        "got ['label', 'label']; rename them",
    ),
}


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize(("damage", "says"), CASES.values(), ids=CASES.keys())
def test_an_unfit_split_is_named(name: SplitName, damage: Callable[[Split], Any], says: str) -> None:
    splits = dict.fromkeys(SPLITS, good()) | {name: damage(good())}
    with pytest.raises(ConfigurationError) as caught:
        check_splits(splits)
    assert str(caught.value).startswith(f"split `{name}`: ")
    assert says in str(caught.value)


def test_slice_columns_must_be_the_same_in_validation_and_test() -> None:
    other = altered(good(), slices=good().slices.rename(columns={"site": "sensor"}))
    with pytest.raises(ConfigurationError, match=r"got \['label', 'site'\] and \['label', 'sensor'\]; gates search"):
        check_splits(dict.fromkeys(SPLITS, good()) | {"test": other})
    check_splits(dict.fromkeys(SPLITS, good()) | {"train": other})


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("test", r"float32 with 2 .* in validation .*float64 with 2 .* in test; convert"),
        ("calibration", r"float32 with 2 .* in train .*float64 with 2 .* in calibration; convert"),
    ],
)
def test_types_must_be_the_same_in_every_split(name: SplitName, says: str) -> None:
    other = altered(good(), inputs=(good().inputs[0].astype(np.float64), good().inputs[1]))
    with pytest.raises(ConfigurationError, match=says):
        check_splits(dict.fromkeys(SPLITS, good()) | {name: other})


def test_the_digest_follows_every_part() -> None:
    split = good()
    changed = [
        altered(split, inputs=(split.inputs[0] * 2, split.inputs[1])),
        altered(split, inputs=split.inputs[::-1]),
        altered(split, targets=1 - split.targets),
        altered(split, targets=split.targets.astype(np.int32)),
        altered(split, slices=split.slices.assign(site="n")),
        altered(split, slices=split.slices.rename(columns={"site": "place"})),
    ]
    assert good().digest == split.digest
    assert len({split.digest, *(other.digest for other in changed)}) == 1 + len(changed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, 2], ["1", "2"]),
        ([1, "x"], ["1", "x"]),
        ([None, "x"], ["", "x"]),
        ([True, False], ["True", "False"]),
        ([True, "x"], [1, "x"]),
        ([True, False], [1, 0]),
        (["a", "b"], ["b", "a"]),
    ],
)
def test_the_digest_tells_apart_what_slice_conditions_do(one: list[object], other: list[object]) -> None:
    both = [altered(good(2), slices=pd.DataFrame({"site": values})).digest for values in (one, other)]
    assert both[0] != both[1]


def test_the_digest_is_the_same_where_the_values_are() -> None:
    values = [None, "x", 1, True, 0.5, pd.Timestamp("2026-01-01")]
    frames = [pd.DataFrame({"site": values, "kind": pd.Categorical(["a", "b"] * 3)}) for _ in range(2)]
    assert len({altered(good(), slices=frame).digest for frame in frames}) == 1


def test_the_digest_does_not_follow_the_layout_in_memory() -> None:
    split = good()
    strided = altered(split, inputs=(np.asfortranarray(split.inputs[0]), split.inputs[1]))
    assert strided.digest == split.digest


SPLIT = good()
SPLITS_OF_IT: dict[SplitName, Split] = dict.fromkeys(SPLITS, SPLIT)


def sample(labels: bool = True) -> DeploymentSample:
    return DeploymentSample(SPLIT.inputs, SPLIT.slices, SPLIT.targets if labels else None)


def test_a_whole_sample_is_taken_with_and_without_labels_and_columns() -> None:
    fewer = altered(sample(), slices=SPLIT.slices[["site"]])
    bare = altered(sample(), slices=pd.DataFrame(index=range(len(SPLIT))))
    for given in (sample(), sample(labels=False), fewer, bare):
        assert check_sample(given, SPLITS_OF_IT) is given


def sample_with_nan(given: DeploymentSample) -> DeploymentSample:
    images = given.inputs[0].copy()
    images[[0, 3]] = np.nan
    return replace(given, inputs=(images, given.inputs[1]))


SAMPLE_CASES: dict[str, tuple[Callable[[DeploymentSample], Any], str]] = {
    "a split": (lambda _: SPLIT, "targets or None, got Split; correct Workload.deployment_sample"),
    "an array for the inputs": (
        lambda given: altered(given, inputs=given.inputs[0]),
        "expected a DeploymentSample of a tuple of numpy arrays (one per model input)",
    ),
    "no input": (lambda given: altered(given, inputs=()), "got inputs [], slices DataFrame, targets ndarray"),
    "no slices": (lambda given: altered(given, slices=None), "slices NoneType"),
    "no row": (
        lambda given: DeploymentSample(tuple(array[:0] for array in given.inputs), given.slices[:0]),
        "expected at least one row and the same number of rows everywhere, got 0 input 0, 0 input 1, 0 slices;",
    ),
    "a label too few": (lambda given: altered(given, targets=SPLIT.targets[:-1]), "6 slices, 5 targets"),
    "another dtype": (
        lambda given: altered(given, inputs=(given.inputs[0].astype(np.float64), given.inputs[1])),
        "as in the train split, got inputs (float64 with 2 axes, int64 with 1 axes)",
    ),
    "other labels": (
        lambda given: altered(given, targets=SPLIT.targets.astype(float)),
        "and int64 targets as in the train split, got",
    ),
    "an input too many": (lambda given: altered(given, inputs=given.inputs * 2), "as in the train split, got inputs"),
    "NaN rows": (sample_with_nan, "got NaN or infinity in 2 of 6 rows; clean them as the device does"),
    "another column": (
        lambda given: altered(given, slices=given.slices.rename(columns={"site": "plant"})),
        "expected slice columns that the splits have, each once (label, site), got label, plant;",
    ),
    "a column twice": (
        lambda given: altered(given, slices=given.slices.set_axis(["site", "site"], axis=1)),
        "got site, site;",
    ),
}


@pytest.mark.parametrize(("damage", "says"), SAMPLE_CASES.values(), ids=SAMPLE_CASES.keys())
def test_a_damaged_sample_is_said(damage: Callable[[DeploymentSample], Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_sample(damage(sample()), SPLITS_OF_IT)
    assert says in str(caught.value)
    assert "Workload.deployment_sample" in str(caught.value)


class Sampled(Rows):
    """Returns a sample, or raises what it is given."""

    def __init__(self, given: object) -> None:
        super().__init__()
        self.given = given

    def deployment_sample(self) -> DeploymentSample | None:
        if isinstance(self.given, Exception):
            raise self.given
        return self.given  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, "expected rows for the recipe's `representativeness`, got None; return some from"),
        (KeyError("site"), "expected its rows, got KeyError: 'site'; correct Workload.deployment_sample"),
        (ConfigurationError("expected a disk, got none"), "sample: expected a disk, got none"),
        (3, "got int; correct"),
    ],
)
def test_what_is_no_sample_is_named_with_its_workload(given: object, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_sample(Sampled(given), {name: Rows().split(name) for name in SPLITS})
    assert str(caught.value).startswith("workload `tests.deployments.test_rows:Sampled`: deployment sample: ")
    assert says in str(caught.value)


def test_a_workload_has_no_sample_unless_it_says_so() -> None:
    assert Rows().deployment_sample() is None


def test_the_digest_of_a_sample_follows_every_part() -> None:
    given = sample()
    changed = [
        altered(given, inputs=given.inputs[::-1]),
        altered(given, targets=None),
        altered(given, targets=1 - SPLIT.targets),
        altered(given, slices=given.slices.assign(site="n")),
    ]
    assert sample().digest == given.digest
    assert len({given.digest, *(other.digest for other in changed)}) == 1 + len(changed)
