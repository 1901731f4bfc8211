"""Gates that mean nothing for what a workload answers are refused in preflight."""

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from deployments.answers import TaskName
from deployments.errors import ConfigurationError
from quality_gates.gates import KINDS, Calibration, Flips, Gate, NonInferiority
from quality_gates.policy import ERRORS, NAMED, OF_A_CLASS, WORST_SCORES
from tasks.upstream.job_checks import check_gates_fit
from tests.tasks.tiny import Blobs

CUSTOM = {"metric": "package.module:function", "better": "higher"}
FLIPS = Flips.model_construct(kind="flips", name="flips")
CALIBRATION = Calibration(name="calibration", metric="brier", at_most=0.2, confidence=0.95)
PROPORTIONS = {"accuracy", "recall", "precision", "f1", "macro_f1", "balanced_accuracy"}
PROBABLE = {"auroc", "brier", "log_loss"}
FITTING: dict[TaskName, set[str]] = {
    "classification": PROPORTIONS | PROBABLE,
    "binary": PROPORTIONS | PROBABLE,
    "multi_label": PROPORTIONS,
    "regression": {"mae", "rmse"},
    "embedding": {"mean_score"},
    "segmentation": {"mean_score"},
    "own": {*NAMED, *WORST_SCORES},
}
KEYS: dict[str, dict[str, Any]] = {
    "non_inferiority": {"against": "parent", "margin": 0.1},
    "limit": {"at_least": 0.1},
    "plausibility": {"gain_at_most": 0.1},
    "calibration": {"at_most": 0.2},
}


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
        ("embedding", gate(metric="mae"), r"\(mean_score, or a custom metric"),
        ("embedding", FLIPS, "expected scores of 0 and 1"),
        ("segmentation", FLIPS, "expected scores of 0 and 1"),
        ("segmentation", CALIBRATION, "expected probabilities of classes"),
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
        ("embedding", (gate(metric="mean_score"), gate(**CUSTOM))),
        ("segmentation", (gate(metric="mean_score"), gate(**CUSTOM))),
        ("own", (gate(metric="mae"), gate(metric="accuracy"), FLIPS, CALIBRATION)),
    ],
)
def test_gates_that_fit(task: TaskName, asked: tuple[Gate, ...]) -> None:
    check_gates_fit(of(task), asked)


def of_kind(kind: str, metric: str) -> Gate:
    """Return a gate as a recipe writes it."""
    keys = dict(KEYS[kind])
    if kind == "limit" and metric in ERRORS:
        keys = {"at_most": 0.1}
    named = {"of": 1} if metric in OF_A_CLASS else {}
    gate = {"kind": kind, "name": "g", "metric": metric, "confidence": 0.95, **named, **keys}
    read: Gate = TypeAdapter[Gate](Gate).validate_python(gate)
    return read


def test_every_kind_with_a_metric_is_in_the_table() -> None:
    assert {name for name, kind in KINDS.items() if "metric" in kind.model_fields} == set(KEYS)


@pytest.mark.parametrize("task", FITTING)
@pytest.mark.parametrize(
    ("kind", "metric"),
    [(kind, metric) for kind in KEYS for metric in (WORST_SCORES if kind == "calibration" else NAMED)],
)
def test_a_metric_that_a_kind_documents_fits_the_tasks_that_answer_it(task: TaskName, kind: str, metric: str) -> None:
    asked = of_kind(kind, metric)
    if metric in FITTING[task]:
        check_gates_fit(of(task), [asked])
        return
    with pytest.raises(ConfigurationError, match=r"key `gates`: g: expected (a metric that fits|probabilities of)"):
        check_gates_fit(of(task), [asked])


def test_nothing_is_known_of_a_score_of_the_users() -> None:
    check_gates_fit(Scored(), [gate(metric="mae"), FLIPS])
