"""Words that gates are written in: slices of rows, metrics, and the types of values that several kinds of gates share.

The kinds of gates, which are built of these words, are in `quality_gates.gates`.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self, TypeAlias, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetPydanticSchema, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError, core_schema

from quality_gates.errors import PolicyError

Value: TypeAlias = str | int | float | bool
Name: TypeAlias = Annotated[str, Field(min_length=1)]
Share: TypeAlias = Annotated[float, Field(strict=True, ge=0, lt=1)]
Confidence: TypeAlias = Annotated[float, Field(strict=True, gt=0.5, lt=1)]
Reference: TypeAlias = Literal["parent", "deployed", "anchor"]
RELEASED: tuple[Reference, ...] = ("deployed", "anchor")
"""The references that are releases: there is none before a first release has passed."""
OnInconclusive: TypeAlias = Literal["fail", "warn"]
ParityCheck: TypeAlias = Literal[
    "torch_onnx", "batched_single", "optimized_plain", "reloaded_original", "emulated_native"
]
_WAYS = ("equals", "in", "from", "to", "above", "below")
NamedMetric: TypeAlias = Literal[
    "accuracy", "recall", "precision", "f1", "macro_f1", "balanced_accuracy", "auroc", "mae", "rmse", "mean_score"
]
TARGET = "target"
"""The column of right answers in measured rows. No slice column has this name, so it can say what class a row is of."""
NAMED: tuple[str, ...] = get_args(NamedMetric)
OF_A_CLASS = frozenset({"recall", "precision", "f1", "auroc"})
ProperScore: TypeAlias = Literal["brier", "log_loss"]
LEAST_PROBABILITY = 1e-4
"""The smallest probability that a log-loss takes: what is rarer than that no test split can show."""
WORST_SCORES: Mapping[ProperScore, float] = {"brier": 2.0, "log_loss": -math.log(LEAST_PROBABILITY)}
"""The scores of probabilities, of which a measured row has a column where a gate asks for it, and their largest."""
ERRORS = frozenset({"mae", "rmse"})
OF_SCORES = ERRORS | {"mean_score"}
"""Metrics of scores in their own unit, which are no shares of rows."""
_CUSTOM = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"
_TITLES = {"f1": "F1", "macro_f1": "Macro-F1", "auroc": "AUROC", "mae": "MAE", "rmse": "RMSE"}


def one_of(names: Iterable[str]) -> GetPydanticSchema:
    """Return the annotation of a text that must be one of some names: a Literal whose names a table holds."""
    schema = core_schema.literal_schema(list(names))
    return GetPydanticSchema(lambda _source, _handler: schema)


class Setting(BaseModel):
    """A part of a policy: frozen, finite, and without unknown keys. The text below a key describes it in references."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True, use_attribute_docstrings=True
    )


class SliceCondition(Setting):
    """A slice: test rows by one column, or by several conditions that must all hold (a crossed slice).

    `8`, `"8"` and `true` are three different values. `from` and `to` together are a bin.
    """

    column: str | None = Field(default=None, min_length=1)
    """The slice column of the workload that the condition is about."""
    equals: Value | None = None
    """The one value that rows of the slice have."""
    one_of: tuple[Value, ...] | None = Field(default=None, min_length=1, alias="in")
    """Several values, of which rows of the slice have one."""
    start: float | None = Field(default=None, strict=True, alias="from")
    """The smallest number of the slice."""
    stop: float | None = Field(default=None, strict=True, alias="to")
    """The number that all numbers of the slice are below, the end of a bin."""
    above: float | None = Field(default=None, strict=True)
    """The number that all numbers of the slice are above."""
    below: float | None = Field(default=None, strict=True)
    """The number that all numbers of the slice are below."""
    all: "tuple[SliceCondition, ...] | None" = Field(default=None, min_length=2)
    """Several conditions that rows of the slice must all fulfil."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        said = [way for way, given in zip(_WAYS, self._given(), strict=True) if given is not None]
        if self.all is not None:
            if self.column is not None or said:
                raise PolicyError("expected either `all` with several conditions or one `column`, got both; keep one")
            return self
        bounds = [way for way in said if way not in ("equals", "in")]
        if self.column is None or not said or (len(said) > 1 and len(bounds) < len(said)):
            raise PolicyError(
                "expected a `column` with `equals`, with `in`, or with bounds (`from`, `to`, `above`, `below`), got "
                f"{', '.join(['column'] * (self.column is not None) + said) or 'none of them'}; write one of these"
            )
        if bounds and not self._bounds_leave_room():
            raise PolicyError(f"expected bounds that some number lies between, got {self}; correct them")
        return self

    @classmethod
    def of_class(cls, value: Value, within: "SliceCondition | None" = None) -> "SliceCondition":
        """Return the slice of the rows whose right answer is a class, of all rows or `within` another slice."""
        rows = cls(column=TARGET, equals=value)
        return rows if within is None else cls(all=(within, rows))

    @property
    def meaning(self) -> frozenset[tuple[object, ...]]:
        """The conditions in one form: alike for one value by `equals` or `in`, and for parts in another order."""
        return frozenset(part._meaning() for part in self.parts)

    def _meaning(self) -> tuple[object, ...]:
        values = (self.one_of or ()) if self.equals is None else (self.equals,)
        told_apart = frozenset((isinstance(value, bool), value) for value in values)
        return self.column, told_apart, self.start, self.stop, self.above, self.below

    @property
    def parts(self) -> "tuple[SliceCondition, ...]":
        """The conditions on one column each that must all hold."""
        return (self,) if self.all is None else tuple(part for each in self.all for part in each.parts)

    @property
    def key(self) -> str:
        """A name for metrics of this slice, without characters that stores of metrics refuse."""
        if self.equals is not None:
            return f"{self.column}_{self.equals}"
        return "".join(letter if letter.isalnum() or letter in "_-." else "_" for letter in str(self))

    def __str__(self) -> str:
        """Write the condition in words, as reports show it."""
        if self.all is not None:
            return " and ".join(map(str, self.all))
        if self.equals is not None:
            return f"{self.column} = {self.equals}"
        if self.one_of is not None:
            return f"{self.column} in {', '.join(map(str, self.one_of))}"
        words = zip(("from", "to", "above", "below"), (self.start, self.stop, self.above, self.below), strict=True)
        return f"{self.column} {' '.join(f'{word} {bound:g}' for word, bound in words if bound is not None)}"

    def _given(self) -> tuple[object, ...]:
        return self.equals, self.one_of, self.start, self.stop, self.above, self.below

    def _bounds_leave_room(self) -> bool:
        lowest = [bound for bound in (self.start, self.above) if bound is not None]
        highest = [bound for bound in (self.stop, self.below) if bound is not None]
        return max(lowest, default=-math.inf) < min(highest, default=math.inf)


def _known(metric: str) -> str:
    if metric in NAMED or re.fullmatch(_CUSTOM, metric, re.ASCII):
        return metric
    expected = f"one of {', '.join(NAMED)}, or a custom metric as package.module:function"
    raise PydanticCustomError("expected", "expected {expected}", {"expected": expected})


_WRITTEN = {
    "anyOf": [
        {"type": "string", "enum": [*NAMED]},
        {"type": "string", "pattern": f"^(?:{_CUSTOM})$", "examples": ["package.module:function"]},
    ]
}
Metric: TypeAlias = Annotated[str, AfterValidator(_known), WithJsonSchema(_WRITTEN)]


class MetricChoice(Setting):
    """A metric, the class that it is of where it is one class's, and the rows that it looks at.

    accuracy is the mean of scores of 0 and 1, mean_score of any others; mae and rmse take the scores for errors, which
    are better when smaller.
    recall, precision, f1 and auroc are of one class, against all others. A custom metric is a function: it gets the
    rows of one model as a frame (row_id, target, prediction, score, slice columns) and returns a number.
    """

    metric: Metric
    """The metric's name, or a custom metric as package.module:function."""
    of: Value | None = None
    """A value of the workload's targets, such as 0 or scratch; needed for recall, precision, f1 and auroc."""
    better: Literal["higher", "lower"] | None = None
    """The direction in which a custom metric is better; needed for a custom metric alone."""
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
        """True for a custom metric, which the recipe names as package.module:function."""
        return self.metric not in NAMED

    @property
    def is_of_classes(self) -> bool:
        """True for a metric that compares predictions with right answers class by class."""
        return not self.is_custom and self.metric != "accuracy" and self.metric not in OF_SCORES

    @property
    def is_proportion(self) -> bool:
        """True for a metric in [0, 1], so that differences are points."""
        return not self.is_custom and self.metric not in OF_SCORES

    @property
    def sign(self) -> int:
        """1 where higher is better, else -1."""
        return -1 if self.metric in ERRORS or self.better == "lower" else 1

    @property
    def guarded(self) -> SliceCondition | None:
        """The rows that the metric is about: those of its class, of its slice, or of both; None for all rows."""
        return self.slice if self.of is None else SliceCondition.of_class(self.of, self.slice)

    @property
    def title(self) -> str:
        """The name for people: on a slice of one label, accuracy is recall."""
        if self.metric == "accuracy" and self.slice is not None and self.slice.column == "label":
            return "Recall" if self.slice.equals is not None else "Accuracy"
        name = self.metric.partition(":")[2] if self.is_custom else self.metric
        title = _TITLES.get(name, name if self.is_custom else name.replace("_", " ").capitalize())
        return title if self.of is None else f"{title} of class {self.of}"

    @property
    def described(self) -> str:
        """The title with its slice."""
        return f"{self.title} where {self.slice}" if self.slice else self.title


def below_one_for_proportions(metric: object, bound: float) -> float:
    """Refuse a difference of 1 or more where the metric is a proportion: it was meant as percent, or allows anything.

    Raises pydantic's own error for the key that is being read.
    """
    if metric in NAMED and metric not in OF_SCORES and bound >= 1:
        raise PydanticKnownError("less_than", {"lt": 1})
    return bound


def check_has_errors(metric: object, largest_error: float | None) -> None:
    """Raise PolicyError for a largest error of a metric that is no mean of errors."""
    if largest_error is not None and metric not in ERRORS:
        raise PolicyError(
            f"metric {metric}: expected no `largest_error`, which is for {' and '.join(ERRORS)}; remove it"
        )


class AlphaSpending(Setting):
    """A share of false passes that is spent over a number of looks at one test split, the same share at each of them.

    The chance that any of the looks passes a version that it should not is at most their sum (Bonferroni's inequality).
    """

    total: float = Field(strict=True, gt=0, lt=0.5)
    """The largest chance that any of the looks passes a version whose loss is as large as a margin, such as 0.05."""
    looks: int = Field(strict=True, ge=1)
    """The number of looks at one test split, one for each version, device and recipe; then new test rows are needed."""

    @property
    def level(self) -> float:
        """The share of false passes of one look."""
        return self.total / self.looks


def probability_column(of: Value | None) -> str:
    """Name of the column of measured rows that holds the probability of one class."""
    return f"p({of})"


def area_columns(name: str) -> tuple[str, str]:
    """Names of the columns of measured rows that hold the pixels of one class: in answer and truth, and in either."""
    return f"both({name})", f"either({name})"
