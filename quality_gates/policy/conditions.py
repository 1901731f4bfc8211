"""Which test rows a gate looks at, as a policy says it."""

import math
from collections.abc import Iterable
from typing import Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, GetPydanticSchema, model_validator
from pydantic_core import core_schema

from quality_gates.errors import PolicyError

Value: TypeAlias = str | int | float | bool
_WAYS = ("equals", "in", "from", "to", "above", "below")


def one_of(names: Iterable[str]) -> GetPydanticSchema:
    """Return the annotation of a text that must be one of some names: a Literal whose names a table holds."""
    schema = core_schema.literal_schema(list(names))
    return GetPydanticSchema(lambda _source, _handler: schema)


class Setting(BaseModel):
    """A part of a policy: frozen, finite, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class SliceCondition(Setting):
    """Test rows by one column, or by several conditions that must `all` hold (a crossed slice).

    `equals` takes one value and `in` several; `8`, `"8"` and `true` are three different values. Numbers also go by
    `from` (inclusive), `to` (exclusive), `above` and `below` (both exclusive): `from` and `to` together are a bin.
    """

    column: str | None = Field(default=None, min_length=1)
    equals: Value | None = None
    one_of: tuple[Value, ...] | None = Field(default=None, min_length=1, alias="in")
    start: float | None = Field(default=None, strict=True, alias="from")
    stop: float | None = Field(default=None, strict=True, alias="to")
    above: float | None = Field(default=None, strict=True)
    below: float | None = Field(default=None, strict=True)
    all: "tuple[SliceCondition, ...] | None" = Field(default=None, min_length=2)

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
