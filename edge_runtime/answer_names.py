"""Names of classes in place of numbers: what a model's outputs say, in the words of its team."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_runtime.errors import SessionError

BETWEEN = ", "
"""The text between the labels in a manifest's lineage."""
_NO_NAME = "a name for each class, in the order of their numbers"


def read_labels(path: Path) -> list[str]:
    """Read the names of classes from a file: a JSON list, or one name a line.

    Raises SessionError for a file that cannot be read, or that has no names or one twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if text.lstrip().startswith("[") else text.splitlines()
    except (OSError, ValueError) as error:
        raise SessionError(f"The labels {path} cannot be read ({error}); give {_NO_NAME}, one a line.") from error
    names = [str(name).strip() for name in found]
    names = names[:-1] if names and not names[-1] else names
    if not names or not all(names) or len(set(names)) != len(names):
        raise SessionError(f"The labels {path} are no {len(names)} different names; give {_NO_NAME}, one a line.")
    return names


def labels_of(lineage_text: str) -> list[str]:
    """Return the names of classes that a manifest's lineage has; none for an empty text."""
    return lineage_text.split(BETWEEN) if lineage_text else []


def named_rows(output: np.ndarray, labels: Sequence[str], task: str) -> list[str | list[str]]:
    """Return the name that each row of an output (rows, ...) is answered with; several for the task `multi_label`.

    One number for each row is a logit, which answers with the second name where it is above 0. Raises SessionError
    where the output does not have a number for each label.
    """
    rows = output.reshape(len(output), -1)
    columns = rows.shape[1]
    yes_or_no = columns == 1 and len(labels) == 2
    if not yes_or_no and columns != len(labels):
        raise SessionError(
            f"The model answers each row with {columns} numbers, and there are {len(labels)} labels "
            f"({BETWEEN.join(labels[:5])}{', ...' if len(labels) > 5 else ''}); give {_NO_NAME}, with --labels FILE."
        )
    if not np.isfinite(rows).all():
        raise SessionError("The model answers rows with NaN or infinity, which is no class; check the input.")
    if task == "multi_label":
        return [[name for name, yes in zip(labels, row, strict=True) if yes] for row in rows > 0]
    chosen = (rows[:, 0] > 0).astype(int) if yes_or_no else rows.argmax(axis=1)
    return [labels[number] for number in chosen]
