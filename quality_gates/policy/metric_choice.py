"""The metric that a gate holds: one by name, or a custom metric of the user's."""

import re
from typing import Annotated, Literal, Self, TypeAlias, get_args

from pydantic import AfterValidator, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

from quality_gates.errors import PolicyError
from quality_gates.policy.conditions import Setting, SliceCondition, Value

NamedMetric: TypeAlias = Literal[
    "accuracy", "recall", "precision", "f1", "macro_f1", "balanced_accuracy", "auroc", "mae", "rmse"
]
NAMED: tuple[str, ...] = get_args(NamedMetric)
OF_A_CLASS = frozenset({"recall", "precision", "f1", "auroc"})
ERRORS = frozenset({"mae", "rmse"})
_CUSTOM = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"
_TITLES = {"f1": "F1", "macro_f1": "Macro-F1", "auroc": "AUROC", "mae": "MAE", "rmse": "RMSE"}


def _known(metric: str) -> str:
    if metric in NAMED or re.fullmatch(_CUSTOM, metric, re.ASCII):
        return metric
    expected = f"one of {', '.join(NAMED)}, or a custom metric as package.module:function"
    raise PydanticCustomError("expected", "expected {expected}", {"expected": expected})


Metric: TypeAlias = Annotated[str, AfterValidator(_known)]


class MetricChoice(Setting):
    """A metric, the class that it is of where it is one class's, and the rows that it looks at.

    accuracy is the mean of scores of 0 and 1; mae and rmse take the scores for errors, which are better when smaller.
    recall, precision, f1 and auroc are of one class, against all others. A custom metric is a function: it gets the
    rows of one model as a frame (row_id, target, prediction, score, slice columns) and returns a number.
    """

    metric: Metric
    """The metric's name, or a custom metric as package.module:function."""
    of: Value | None = None
    """The class that recall, precision, f1 and auroc are of."""
    better: Literal["higher", "lower"] | None = None
    """The direction in which a custom metric is better."""
    slice: SliceCondition | None = None
    """The rows that the metric looks at; all rows where it is left out."""

    @model_validator(mode="after")
    def _metric_is_whole(self) -> Self:
        if (self.metric in OF_A_CLASS) != (self.of is not None):
            wants = "the class that it is `of`" if self.metric in OF_A_CLASS else "no `of`: it is not of one class"
            raise PolicyError(f"metric {self.metric}: expected {wants}, got {self.of!r}; correct it")
        if self.is_custom != (self.better is not None):
            wants = "`better: higher` or `better: lower`" if self.is_custom else "no `better`: it is known"
            raise PolicyError(f"metric {self.metric}: expected {wants}, got {self.better}; correct it")
        return self

    @property
    def is_custom(self) -> bool:
        """True for a custom metric: a function of the user's."""
        return self.metric not in NAMED

    @property
    def is_proportion(self) -> bool:
        """True for a metric in [0, 1], so that differences are points."""
        return not self.is_custom and self.metric not in ERRORS

    @property
    def sign(self) -> int:
        """1 where higher is better, else -1."""
        return -1 if self.metric in ERRORS or self.better == "lower" else 1

    @property
    def title(self) -> str:
        """The name for people: on a slice of one label, accuracy is recall."""
        if self.metric == "accuracy" and self.slice is not None and self.slice.column == "label":
            return "Recall" if self.slice.equals is not None else "Accuracy"
        name = self.metric.partition(":")[2] if self.is_custom else self.metric
        title = _TITLES.get(name, name if self.is_custom else name.replace("_", " ").capitalize())
        return title if self.of is None else f"{title} of {self.of}"

    @property
    def described(self) -> str:
        """The title with its slice."""
        return f"{self.title} where {self.slice}" if self.slice else self.title


def below_one_for_proportions(metric: object, bound: float) -> float:
    """Refuse a difference of 1 or more where the metric is a proportion: it was meant as percent, or allows anything.

    Raises pydantic's own error for the key that is being read.
    """
    if metric in NAMED and metric not in ERRORS and bound >= 1:
        raise PydanticKnownError("less_than", {"lt": 1})
    return bound


def probability_column(of: Value | None) -> str:
    """Name of the column of measured rows that holds the probability of one class."""
    return f"p({of})"
