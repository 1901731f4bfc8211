"""Whether calibration sees what the model is trained on: ranges that a class alone reaches are clipped without it."""

import logging
from collections.abc import Mapping

import numpy as np

from deployments.errors import ConfigurationError
from deployments.workload import Split, SplitName, Workload
from tasks.errors import one_line

logger = logging.getLogger("edgewright")
SHOWN = 5
CLASSES = "biuOSU"  # kinds of arrays that name classes; a float is a measured value


def warn_of_missing_classes(workload: Workload, splits: Mapping[SplitName, Split]) -> None:
    """Warn of classes that training rows have and calibration rows have not.

    Raises ConfigurationError where the workload cannot tell the right answers.
    """
    missing = sorted(_classes(workload, splits["train"]) - _classes(workload, splits["calibration"]), key=str)
    if not missing:
        return
    named = ", ".join(str(each) for each in missing[:SHOWN])
    more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    logger.warning(
        "split `calibration`: expected rows of every class of the train split, got none of %s%s, so that INT8's "
        "ranges are taken without them; add such rows in Workload.split",
        named,
        more,
    )


def _classes(workload: Workload, split: Split) -> set[object]:
    try:
        answers = workload.right_answers(split.targets)
    except Exception as error:  # user code
        raise ConfigurationError(
            f"expected right answers for targets of shape {split.targets.shape}, got {one_line(error)}; correct "
            "Workload.right_answers"
        ) from error
    if answers is None or np.asarray(answers).dtype.kind not in CLASSES:
        return set()
    return set(np.asarray(answers).ravel().tolist())
