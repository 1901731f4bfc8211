"""The known prediction tasks by their names."""

from deployments.answers.prediction_tasks import Binary, Classification, Embedding, MultiLabel, Own, Regression
from deployments.answers.segmentation import Segmentation
from deployments.answers.task_kind import PredictionTask, TaskName

_TASKS: dict[TaskName, PredictionTask] = {
    task.name: task for task in (Classification(), Binary(), MultiLabel(), Regression(), Embedding(), Own())
}


def prediction_task(name: TaskName, ignore_index: int | None = None) -> PredictionTask:
    """Return a task by its name; `ignore_index` is the number of pixels that do not count, for those that have some."""
    return Segmentation(ignore_index) if name == "segmentation" else _TASKS[name]
