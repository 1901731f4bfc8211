"""The workload: the user's own Python with the data, the loss and the score, which no registered model carries."""

import hashlib
import importlib
import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax
from torch import Tensor, nn

from deployments.errors import ConfigurationError
from deployments.rows import SPLITS, DeploymentSample, Split, SplitName, check_sample, check_splits
from edge_runtime.errors import EdgewrightError, is_of_system
from model_compression.students import Interface

__all__ = [
    "SPLITS",
    "DeploymentSample",
    "Split",
    "SplitName",
    "Workload",
    "code_digest",
    "load_workload",
    "read_sample",
    "read_splits",
]

_STANDARD_LIBRARY = sys.stdlib_module_names


class Workload(ABC):
    """Base of the class that a user writes for a model of their own; recipes name it as `package.module:Class`.

    `split` and `loss` must be written. All other methods have a default that fits a classifier.
    """

    @abstractmethod
    def split(self, name: SplitName) -> Split:
        """Return the rows of a split; the same rows at every call."""

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the scalar loss of a batch against the ground truth."""

    def deployment_sample(self) -> DeploymentSample | None:
        """Return rows from the deployment sites that no split has, or None; their labels may be unknown.

        A recipe with `representativeness` compares the train and calibration splits with them.
        """
        return None

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return one number per row, 1 for right and 0 for wrong; override it where that is not arg-max equality."""
        return np.asarray(self.predictions(outputs) == targets).astype(float)

    def predictions(self, outputs: np.ndarray) -> np.ndarray:
        """Return the model's answer to each row, as people read it; arg-max unless overridden."""
        return np.asarray(outputs.reshape(len(outputs), -1).argmax(axis=1))

    def right_answers(self, targets: np.ndarray) -> np.ndarray | None:
        """Return the right answer of each row in the words of `predictions`, or None where there is none.

        Metrics of classes (recall, F1, ...) compare the two. Targets of one number per row unless overridden.
        """
        return targets if targets.ndim == 1 else None

    def probabilities(self, outputs: np.ndarray) -> pd.DataFrame | None:
        """Return the probability of each class for each row, columns named as `predictions` name the classes, or None.

        Probability calibration and AUROC need it. Softmax of class scores (rows, classes) unless overridden; outputs
        that already are probabilities stay what they are.
        """
        if outputs.ndim != 2 or outputs.shape[1] < 2:
            return None
        already = (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3)
        return pd.DataFrame(outputs if already else softmax(outputs.astype(float), axis=1))

    def build_model(self) -> nn.Module | None:
        """Return a fresh module of the registered architecture, to be used instead of the rebuilt program.

        Only for programs that cannot be rebuilt; the program's weights are loaded into it strictly by name.
        """
        return None

    def augment(self, inputs: tuple[Tensor, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return changed rows of the same meaning for one training step, drawn by `generator`; shapes stay.

        By default rows are trained on as they are, and the parent's answers to them are computed once. Where this is
        overridden, the parent answers in every step: training takes longer and learns more from the parent.
        """
        return inputs

    @property
    def augments(self) -> bool:
        """True where the workload changes rows for training."""
        return type(self).augment is not Workload.augment

    def build_student(self, interface: Interface, width: int, depth: int) -> nn.Module:
        """Return a fresh student network, for a recipe whose `distil` says `family: own`.

        It returns class scores (rows, interface.classes) for inputs of `interface.shapes`, and is larger with `width`
        and with `depth`.
        """
        raise ConfigurationError(
            f"workload `{type(self).__module__}:{type(self).__qualname__}`: expected build_student(), got none; write "
            "it, or choose another `family` in the recipe's `distil`"
        )

    def picture(self, split: Split, row: int) -> np.ndarray | None:
        """Return an image of a row for the report, (H, W) or (C, H, W) with 1 or 3 channels, or None."""
        array = split.inputs[0][row]
        return array if array.ndim == 3 and array.shape[0] in (1, 3) else None

    def text(self, split: Split, row: int) -> str | None:
        """Return a row as text for the report, or None."""
        return None


def load_workload(reference: str) -> Workload:
    """Import `package.module:Class` and make one.

    Raises:
        ConfigurationError: the module does not import, or the class is no usable workload.
    """
    kind = _workload_class(reference)
    try:
        return kind()
    except EdgewrightError as error:  # the workload says itself what is wrong
        raise ConfigurationError(f"workload `{reference}`: {error}") from error
    except Exception as error:  # user code: whatever it raises is the answer
        raise ConfigurationError(
            f"workload `{reference}`: expected {kind.__name__}() to make one without arguments, got "
            f"{_described(error)}; correct its __init__"
        ) from error


def _workload_class(reference: str) -> type[Workload]:
    module_name, _, class_name = reference.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # user code
        raise ConfigurationError(
            f"workload `{reference}`: expected module {module_name} to import, got {_described(error)}; "
            f"{_import_remedy(module_name, error)}"
        ) from error
    kind = getattr(module, class_name, None)
    if not (inspect.isclass(kind) and issubclass(kind, Workload)):
        raise ConfigurationError(
            f"workload `{reference}`: expected {class_name} to be a subclass of deployments.workload.Workload, got "
            f"{'nothing of that name' if kind is None else repr(kind)}; correct the recipe's `workload` or the module"
        )
    if missing := sorted(getattr(kind, "__abstractmethods__", ())):
        raise ConfigurationError(
            f"workload `{reference}`: expected the methods split and loss, got none for {', '.join(missing)}; write it"
        )
    return kind


def _import_remedy(module_name: str, error: BaseException) -> str:
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return "correct the module"
    if module_name == error.name or module_name.startswith(f"{error.name}."):
        return "put its folder on PYTHONPATH, or correct the recipe's `workload`"
    return f"install {error.name}, which the module imports"


def code_digest(workload: Workload) -> str:
    """Return the sha256 of the source files that define a workload and its bases: another loss is another input."""
    kinds = [kind for kind in type(workload).__mro__ if kind.__module__.partition(".")[0] not in _STANDARD_LIBRARY]
    files = dict.fromkeys(inspect.getfile(kind) for kind in kinds)
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()


def read_splits(workload: Workload) -> dict[SplitName, Split]:
    """Read and check all splits.

    Raises:
        ConfigurationError: a split cannot be read or is not usable.
    """
    kind = type(workload)
    splits: dict[SplitName, Split] = {}
    try:
        for name in SPLITS:
            splits[name] = _read_split(workload, name)
        check_splits(splits)
    except ConfigurationError as error:
        raise ConfigurationError(f"workload `{kind.__module__}:{kind.__qualname__}`: {error}") from error
    return splits


def read_sample(workload: Workload, splits: Mapping[SplitName, Split]) -> DeploymentSample:
    """Read and check the sample from the deployment sites.

    Raises:
        ConfigurationError: there is no sample, or it is not usable.
    """
    kind = type(workload)
    try:
        sample = workload.deployment_sample()
        if sample is None:
            raise ConfigurationError(
                "expected rows for the recipe's `representativeness`, got None; return some from "
                "Workload.deployment_sample, or drop the key from the recipe"
            )
        return check_sample(sample, splits)
    except EdgewrightError as error:
        said = f"{error}"
    except Exception as error:  # user code
        said = f"expected its rows, got {_described(error)}; correct Workload.deployment_sample"
    raise ConfigurationError(f"workload `{kind.__module__}:{kind.__qualname__}`: deployment sample: {said}")


def _read_split(workload: Workload, name: SplitName) -> Split:
    try:
        return workload.split(name)
    except EdgewrightError as error:
        raise ConfigurationError(f"split `{name}`: {error}") from error
    except Exception as error:  # user code
        raise ConfigurationError(
            f"split `{name}`: expected its rows, got {_described(error)}; correct Workload.split"
        ) from error


def _described(error: BaseException) -> str:
    """Return a user's error as text; one of the memory or the disk is raised again, as no user can correct it."""
    if is_of_system(error):
        raise error
    return f"{type(error).__name__}: {error}"
