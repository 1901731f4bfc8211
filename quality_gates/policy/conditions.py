"""Conditions that choose test rows, and the types of values that several kinds of gates share."""

import math
from collections.abc import Iterable
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, GetPydanticSchema, model_validator
from pydantic_core import core_schema

from quality_gates.errors import PolicyError

Value: TypeAlias = str | int | float | bool
Name: TypeAlias = Annotated[str, Field(min_length=1)]
Share: TypeAlias = Annotated[float, Field(strict=True, ge=0, lt=1)]
Confidence: TypeAlias = Annotated[float, Field(strict=True, gt=0.5, lt=1)]
Reference: TypeAlias = Literal["parent", "deployed"]
OnInconclusive: TypeAlias = Literal["fail", "warn"]
ParityCheck: TypeAlias = Literal[
    "torch_onnx", "batched_single", "optimized_plain", "reloaded_original", "emulated_native"
]
_WAYS = ("equals", "in", "from", "to", "above", "below")


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
