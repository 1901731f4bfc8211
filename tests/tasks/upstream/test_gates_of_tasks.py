"""Gates that mean nothing for what a workload answers are refused in preflight."""

from typing import Any

import numpy as np
import pytest

from deployments.answers import TaskName
from deployments.errors import ConfigurationError
from quality_gates.gates import Calibration, Flips, Gate, NonInferiority
from tasks.upstream.job_checks import check_gates_fit
from tests.tasks.tiny import Blobs

CUSTOM = {"metric": "package.module:function", "better": "higher"}
FLIPS = Flips.model_construct(kind="flips", name="flips")
CALIBRATION = Calibration.model_construct(kind="calibration", name="calibration")


def gate(**changes: Any) -> NonInferiority:
    keys = {"name": "g", "against": "parent", "margin": 0.1, "confidence": 0.95}
    return NonInferiority.model_validate({**keys, **changes})


def of(task: TaskName) -> Blobs:
    workload = Blobs()
    workload.task = task
    return workload


class Scored(Blobs):
    """A score of its own, of which nothing is known."""

    def score(self, outputs: np.ndarray, _: np.ndarray) -> np.ndarray:
        return np.zeros(len(outputs))


@pytest.mark.parametrize(
    ("task", "asked", "says"),
    [
        ("classification", gate(metric="mae"), r"key `gates`: g: .* \"classification\" \(accuracy, auroc, .* got mae;"),
        ("binary", gate(metric="rmse"), "got rmse"),
        ("multi_label", gate(metric="auroc", of="a"), "got auroc"),
        ("multi_label", CALIBRATION, "expected probabilities of classes for the kind calibration"),
        ("regression", gate(metric="accuracy"), r"\(mae, rmse, or a custom metric as package\.module:function\)"),
        ("regression", FLIPS, "expected scores of 0 and 1 for the kind flips"),
        ("regression", CALIBRATION, "expected probabilities of classes"),
        ("embedding", gate(metric="mae"), r"\(none of the named ones, or a custom metric"),
        ("embedding", FLIPS, "expected scores of 0 and 1"),
    ],
)
def test_a_gate_that_would_hold_whatever_is_answered(task: TaskName, asked: Gate, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        check_gates_fit(of(task), [asked])


@pytest.mark.parametrize(
    ("task", "asked"),
    [
        ("classification", (gate(metric="accuracy"), gate(metric="auroc", of=1), FLIPS, CALIBRATION, gate(**CUSTOM))),
        ("binary", (gate(metric="f1", of=1), FLIPS, CALIBRATION)),
        ("multi_label", (gate(metric="accuracy"), FLIPS)),
        ("regression", (gate(metric="mae"), gate(metric="rmse"), gate(**CUSTOM))),
        ("embedding", (gate(**CUSTOM),)),
        ("own", (gate(metric="mae"), gate(metric="accuracy"), FLIPS, CALIBRATION)),
    ],
)
def test_gates_that_fit(task: TaskName, asked: tuple[Gate, ...]) -> None:
    check_gates_fit(of(task), asked)


def test_nothing_is_known_of_a_score_of_the_users() -> None:
    check_gates_fit(Scored(), [gate(metric="mae"), FLIPS])
