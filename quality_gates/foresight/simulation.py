"""The chance that a model as good as its references passes all gates, by simulation of all gates on the same rows."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import accumulate, count, islice
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy

from quality_gates.errors import EvidenceError
from quality_gates.evidence import Evidence, KnownClasses, ModelEvidence, SliceIndex
from quality_gates.gates import (
    Calibration,
    Flips,
    FoundSlices,
    GateKind,
    GatePolicy,
    Limit,
    NonInferiority,
    Plausibility,
)
from quality_gates.policy import OF_SCORES
from quality_gates.statistics import POWER, is_class, row_scores
from quality_gates.verdict import GateResult, Verdict

Floats: TypeAlias = npt.NDArray[np.float64]
DRAWS, DRAWS_OF_MORE_ROWS = 100, 25
MOST_TIMES = 16
_NEARLY_ALWAYS = 0.995
_NEAR = 1.2
_SHARPNESS = 2.0
_LEAST = 1e-3


@dataclass(frozen=True)
class SeenRate:
    """Share of a gate's rows that the candidate had right, and on which exactly one of two models was right.

    Each is None where it was not seen.
    """

    discordance: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Expected:
    """Expectation of a new version: the rates that its earlier versions had, by gate, and those assumed elsewhere."""

    discordance: float
    accuracy: float
    by_gate: Mapping[str, SeenRate] = field(default_factory=dict)
    versions: int = 0

    @classmethod
    def from_verdicts(
        cls, policy: GatePolicy, verdicts: Sequence[Verdict], discordance: float, accuracy: float
    ) -> "Expected":
        """Pool what earlier verdicts counted, for gates of the policy that looked at the same then."""
        rates: dict[str, SeenRate] = {}
        for gate in policy.gates:
            seen = [each for verdict in verdicts for each in verdict.gates if _is_same(gate, each)]
            rate = SeenRate(_discordance(seen), _accuracy(seen))
            if (rate.discordance, rate.accuracy) != (None, None):
                rates[gate.name] = rate
        return cls(discordance, accuracy, rates, len(verdicts) if rates else 0)


def _is_same(gate: GateKind, seen: GateResult) -> bool:
    facts = gate.facts
    known = tuple(facts.get(name) for name in ("metric", "slice", "against"))
    return (gate.name, gate.kind) == (seen.name, seen.kind) and known == (seen.metric, seen.slice, seen.against)


def _discordance(seen: Sequence[GateResult]) -> float | None:
    counts = [(gate.n, gate.gained + gate.lost) for gate in seen if gate.n and _is_counted(gate)]  # type: ignore[operator]
    rows = sum(n for n, _ in counts)
    # Without a discordant row so far, count one: a share of exactly zero would promise too much.
    return max(sum(differing for _, differing in counts), 1) / rows if rows else None


def _is_counted(gate: GateResult) -> bool:
    return gate.gained is not None and gate.lost is not None and gate.kind != "found_slices"


def _accuracy(seen: Sequence[GateResult]) -> float | None:
    shares = [(gate.n, gate.candidate_value) for gate in seen if gate.n and gate.metric in ("accuracy", "recall")]
    known = [(n, value) for n, value in shares if n is not None and value is not None and 0 <= value <= 1]
    rows = sum(n for n, _ in known)
    return sum(n * value for n, value in known) / rows if rows else None


@dataclass(frozen=True)
class JointChance:
    """The chance that a model that is truly as good passes all gates at once, and what it depends on.

    `by_gate` are the chances of each gate alone, of those that could be simulated; `left_out` names the others, which
    are taken to hold. `rows_needed` is about how many test rows of the same mix bring the chance to 80 %, None where
    16 times the rows do not. `versions` is how many earlier verdicts the rates are from, 0 for assumed rates.
    """

    chance: float
    by_gate: Mapping[str, float]
    left_out: tuple[str, ...]
    rows: int
    rows_needed: int | None
    versions: int

    @property
    def bottleneck(self) -> str | None:
        """The gate that passes least often; None where all pass always."""
        name = min(self.by_gate, key=lambda each: self.by_gate[each], default=None)
        return None if name is None or self.by_gate[name] >= 1 else name


def joint_chance(
    policy: GatePolicy,
    rows: pd.DataFrame,
    expected: Expected,
    classes: KnownClasses | None = None,
    validation: pd.DataFrame | None = None,
    draws: int = DRAWS,
    group: str | None = None,
) -> JointChance:
    """Simulate versions that are truly as good as their references, and decide all gates on the same drawn answers.

    `rows` are the test rows' slice columns, and `target` where it is known; `validation` likewise, for gates that
    search there. The rows stay as they are, the answers are drawn `draws` times: all three models are right equally
    often and differ on as many rows as `expected` says, in the slices of gates as often as was seen there. Whatever
    makes a gate harder, such as the extra row of its bootstrap, is in it, since the gates decide. Deterministic.
    """
    gates = [gate for gate in policy.gates if _is_simulated(gate, validation)]
    left_out = tuple(gate.name for gate in policy.gates if gate not in gates)
    drawn = _Drawn(gates, rows, expected, classes or KnownClasses(), validation, group)
    passed = drawn.passed(draws)
    chance = float(passed.all(axis=1).mean()) if gates else 1.0
    by_gate = {gate.name: float(share) for gate, share in zip(gates, passed.mean(axis=0), strict=True)}
    stopping = sorted(
        (gate for gate in gates if by_gate[gate.name] < _NEARLY_ALWAYS), key=lambda gate: by_gate[gate.name]
    )
    needed = (
        len(rows) if chance >= POWER else replace(drawn, gates=stopping).rows_needed(min(draws, DRAWS_OF_MORE_ROWS))
    )
    return JointChance(chance, by_gate, left_out, len(rows), needed, expected.versions)


def _is_simulated(gate: GateKind, validation: pd.DataFrame | None) -> bool:
    if isinstance(gate, FoundSlices):
        return validation is not None
    if isinstance(gate, Limit) and gate.metric is None:
        return False
    of_rows = isinstance(gate, NonInferiority | Limit | Plausibility)
    metric = str(getattr(gate, "metric", ""))
    return isinstance(gate, Flips | Calibration) or (of_rows and metric not in OF_SCORES and ":" not in metric)


@dataclass(frozen=True)
class _Drawn:
    """Answers that are drawn for fixed rows, and the gates that decide on them."""

    gates: Sequence[GateKind]
    rows: pd.DataFrame
    expected: Expected
    classes: KnownClasses
    validation: pd.DataFrame | None
    group: str | None

    def passed(self, draws: int) -> npt.NDArray[np.bool_]:
        """Return which gates let the candidate through in each draw, (draws, gates)."""
        return np.array([list(each) for each in islice(self._each(), draws)], dtype=bool).reshape(
            draws, len(self.gates)
        )

    def _each(self) -> Iterator[Iterator[bool]]:
        test = _Answers.of(self.rows, self.gates, self.expected)
        searched = None
        if self.validation is not None and any(isinstance(gate, FoundSlices) for gate in self.gates):
            searched = _Answers.of(self.validation, self.gates, self.expected)
        return (self._once(test, searched, seed) for seed in count())

    def _once(self, test: "_Answers", searched: "_Answers | None", seed: int) -> Iterator[bool]:
        evidence = test.evidence(np.random.default_rng([seed, 0]), self.classes, self.group)
        if searched is not None:
            before = searched.evidence(np.random.default_rng([seed, 1]), self.classes, self.group)
            evidence = replace(evidence, validation=before)
        for gate in self.gates:
            result = gate.evaluate(evidence)
            yield result.outcome == "pass" or not result.blocking

    def rows_needed(self, draws: int) -> int | None:
        """Return about how many rows of the same mix bring the joint chance to 80 %; None beyond 16 times as many."""
        low, high = 1.0, 2.0
        while not self._suffices(high, draws):
            low, high = high, 2 * high
            if high > MOST_TIMES:
                return None
        while high / low > _NEAR:
            middle = math.sqrt(low * high)
            low, high = (low, middle) if self._suffices(middle, draws) else (middle, high)
        return _rounded(high * len(self.rows))

    def _suffices(self, times: float, draws: int) -> bool:
        """Return True where at least 80 % of the draws pass with so many times the rows; ends when too many did not."""
        validation = None if self.validation is None else _repeated(self.validation, times, self.group)
        grown = replace(self, rows=_repeated(self.rows, times, self.group), validation=validation)
        failed = accumulate(not all(passed) for passed in islice(grown._each(), draws))
        return all(each <= (1 - POWER) * draws for each in failed)


def _repeated(rows: pd.DataFrame, times: float, group: str | None) -> pd.DataFrame:
    """Return the rows over and over, in an order that is random and fixed, so that every mix stays as it is.

    Groups of rows become more, not larger.
    """
    order, size = np.random.default_rng(0).permutation(len(rows)), round(times * len(rows))
    more = rows.iloc[np.resize(order, size)].reset_index(drop=True)
    if group is None:
        return more
    turn = pd.Series(np.arange(size) // len(rows)).astype(str)
    return more.assign(**{group: more[group].astype(str) + " of turn " + turn})


def _rounded(count: float) -> int:
    step = 10 ** max(math.floor(math.log10(count)) - 1, 0)
    return int(math.ceil(count / step) * step)


@dataclass(frozen=True)
class _Answers:
    """Rows with the accuracy and, for each reference, the discordance that their answers are drawn with."""

    rows: pd.DataFrame
    accuracy: Floats
    correlations: Mapping[str, Floats]
    asked: tuple[object, ...]
    are_scored: bool

    @classmethod
    def of(cls, rows: pd.DataFrame, gates: Sequence[GateKind], expected: Expected) -> "_Answers":
        """Give each row the rates of the smallest slice that it is in and whose rates were seen."""
        index = SliceIndex(rows)
        accuracy = np.full(len(rows), expected.accuracy)
        compared = (str(getattr(gate, "against", None) or "parent") for gate in gates)
        references = dict.fromkeys(("parent", *compared))
        rates = {against: np.full(len(rows), expected.discordance) for against in references}
        seen = [(mask, gate) for gate in gates if (mask := _mask_of(gate, rows, index)) is not None]
        for mask, gate in sorted(seen, key=lambda each: -int(each[0].sum())):
            rate = expected.by_gate.get(gate.name)
            if rate is not None and rate.accuracy is not None:
                accuracy[mask] = rate.accuracy
            if rate is not None and rate.discordance is not None:
                # Where nothing is known of what runs now, it is taken to differ as the parent does.
                for against in (
                    rates if getattr(gate, "against", "parent") == "parent" else [str(gate.facts["against"])]
                ):
                    rates[against][mask] = rate.discordance
        accuracy = np.clip(accuracy, _LEAST, 1 - _LEAST)
        correlations = {against: _correlations(accuracy, rate) for against, rate in rates.items()}
        asked = {
            str(of): of for gate in gates if getattr(gate, "metric", "") == "auroc" and (of := _of(gate)) is not None
        }
        return cls(
            rows, accuracy, correlations, tuple(asked.values()), any(isinstance(gate, Calibration) for gate in gates)
        )

    def evidence(self, random: np.random.Generator, classes: KnownClasses, group: str | None) -> Evidence:
        """Draw the answers of models that are right equally often, each row by itself."""
        latent = random.standard_normal(len(self.rows))
        wrong = random.integers(0, 1 << 30, len(self.rows))
        models = {"candidate": latent}
        for against, correlation in self.correlations.items():
            own = random.standard_normal(len(self.rows))
            models[against] = correlation * latent + np.sqrt(1 - correlation**2) * own
        measured = {name: ModelEvidence(self._frame(values, wrong), None) for name, values in models.items()}
        return Evidence(
            measured["candidate"],
            measured["parent"],
            measured.get("deployed"),
            anchor=measured.get("anchor"),
            classes=classes,
            group=group,
        )

    def _frame(self, latent: Floats, wrong: npt.NDArray[np.int64]) -> pd.DataFrame:
        margin = scipy.stats.norm.ppf(self.accuracy) - latent
        right = margin > 0
        sure = scipy.special.expit(_SHARPNESS * margin)  # the probability of the right answer
        frame = self.rows.assign(row_id=np.arange(len(right)), score=right.astype(float))
        if self.are_scored:
            scores = row_scores(np.column_stack([sure, 1 - sure]), np.zeros(len(right), dtype=np.intp))
            frame = frame.assign(brier=scores["brier"], log_loss=scores["log_loss"])
        if "target" not in frame.columns:
            return frame.assign(prediction=right)
        target = self.rows["target"].to_numpy()
        codes, named = pd.factorize(target)
        other = (codes + 1 + wrong % max(len(named) - 1, 1)) % len(named)
        said = np.asarray(named)[np.where(right, codes, other)]
        for of in self.asked:
            truly = np.array([is_class(value, of) for value in target], dtype=bool)
            frame[f"p({of})"] = np.where(truly, sure, 1 - sure)
        return frame.assign(prediction=said)


def _of(gate: GateKind) -> object:
    return getattr(gate, "of", None)


def _mask_of(gate: GateKind, rows: pd.DataFrame, index: SliceIndex) -> npt.NDArray[np.bool_] | None:
    """Return the rows that a gate's counts are of; None for a gate without counts, or without rows."""
    if not isinstance(gate, NonInferiority | Flips | Limit | Plausibility):
        return None
    try:
        mask = index.mask(gate.slice)
    except EvidenceError:
        return None
    if getattr(gate, "metric", "") == "recall" and "target" in rows.columns:
        mask = mask & np.array([is_class(value, _of(gate)) for value in rows["target"]], dtype=bool)
    return mask


def _correlations(accuracy: Floats, discordance: Floats) -> Floats:
    pairs, place = np.unique(np.column_stack([accuracy, discordance]), axis=0, return_inverse=True)
    found = np.array([_correlation(round(float(a), 4), round(float(d), 4)) for a, d in pairs])
    return found[place.ravel()]


@lru_cache(maxsize=4096)
def _correlation(accuracy: float, discordance: float) -> float:
    """Return the correlation of two normal variables that fall on different sides of a quantile so often."""
    wrong, cut = 1 - accuracy, scipy.stats.norm.ppf(1 - accuracy)

    def excess(correlation: float) -> float:
        both = scipy.stats.multivariate_normal.cdf([cut, cut], cov=[[1, correlation], [correlation, 1]])
        return float(2 * (wrong - both) - discordance)

    if excess(0.0) <= 0:
        return 0.0
    return 1.0 if excess(0.99999) >= 0 else float(scipy.optimize.brentq(excess, 0.0, 0.99999, xtol=1e-5))
