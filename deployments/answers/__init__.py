"""Answers: what a model's outputs mean under a workload's task, and the checks of what a workload says of them.

In come outputs and targets of rows; out go predictions, scores, right answers and probabilities, none of them made of
broken numbers. A prediction task names the usual meanings of outputs.
"""

from deployments.answers.answered_rows import (
    NOT_A_NUMBER,
    AnsweredRows,
    AnsweringWorkload,
    AskedRows,
    answers_in_parts,
    answers_of,
    asked_rows,
    finite_rows,
    joined,
    labelled,
    predictions_of,
    reference_of,
)
from deployments.answers.cell_outputs import boxes_of_cells
from deployments.answers.detection import Detection
from deployments.answers.found_boxes import RowBoxes
from deployments.answers.known_tasks import prediction_task
from deployments.answers.prediction_tasks import BETWEEN
from deployments.answers.task_kind import TASKS, PredictionTask, TaskName, lie_from_0_to_1
from deployments.answers.workload_checks import (
    LONGEST_DESCRIPTION,
    check_attributes,
    check_outputs,
    check_targets,
    described,
)

__all__ = [
    "BETWEEN",
    "LONGEST_DESCRIPTION",
    "NOT_A_NUMBER",
    "TASKS",
    "AnsweredRows",
    "AnsweringWorkload",
    "AskedRows",
    "Detection",
    "PredictionTask",
    "RowBoxes",
    "TaskName",
    "answers_in_parts",
    "answers_of",
    "asked_rows",
    "boxes_of_cells",
    "check_attributes",
    "check_outputs",
    "check_targets",
    "described",
    "finite_rows",
    "joined",
    "labelled",
    "lie_from_0_to_1",
    "prediction_task",
    "predictions_of",
    "reference_of",
]
