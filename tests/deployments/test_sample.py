"""The sample from the deployment sites: whole, like the splits, and said where it is not."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from deployments.errors import ConfigurationError
from deployments.sample import DeploymentSample, check_sample
from deployments.split import SPLITS, Split
from deployments.workload import read_sample
from tests.deployments.test_split import good
from tests.deployments.test_workload import Rows

SPLIT = good()
SPLITS_OF_IT: dict[str, Split] = dict.fromkeys(SPLITS, SPLIT)


def sample(labels: bool = True) -> DeploymentSample:
    return DeploymentSample(SPLIT.inputs, SPLIT.slices, SPLIT.targets if labels else None)


def test_a_whole_sample_is_taken_with_and_without_labels_and_columns() -> None:
    fewer = replace(sample(), slices=SPLIT.slices[["site"]])
    bare = replace(sample(), slices=pd.DataFrame(index=range(len(SPLIT))))
    for given in (sample(), sample(labels=False), fewer, bare):
        assert check_sample(given, SPLITS_OF_IT) is given  # type: ignore[arg-type]


def with_nan(given: DeploymentSample) -> DeploymentSample:
    images = given.inputs[0].copy()
    images[[0, 3]] = np.nan
    return replace(given, inputs=(images, given.inputs[1]))


CASES: dict[str, tuple[Callable[[DeploymentSample], object], str]] = {
    "a split": (lambda given: SPLIT, "targets or None, got Split; correct Workload.deployment_sample"),
    "an array for the inputs": (
        lambda given: replace(given, inputs=given.inputs[0]),
        "expected a DeploymentSample of a tuple of numpy arrays (one per model input)",
    ),
    "no input": (lambda given: replace(given, inputs=()), "got inputs [], slices DataFrame, targets ndarray"),
    "no slices": (lambda given: replace(given, slices=None), "slices NoneType"),
    "no row": (
        lambda given: DeploymentSample(tuple(array[:0] for array in given.inputs), given.slices[:0]),
        "expected at least one row and the same number of rows everywhere, got 0 input 0, 0 input 1, 0 slices;",
    ),
    "a label too few": (lambda given: replace(given, targets=given.targets[:-1]), "6 slices, 5 targets"),
    "another dtype": (
        lambda given: replace(given, inputs=(given.inputs[0].astype(np.float64), given.inputs[1])),
        "as in the train split, got inputs (float64 with 2 axes, int64 with 1 axes)",
    ),
    "other labels": (
        lambda given: replace(given, targets=given.targets.astype(float)),
        "and int64 targets as in the train split, got",
    ),
    "an input too many": (lambda given: replace(given, inputs=given.inputs * 2), "as in the train split, got inputs"),
    "NaN rows": (with_nan, "got NaN or infinity in 2 of 6 rows; clean them as the device does"),
    "another column": (
        lambda given: replace(given, slices=given.slices.rename(columns={"site": "plant"})),
        "expected slice columns that the splits have, each once (label, site), got label, plant;",
    ),
    "a column twice": (
        lambda given: replace(given, slices=given.slices.set_axis(["site", "site"], axis=1)),
        "got site, site;",
    ),
}


@pytest.mark.parametrize(("damage", "says"), CASES.values(), ids=CASES.keys())
def test_a_damaged_sample_is_said(damage: Callable[[DeploymentSample], object], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_sample(damage(sample()), SPLITS_OF_IT)  # type: ignore[arg-type]
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
    assert str(caught.value).startswith("workload `tests.deployments.test_sample:Sampled`: deployment sample: ")
    assert says in str(caught.value)


def test_a_workload_has_no_sample_unless_it_says_so() -> None:
    assert Rows().deployment_sample() is None


def test_the_digest_follows_every_part() -> None:
    given = sample()
    changed = [
        replace(given, inputs=given.inputs[::-1]),
        replace(given, targets=None),
        replace(given, targets=1 - SPLIT.targets),
        replace(given, slices=given.slices.assign(site="n")),
    ]
    assert sample().digest == given.digest
    assert len({given.digest, *(other.digest for other in changed)}) == 1 + len(changed)
