"""Custom metrics over one model's rows, with bounds from the bootstrap."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from quality_gates.errors import EvidenceError, in_one_line
from quality_gates.evidence import RowGroups, RowsMetric, is_answer, one_side
from quality_gates.statistics.bootstrap import SIDES, Floats, bca_bound, skewness
from quality_gates.statistics.extreme_rows import extreme_rows
from quality_gates.statistics.grouped_rows import widening

DRAWS = 500
JACKKNIFE_GROUPS = 50
LIKE_ONE = 20  # rows whose answers all rows get, to see that a function looks at answers
_SEED = 20_120_314
Places: TypeAlias = npt.NDArray[np.intp]
Extra: TypeAlias = tuple[int, int]
"""The place of one row more among the rows of the candidate, and among those of the reference."""
_Of: TypeAlias = Callable[[Floats], Floats]


@dataclass(frozen=True, eq=False)
class PairedCustomMetric:
    """A custom metric on the rows of both models; every sample is drawn once, for both of them.

    As for metrics that are known, the lower bounds are drawn with one row more that speaks against the candidate as
    loudly as a row can, and the upper ones with one that speaks for it. It is found by trying the function on rows that
    are made of the measured ones. Where rows are in `groups` (of `rows`, in their order), groups are drawn, and the row
    more counts as a whole group of a usual size.
    """

    function: RowsMetric
    name: str
    sign: int
    rows: pd.DataFrame
    groups: RowGroups | None = None
    _drawn: dict[Extra, Floats] = field(default_factory=dict, init=False, repr=False)

    @property
    def n(self) -> int:
        """The number of rows."""
        return len(self.rows)

    @cached_property
    def values(self) -> tuple[float, float]:
        """The function's values for (candidate, reference) on all rows."""
        both = self._both(np.arange(self.n), None)
        return float(both[0]), float(both[1])

    def gain_bounds(self, confidence: float) -> tuple[float, float]:
        """Return one-sided bounds of the candidate's gain, positive where it is better."""
        return self._bounds(self._gain, confidence)

    def own_bounds(self, confidence: float) -> tuple[float, float]:
        """Return one-sided bounds of the candidate's value."""
        return self._bounds(lambda both: both[..., 0], confidence)

    def gain_spread(self) -> float:
        """Return the standard error of the gain, with the row that speaks against the candidate."""
        return float(self._gain(self._samples(self._loudest(self._gain))).std())

    def _gain(self, both: Floats) -> Floats:
        gain: Floats = self.sign * (both[..., 0] - both[..., 1])
        return gain

    def _bounds(self, figure: _Of, confidence: float) -> tuple[float, float]:
        self._check_moved()
        return self._lower(figure, confidence), -self._lower(lambda both: -figure(both), confidence)

    def _lower(self, figure: _Of, confidence: float) -> float:
        low = self._drawn_lower(figure, confidence)
        if self.groups is None:
            return low
        center = float(figure(np.array(self.values)))
        return center - (center - low) * widening(self.groups, confidence)

    def _drawn_lower(self, figure: _Of, confidence: float) -> float:
        extra = self._loudest(figure)
        drawn, everything = figure(self._samples(extra)), np.arange(self.n)
        if not drawn.std() > 0:  # no row made a difference: as for shares, of which none was seen to differ
            z, n = NormalDist().inv_cdf(confidence), self.n if self.groups is None else self.groups.effective
            return float(figure(np.array(self.values))) - self._reach * z * z / (n + z * z)
        estimate = float(figure(self._both(everything, extra, self._rows_more)))
        units = len(self._members)
        bundles = (np.random.default_rng(_SEED).permutation(units) % min(JACKKNIFE_GROUPS, units))[self._unit]
        without = [
            self._both(np.flatnonzero(bundles != bundle), extra, self._rows_more) for bundle in np.unique(bundles)
        ]
        left_out = figure(np.array([*without, self.values]))
        return bca_bound(drawn, estimate, skewness(left_out, np.ones(len(left_out), dtype=np.int64)), confidence)

    @property
    def _rows_more(self) -> int:
        """The rows that one more counts as: those of a usual group, as a black box does not tell a design effect."""
        return 1 if self.groups is None else round(self.groups.rows_beside)

    @cached_property
    def _order(self) -> Places:
        """The order of rows that does not depend on the one they came in."""
        return np.argsort(self.rows["row_id"].astype(str).to_numpy(), kind="stable")

    @cached_property
    def _unit(self) -> Places:
        """The unit that each row, in order, is drawn with: itself, or its group by the group's first row."""
        if self.groups is None:
            return np.arange(self.n)
        codes = self.groups.codes[self._order]
        _, first, unit = np.unique(codes, return_index=True, return_inverse=True)
        numbered: Places = np.argsort(np.argsort(first))[unit]
        return numbered

    @cached_property
    def _members(self) -> list[Places]:
        """The rows of each unit."""
        if self.groups is None:
            return list(np.arange(self.n)[:, None])
        order = np.argsort(self._unit, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self._unit))[:-1])

    @property
    def _reach(self) -> float:
        return max(map(abs, (*self.values, 1e-12)))

    def _loudest(self, figure: _Of) -> Extra:
        """Return the row more that moves a figure down the most."""
        return self._tried[0][int(np.argmin(figure(self._tried[1])))]

    def _check_moved(self) -> None:
        """Raise EvidenceError where the function gives one value whatever is answered: nothing is shown by it."""
        if self.values[0] != self.values[1] or self._moved_by_a_row or self._moved_by_all_rows:
            return
        raise EvidenceError(
            f"The function {self.name} gives {self.values[0]:g} whatever is answered, also for right and for wrong "
            "answers: what does not vary cannot be compared.",
            "Let it depend on the columns `prediction` or `score` of the rows that it gets.",
        )

    @property
    def _moved_by_a_row(self) -> bool:
        """True where one row more moves the function otherwise with a good answer than with a bad one."""
        good, bad = np.split(self._of_more_rows, 2, axis=1)
        return not np.array_equal(good, bad, equal_nan=True)

    @property
    def _moved_by_all_rows(self) -> bool:
        """True where the function tells rows that are all answered like one row from those that are like another."""
        rows = self._sides[0]
        columns = [str(each) for each in rows.columns if is_answer(each) and each not in ("row_id", "target")]
        measured, places = rows.iloc[: self.n], np.linspace(0, len(rows) - 1, LIKE_ONE).astype(int)
        alike = ({column: [rows[column].iloc[place]] * self.n for column in columns} for place in np.unique(places))
        values = [self._value_or_none(measured.assign(**answers)) for answers in alike]
        return not np.array_equal(values[1:], values[:-1], equal_nan=True)

    @cached_property
    def _of_more_rows(self) -> Floats:
        """The function's values (2 models, rows) with each row that one more could be, NaN where it takes none."""
        everything = np.arange(self.n)
        return np.array(
            [
                [self._value_or_none(rows.iloc[np.append(everything, place)]) for place in range(self.n, len(rows))]
                for rows in self._sides
            ]
        )

    @cached_property
    def _tried(self) -> tuple[list[Extra], Floats]:
        """Rows that one more could be, and the function's values (rows, 2) of both models with each of them."""
        values = self._of_more_rows
        count = values.shape[1] // 2
        swapped = np.roll(np.arange(2 * count), count)  # a good answer of the one beside a bad one of the other
        both = np.stack([values[0], values[1][swapped]], axis=1)
        usable = np.isfinite(both).all(axis=1)
        if not usable.any():
            return [(0, 0)], np.array([self._both(np.arange(self.n), (0, 0))])
        places = [(self.n + int(own), self.n + int(other)) for own, other in enumerate(swapped) if usable[own]]
        return places, both[usable]

    @cached_property
    def _sides(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Both models' rows, then those that one more could be: with good answers, then the same with bad ones."""
        ordered = self.rows.iloc[self._order]
        candidate, reference = (one_side(ordered, side) for side in SIDES)
        good, bad = extreme_rows(candidate, reference)
        more = pd.concat([good, bad], ignore_index=True)
        return pd.concat([candidate, more], ignore_index=True), pd.concat([reference, more], ignore_index=True)

    @cached_property
    def _places(self) -> list[Places]:
        generator = np.random.default_rng(_SEED)
        units = len(self._members)
        drawn = (generator.integers(0, units, units) for _ in range(DRAWS))
        if self.groups is None:
            return list(drawn)
        return [np.concatenate([self._members[unit] for unit in units_drawn]) for units_drawn in drawn]

    @cached_property
    def _plain(self) -> dict[int, Floats]:
        """The values of samples that the row more is not in, whichever it is."""
        return {draw: self._both(self._places[draw], None) for draw in np.flatnonzero(_times() == 0).tolist()}

    def _samples(self, extra: Extra) -> Floats:
        """Return both models' values in samples with a row more, which is drawn as often as any other."""
        if extra not in self._drawn:
            drawn = [
                self._both(self._places[draw], extra, count * self._rows_more) if count else self._plain[draw]
                for draw, count in enumerate(_times().tolist())
            ]
            self._drawn[extra] = np.array(drawn)
        return self._drawn[extra]

    def _both(self, places: Places, extra: Extra | None, times: int = 1) -> Floats:
        more = (np.empty(0, np.intp), np.empty(0, np.intp)) if extra is None else [np.repeat(at, times) for at in extra]
        sides = zip(self._sides, more, strict=True)
        return np.array([self._value(rows.iloc[np.append(places, one)]) for rows, one in sides])

    def _value_or_none(self, rows: pd.DataFrame) -> float:
        """Return NaN for rows that the function does not take: they are none that could be."""
        try:
            return self._value(rows)
        except EvidenceError:
            return math.nan

    def _value(self, rows: pd.DataFrame) -> float:
        try:
            value = float(self.function(rows.reset_index(drop=True)))
        except (Exception, SystemExit) as error:  # user code
            raise EvidenceError(
                f"The function {self.name} failed ({in_one_line(error)}).",
                "It gets one model's rows as a frame and returns a number, also for samples of them.",
            ) from error
        if not math.isfinite(value):
            raise EvidenceError(
                f"The function {self.name} gave {value} for a sample of {len(rows)} rows.",
                "Let it return a finite number for every sample of the rows.",
            )
        return value


def _times() -> npt.NDArray[np.int64]:
    return np.random.default_rng(_SEED + 1).poisson(1, DRAWS)
