"""Checks of a parent's answers before any long work: they fit the workload, are numbers, and can show a difference."""

import logging
from typing import TypeVar

import numpy as np

from deployments.answers import AnsweredRows, AskedRows, answers_of, asked_rows, lie_from_0_to_1, prediction_task
from deployments.errors import ConfigurationError
from deployments.mapped import parts_of
from deployments.workload import check_row_of_outputs, soft_labels_of
from model_compression.training import Arrays
from quality_gates.policy import ERRORS
from tasks.errors import PreflightError
from tasks.job import Job
from tasks.upstream.context import Context
from tasks.upstream.function_trials import try_functions
from tasks.upstream.parents import OnnxParent, TorchParent

logger = logging.getLogger("edgewright")
CHECKED_ROWS = 64
AnyParent = TypeVar("AnyParent", TorchParent, OnnxParent)


def check_outputs_fit(job: Job, parent: AnyParent) -> AnyParent:
    """Return the parent once its outputs fit the workload's task and functions, and its answers can be learnt from.

    Raises ConfigurationError for the first and PreflightError for the second.
    """
    rows: Arrays = tuple(array[:CHECKED_ROWS] for array in job.splits["validation"].inputs)
    outputs = parent.answers(rows)
    if outputs.ndim == 0 or len(outputs) != len(rows[0]):
        raise PreflightError(
            f"{_named(job)}: expected one output for each of {len(rows[0])} rows, got shape {outputs.shape}; register "
            "a model that keeps the rows on its first axis"
        )
    check_row_of_outputs(job.workload, outputs.shape[1:], job.splits)
    targets = job.splits["validation"].targets[:CHECKED_ROWS]
    try_functions(job.workload, outputs, targets, trains=False)
    if isinstance(parent, TorchParent):
        _warn_of_loss(job, outputs, targets)
        check_teacher(job, outputs)
        _check_students(job, outputs)
    return parent


def _warn_of_loss(job: Job, outputs: np.ndarray, targets: np.ndarray) -> None:
    """Warn of a loss that does not take these answers; a model whose budgets hold as it is needs none."""
    try:
        try_functions(job.workload, outputs, targets, trains=True)
    except ConfigurationError as error:
        logger.warning("%s; a training will fail", error)


def check_teacher(job: Job, outputs: np.ndarray) -> None:
    """Raise PreflightError where the recipe distils and no loss of soft labels fits the parent's outputs."""
    distilling = _distilling(job)
    targets = job.splits["train"].targets
    if distilling and soft_labels_of(job.workload, outputs, targets) is None:
        raise PreflightError(
            f'{_named(job)}: expected outputs with a loss of soft labels that fits the task "{job.workload.task}", '
            f"got outputs {_shape(outputs)} for targets {_shape(targets)}; set the workload's `task` to what the "
            f"outputs are, or `distillation_weight: 0` in {' and '.join(distilling)}"
        )


def _check_students(job: Job, outputs: np.ndarray) -> None:
    """Raise PreflightError where the recipe makes students, which have class scores, of a parent with other outputs."""
    if job.recipe.distil is not None and outputs.ndim != 2:
        raise PreflightError(
            f"{_named(job)}: key `distil`: expected a parent whose outputs are class scores (rows, classes), got "
            f"{_shape(outputs)}; remove `distil` from the recipe, as students are made for outputs of this shape"
        )


def check_parent_answers(context: Context, outputs: np.ndarray) -> float:
    """Return the mean score of the parent's outputs for the validation rows, once they can show a difference.

    A parent with one answer for all rows is warned of. Raises PreflightError where outputs look like probabilities and
    logits are needed, and where all scores are the same although not all right; IntakeError where the answers to
    training rows that students learn from are no numbers.
    """
    job = context.job
    if context.trainable and _distilling(job) and not job.workload.augments:
        context.parent_outputs("train")  # looked at now, before any training
    _check_logits(job, outputs)
    targets = job.splits["validation"].targets
    for asked in asked_rows(job.workload, outputs, targets):
        _check_answers(job, asked)
    return answers_of(job.workload, outputs, targets).mean_score


def _check_answers(job: Job, asked: AskedRows) -> None:
    """Check the answers of one model, or of one task of a family."""
    answers = answers_of(asked.workload, asked.outputs, asked.targets)
    one_answer = len(set(answers.predictions.tolist())) == 1
    if one_answer:
        logger.warning(
            "%s: expected different answers to different rows, got %s for all %d validation rows, with which no gate "
            "can show a loss; check that rows are prepared as the model's team does, and the workload's `predictions`",
            _of_task(job, asked), answers.predictions[0], len(answers.predictions),
        )  # fmt: skip
    _check_scores(job, asked, answers, one_answer)


def _check_logits(job: Job, outputs: np.ndarray) -> None:
    """Refuse probabilities where the default functions take a logit above 0 for a yes."""
    for workload, own in job.workload.of_tasks(outputs):
        logits = None if {"predictions", "score"} <= workload.written else workload.meaning.logits(own)
        if logits is not None and lie_from_0_to_1(logits):
            raise PreflightError(
                f'{_named(job)}: expected logits for the task "{workload.task}", of which 0 is undecided, got numbers '
                f"from {logits.min():.3g} to {logits.max():.3g}, as probabilities are; register the model without its "
                "sigmoid, or write the workload's `predictions` and `score`"
            )


def _check_scores(job: Job, asked: AskedRows, answers: AnsweredRows, one_answer: bool) -> None:
    scores, workload = answers.scores.astype(float), asked.workload
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).sum())
        raise PreflightError(
            f"workload `{job.recipe.workload}`: expected a number as the score of each row, got NaN or infinity for "
            f"{bad} of {len(scores)} validation rows of the parent; correct Workload.score"
        )
    errors = [gate.name for gate in job.recipe.gates_of(asked.task) if getattr(gate, "metric", None) in ERRORS]
    if errors and (scores > 0).any():
        raise PreflightError(
            f"workload `{job.recipe.workload}`: expected scores of 0 or less for the gate {errors[0]!r}, as training "
            f"and search keep what scores higher, got up to {scores.max():.3g}; return minus the error"
        )
    best = 1 if "score" in workload.written else prediction_task(workload.task).best_score
    if np.ptp(scores) == 0 and (scores[0] != best or (one_answer and _differ(asked.targets))):
        raise PreflightError(
            f"{_of_task(job, asked)}: expected scores that tell right from wrong, got {scores[0]:g} for each of "
            f"{len(scores)} validation rows, with which nothing can be shown to be lost; check the workload's `task` "
            "and `score`, and that the rows are prepared as the model's team does"
        )


def _differ(targets: np.ndarray) -> bool:
    return any(bool((part != targets[:1]).any()) for part in parts_of(targets))


def _of_task(job: Job, asked: AskedRows) -> str:
    return f"{_named(job)}, task `{asked.task}`" if asked.task else _named(job)


def _distilling(job: Job) -> list[str]:
    """Return the parts of the recipe that learn from the parent's answers."""
    recipe = job.recipe
    parts = {"prune": recipe.prune.fine_tune} | {
        rung.title: rung.fine_tune for rung in recipe.ladder if hasattr(rung, "fine_tune")
    }
    if recipe.distil is not None:
        parts["distil"] = recipe.distil.fine_tune
    return [name for name, training in parts.items() if training.distillation_weight]


def _named(job: Job) -> str:
    return f"model `{job.model}` version {job.version}"


def _shape(array: np.ndarray) -> str:
    return f"(rows{''.join(f', {size}' for size in array.shape[1:])}) of {array.dtype}"
