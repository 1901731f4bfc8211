"""What makes the rows of a split unfit, and what is said about it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from deployments.errors import ConfigurationError
from deployments.split import SPLITS, Split, check_splits


def good(rows: int = 6) -> Split:
    images = np.linspace(0, 1, rows * 4, dtype=np.float32).reshape(rows, 4)
    labels = np.arange(rows, dtype=np.int64) % 2
    return Split((images, labels.copy()), labels, pd.DataFrame({"label": labels, "site": ["n", "s"] * (rows // 2)}))


def test_good_splits_are_taken_with_different_numbers_of_rows() -> None:
    check_splits({name: good(rows) for name, rows in zip(SPLITS, (8, 2, 4, 6), strict=True)})


def test_a_split_without_slice_columns_is_good() -> None:
    bare = replace(good(), slices=pd.DataFrame(index=range(6)))
    check_splits(dict.fromkeys(SPLITS, bare))


def with_nan(split: Split) -> Split:
    images = split.inputs[0].copy()
    images[[1, 4], 2] = np.nan
    images[4, 3] = np.inf
    return replace(split, inputs=(images, split.inputs[1]))


CASES: dict[str, tuple[Callable[[Split], object], str]] = {
    "nothing": (lambda split: None, "got NoneType; correct Workload.split"),
    "a bare tuple": (lambda split: (split.inputs, split.targets), "got tuple; correct"),
    "an array for the inputs": (
        lambda split: replace(split, inputs=split.inputs[0]),
        "expected a Split of a tuple of numpy arrays (one per model input)",
    ),
    "no input": (lambda split: replace(split, inputs=()), "got inputs [], targets ndarray"),
    "lists": (lambda split: replace(split, targets=[0] * 6), "targets list, slices DataFrame; correct"),
    "slices of a dict": (lambda split: replace(split, slices={"label": split.targets}), "slices dict; correct"),
    "a single number": (lambda split: replace(split, targets=np.array(3)), "a numpy array of targets"),
    "no row": (
        lambda split: Split(tuple(array[:0] for array in split.inputs), split.targets[:0], split.slices[:0]),
        "expected at least one row and the same number of rows everywhere, got 0 input 0, 0 input 1, 0 targets, 0",
    ),
    "a target too few": (
        lambda split: replace(split, targets=split.targets[:-1]),
        "got 6 input 0, 6 input 1, 5 targets, 6 slices",
    ),
    "a slice row too many": (
        lambda split: replace(split, slices=good(8).slices),
        "got 6 input 0, 6 input 1, 6 targets, 8 slices",
    ),
    "an input too short": (
        lambda split: replace(split, inputs=(split.inputs[0], split.inputs[1][:2])),
        "got 6 input 0, 2 input 1, 6 targets, 6 slices",
    ),
    "NaN rows": (with_nan, "got NaN or infinity in 2 of 6 rows; clean or drop them in Workload.split"),
    "NaN targets": (
        lambda split: replace(split, targets=np.array([0, 1, np.nan, 0, 1, 0])),
        "got NaN or infinity in 1 of 6 rows",
    ),
    "text targets": (
        lambda split: replace(split, targets=np.array(["a", "b"] * 3)),
        "expected arrays of numbers, got dtype <U1; encode them",
    ),
    "a reserved column": (
        lambda split: replace(split, slices=split.slices.rename(columns={"site": "score"})),
        "got ['label', 'score']; rename them in Workload.split",
    ),
    "a column name that is no text": (
        lambda split: replace(split, slices=pd.DataFrame({0: split.targets})),
        "expected slice columns with names of their own, as text",
    ),
    "a column twice": (
        lambda split: replace(split, slices=split.slices.set_axis(["label", "label"], axis=1)),
        "got ['label', 'label']; rename them",
    ),
}


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize(("damage", "says"), CASES.values(), ids=CASES.keys())
def test_an_unfit_split_is_named(name: str, damage: Callable[[Split], object], says: str) -> None:
    splits = dict.fromkeys(SPLITS, good()) | {name: damage(good())}
    with pytest.raises(ConfigurationError) as caught:
        check_splits(splits)
    assert str(caught.value).startswith(f"split `{name}`: ")
    assert says in str(caught.value)


def test_slice_columns_must_be_the_same_in_validation_and_test() -> None:
    other = replace(good(), slices=good().slices.rename(columns={"site": "sensor"}))
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
def test_types_must_be_the_same_in_every_split(name: str, says: str) -> None:
    other = replace(good(), inputs=(good().inputs[0].astype(np.float64), good().inputs[1]))
    with pytest.raises(ConfigurationError, match=says):
        check_splits(dict.fromkeys(SPLITS, good()) | {name: other})


def test_the_digest_follows_every_part() -> None:
    split = good()
    changed = [
        replace(split, inputs=(split.inputs[0] * 2, split.inputs[1])),
        replace(split, inputs=split.inputs[::-1]),
        replace(split, targets=1 - split.targets),
        replace(split, targets=split.targets.astype(np.int32)),
        replace(split, slices=split.slices.assign(site="n")),
        replace(split, slices=split.slices.rename(columns={"site": "place"})),
    ]
    assert good().digest == split.digest
    assert len({split.digest, *(other.digest for other in changed)}) == 1 + len(changed)


def test_the_digest_does_not_follow_the_layout_in_memory() -> None:
    split = good()
    strided = replace(split, inputs=(np.asfortranarray(split.inputs[0]), split.inputs[1]))
    assert strided.digest == split.digest
