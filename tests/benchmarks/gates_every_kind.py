"""Every kind of gate and every metric at its limit, by simulation: false passes, power, and absent and rare classes.

Each cell draws whole splits, lets the gate itself decide, and compares the share that passes with the nominal 5 %. The
true difference is known: it is computed on 200,000 rows of the same law, or given by it.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markdown import Markdown
from scipy.special import expit, softmax

from edge_runtime.measurement import Figures
from quality_gates.evidence import (
    AnsweringCpu,
    Evidence,
    KnownClasses,
    ModelEvidence,
    ParityMeasurement,
    RepeatedFigures,
)
from quality_gates.gates import GatePolicy, decide
from quality_gates.representativeness import RepresentativenessPolicy, Sample, hold_against
from quality_gates.statistics import PROCESSES, least_found_loss, row_scores
from tests.benchmarks.record import Figure, record

Random: TypeAlias = np.random.Generator
Models: TypeAlias = tuple[pd.DataFrame, pd.DataFrame]
TRIALS, FEWER, MANY = 400, 100, 2000
LARGE = 200_000
LARGEST_ERROR = 40.0
NOMINAL = 5.0


def _with_noise(trials: int) -> float:
    """Return the nominal level with the Monte-Carlo error of one cell, 3 standard errors, in percent."""
    return NOMINAL + 100 * 3 * (0.05 * 0.95 / trials) ** 0.5


CLASSES = 4
NOTES = f"""\
{TRIALS} splits in each cell ({FEWER} for power, rare classes and the metric of the workload, {MANY:,} for limits on
resources), decided by the gate itself at a confidence of 95 %. The goal is 5 % and three standard errors of the cell.
At the limit, the candidate is worse than the parent, and margin or limit is exactly its true loss or value, taken on
{LARGE:,} rows of the same law. Power: models that are truly equal, at twice that margin. Rare classes: the candidate
never finds a class that has so many test rows; the margin is half of the true loss. Heavy tail: 0.5 % of the rows err
by 20 more, a loss of exactly the margin; {LARGEST_ERROR:g} is stated as the largest error there can be. Limits on
resources: a figure that varies by 20 % between processes. Found slices: a region of `min_rows` rows lost as much as the
gate says that it could have found. Representativeness: effects of 0.05 are allowed."""


@dataclass(frozen=True)
class Cell:
    """A metric or kind with the law of its rows and the gate that holds it; `true` is read off a large sample."""

    name: str
    law: Callable[[Random, int, bool], Models]
    gate: Callable[[float], dict[str, Any]]
    true: Callable[[Models], float]
    n: int = 400
    trials: int = TRIALS


def main() -> None:
    """Measure all figures, telling each as it is known, and record them."""
    parts = at_the_limit, with_equal_models, rare_classes, noise, exact_kinds, sites, resolution, tails
    figures = []
    for figure in chain.from_iterable(part() for part in parts):
        sys.stderr.write(f"{figure}\n")
        figures.append(figure)
    table = record("gates_every_kind", "make bench-gates", figures, NOTES)
    Console().print(Markdown(table))


def at_the_limit() -> Iterator[Figure]:
    """False passes where the true loss, or value, is exactly what the gate allows."""
    for cell in CELLS:
        limit = _true(cell)
        passed = _share(_drawing(cell, True), cell.gate(limit), cell.trials)
        name = f"false passes at the limit, {cell.name}, n = {cell.n}"
        yield Figure(name, passed, _with_noise(cell.trials), "%", "at_most")


def with_equal_models() -> Iterator[Figure]:
    """Power of the comparisons: models that are equal in truth, and a margin of twice the loss at the limit."""
    for cell in CELLS:
        if cell.name.startswith(("limit", "plausibility")):
            continue
        passed = _share(_drawing(cell, False), cell.gate(2 * _true(cell)), FEWER)
        yield Figure(f"power, {cell.name}, n = {cell.n}", passed, 50, "%", "at_least")


@cache
def _true(cell: Cell) -> float:
    return cell.true(cell.law(np.random.default_rng(99), LARGE, True))


def _drawing(cell: Cell, worse: bool) -> Callable[[Random], Models]:
    return lambda random: cell.law(random, cell.n, worse)


def _share(
    law: Callable[[Random], Models], gate: dict[str, Any], trials: int = TRIALS, known: KnownClasses | None = None
) -> float:
    policy, passed = GatePolicy.model_validate({"gates": [{"name": "gate", "confidence": 0.95} | gate]}), 0
    for seed in range(trials):
        candidate, parent = law(np.random.default_rng(seed))
        evidence = _evidence(candidate, parent)
        evidence = evidence if known is None else replace(evidence, classes=known)
        passed += decide(policy, evidence).gates[0].outcome == "pass"
    return 100 * passed / trials


def _evidence(candidate: pd.DataFrame, parent: pd.DataFrame) -> Evidence:
    functions = {"own:accuracy": lambda rows: float(rows["score"].mean())}
    return Evidence(ModelEvidence(candidate, None), ModelEvidence(parent, None), None, functions=functions)


def _classes(random: Random, n: int, worse: bool) -> Models:
    """Four classes of unequal shares; the parent is wrong in 10 % of the rows, the candidate in 16 % if it is worse."""
    target = random.choice(CLASSES, n, p=[0.4, 0.3, 0.2, 0.1])
    right = random.random(n) < 0.9
    lost, gained = (0.08, 0.2) if worse else (0.02, 0.18)
    ours = np.where(right, random.random(n) >= lost, random.random(n) < gained)
    shift = 1 + random.integers(0, CLASSES - 1, n)
    frames = (_answered(target, answered, shift) for answered in (ours, right))
    candidate, parent = frames
    return candidate, parent


def _answered(target: np.ndarray, right: np.ndarray, shift: np.ndarray) -> pd.DataFrame:
    said = np.where(right, target, (target + shift) % CLASSES)
    rows = {"row_id": np.arange(len(target)), "target": target, "prediction": said, "score": right.astype(float)}
    return pd.DataFrame(rows)


def _ranked(random: Random, n: int, worse: bool) -> Models:
    """A class of 30 % of the rows, ranked by a score; the candidate's is noisier if it is worse."""
    target = (random.random(n) < 0.3).astype(int)
    latent = 1.5 * target + random.normal(size=n)
    scores = (latent + (0.9 if worse else 0.5) * random.normal(size=n), latent + 0.5 * random.normal(size=n))
    frames = [
        pd.DataFrame({"row_id": np.arange(n), "target": target, "prediction": (score > 0.75).astype(int)})
        .assign(score=lambda rows: (rows["prediction"] == rows["target"]).astype(float))
        .assign(**{"p(1)": expit(score)})
        for score in scores
    ]
    return frames[0], frames[1]


def _errors(random: Random, n: int, worse: bool) -> Models:
    """Errors of a gamma law; the candidate's are 10 % larger if it is worse."""
    base = random.gamma(2, 0.5, n)
    ours = base * random.uniform(0.7, 1.3, n) * (1.1 if worse else 1.0)
    theirs = base * random.uniform(0.7, 1.3, n)
    frames = (
        pd.DataFrame({"row_id": np.arange(n), "target": base * 3, "prediction": base * 3 + error, "score": -error})
        for error in (ours, theirs)
    )
    candidate, parent = frames
    return candidate, parent


def _scored(random: Random, n: int, worse: bool) -> Models:
    """Probabilities of four classes; the candidate's are twice as sharp if it is worse, else moved a little."""
    outputs = random.normal(size=(n, CLASSES))
    outputs[np.arange(n), random.integers(0, CLASSES, n)] += 3
    true = softmax(outputs, axis=1)
    right = np.minimum((true.cumsum(axis=1) > random.random((n, 1))).argmax(axis=1), CLASSES - 1)
    moved = 2 * outputs if worse else outputs + 0.3 * random.normal(size=outputs.shape)
    theirs = outputs + 0.3 * random.normal(size=outputs.shape)
    frames = []
    for logits in (moved, theirs):
        shares, said = softmax(logits, axis=1), logits.argmax(axis=1)
        rows = {"row_id": np.arange(n), "target": right, "prediction": said, "score": (said == right).astype(float)}
        frames.append(pd.DataFrame(rows).assign(**row_scores(shares, right)))
    return frames[0], frames[1]


def _value(metric: str, of: int | None = None) -> Callable[[pd.DataFrame], float]:
    def value(rows: pd.DataFrame) -> float:
        if metric in ("mae", "rmse"):
            return float(abs(rows["score"]).mean() if metric == "mae" else np.sqrt((rows["score"] ** 2).mean()))
        if metric in ("brier", "log_loss"):
            return float(rows[metric].mean())
        if metric == "auroc":
            ranks = rows[f"p({of})"].rank()
            positive = rows["target"] == of
            count = int(positive.sum())
            return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(rows) - count)))
        if metric == "accuracy":
            return float(rows["score"].mean())
        return _of_classes(metric, of, rows["target"].to_numpy(), rows["prediction"].to_numpy())

    return value


def _of_classes(metric: str, of: int | None, target: np.ndarray, said: np.ndarray) -> float:
    """Write the metrics of classes once more, apart from the code that is under test."""
    recall = np.array([np.mean(said[target == c] == c) for c in range(CLASSES)])
    precision = np.array([np.mean(target[said == c] == c) for c in range(CLASSES)])
    f1 = 2 * recall * precision / (recall + precision)
    named = {"recall": recall, "precision": precision, "f1": f1}
    if metric in named:
        return float(named[metric][of or 0])
    return float(recall.mean() if metric == "balanced_accuracy" else f1.mean())


def _loss(metric: str, of: int | None = None) -> Callable[[Models], float]:
    value, sign = _value(metric, of), -1 if metric in ("mae", "rmse", "brier", "log_loss") else 1
    return lambda models: sign * (value(models[1]) - value(models[0]))


def _compared(metric: str, law: Callable[[Random, int, bool], Models], of: int | None = None, n: int = 400) -> Cell:
    gate = {"kind": "non_inferiority", "metric": metric, "against": "parent"} | ({} if of is None else {"of": of})
    return Cell(metric, law, lambda limit: gate | {"margin": limit}, _loss(metric, of), n)


def _flipped(models: Models) -> float:
    return float(((models[1]["score"] == 1) & (models[0]["score"] == 0)).mean())


def _believed(score: str) -> Cell:
    gate = {"kind": "calibration", "metric": score, "against": "parent"}
    return Cell(score, _scored, lambda limit: gate | {"margin": limit}, _loss(score), n=1000)


def _held(metric: str, law: Callable[[Random, int, bool], Models], of: int | None = None) -> Cell:
    key = "at_most" if metric in ("mae", "rmse") else "at_least"
    gate = {"kind": "limit", "metric": metric} | ({} if of is None else {"of": of})
    value = _value(metric, of)
    return Cell(f"limit on {metric}", law, lambda limit: gate | {key: limit}, lambda models: value(models[0]))


OWN = {"kind": "non_inferiority", "metric": "own:accuracy", "better": "higher", "against": "parent"}
CELLS = (
    _compared("accuracy", _classes),
    _compared("recall", _classes, of=3),
    _compared("precision", _classes, of=3),
    _compared("f1", _classes, of=3),
    _compared("macro_f1", _classes),
    _compared("balanced_accuracy", _classes),
    _compared("auroc", _ranked, of=1),
    _compared("mae", _errors),
    _compared("rmse", _errors),
    Cell("a metric of the workload", _classes, lambda limit: OWN | {"margin": limit}, _loss("accuracy"), 200, FEWER),
    Cell("flips", _classes, lambda limit: {"kind": "flips", "against": "parent", "at_most": limit}, _flipped),
    _believed("brier"),
    _believed("log_loss"),
    _held("accuracy", _classes),
    _held("recall", _classes, of=3),
    _held("macro_f1", _classes),
    _held("auroc", _ranked, of=1),
    _held("mae", _errors),
)


def rare_classes() -> Iterator[Figure]:
    """A class that the candidate never finds, with 0 to 10 test rows: no metric that is about it may pass."""
    known = KnownClasses((pd.DataFrame({"target": np.arange(200) % CLASSES}),))
    for metric, of in (("recall", 3), ("f1", 3), ("macro_f1", None), ("balanced_accuracy", None)):
        loss = 1.0 if of is not None else 1 / CLASSES
        gate = {"kind": "non_inferiority", "metric": metric, "against": "parent", "margin": loss / 2}
        gate |= {} if of is None else {"of": of}
        worst = max(_share(partial(_without, rare=rare), gate, FEWER, known) for rare in (0, 1, 2, 5, 10))
        name = f"false passes of {metric}, a lost class with 0, 1, 2, 5 or 10 rows, the worst"
        yield Figure(name, worst, _with_noise(FEWER), "%", "at_most")


def _without(random: Random, rare: int) -> Models:
    target = np.append(random.integers(0, CLASSES - 1, 300), np.full(rare, CLASSES - 1))
    right = random.random(len(target)) < 0.95
    shift = 1 + random.integers(0, CLASSES - 1, len(target))
    return _answered(target, right & (target != CLASSES - 1), shift), _answered(target, right, shift)


def noise() -> Iterator[Figure]:
    """A limit on a latency or on memory, with the true value at the limit, and 10 % below it."""
    for resource in ("latency_p50_ms", "peak_rss_mb"):
        at_limit, below = (_kept(resource, true) for true in (1.0, 0.75))
        yield Figure(
            f"false passes of a limit on {resource}, at the limit", at_limit, _with_noise(MANY), "%", "at_most"
        )
        yield Figure(f"power of a limit on {resource}, 25 % below it", below, 80, "%", "at_least")


def _kept(resource: str, true: float) -> float:
    gate = {"name": "gate", "kind": "limit", "resource": resource, "at_most": 1.0}
    policy, passed = GatePolicy.model_validate({"gates": [gate]}), 0
    figures = Figures(size_bytes=1, peak_rss_mb=1, load_ms=1, latency_p50_ms=1, latency_p99_ms=1)
    for seed in range(MANY):
        values = true * np.exp(0.2 * np.random.default_rng(seed).standard_normal(max(PROCESSES)))
        for count in PROCESSES:
            repeated = RepeatedFigures(1, {resource: tuple(values[:count].tolist())})
            evidence = replace(Evidence(ModelEvidence(None, figures), None, None), repeated=(repeated,))
            outcome = decide(policy, evidence).gates[0].outcome
            if outcome != "inconclusive":
                break
        passed += outcome == "pass"
    return 100 * passed / MANY


def exact_kinds() -> Iterator[Figure]:
    """Kinds that are not estimates: a difference just over what is allowed never passes, and one at it always does."""
    gate = {"name": "gate", "kind": "parity", "check": "batched_single", "at_most": 0.01, "rows_at_most": 0.02}
    policy = GatePolicy.model_validate({"gates": [gate]})
    rows, _ = _classes(np.random.default_rng(0), 100, False)
    over = [ParityMeasurement("batched_single", 100, 3, 0.0), ParityMeasurement("batched_single", 100, 0, 0.0101)]
    at_it = ParityMeasurement("batched_single", 100, 2, 0.01)
    passed = [decide(policy, replace(_evidence(rows, rows), parity=(seen,))).passed for seen in (*over, at_it)]
    yield Figure("parity, passes just over what is allowed", 50.0 * sum(passed[:2]), 0, "%", "at_most")
    yield Figure("parity, passes at what is allowed", 100.0 * passed[2], 100, "%", "at_least")
    own_set = GatePolicy.model_validate({"gates": [{"kind": "instruction_set"}]})
    cpus = [AnsweringCpu("this machine", name, "neon-dotprod") for name in ("avx2", None, "neon-dotprod")]
    on_cpus = [replace(_evidence(rows, rows), candidate=ModelEvidence(rows, None, answered_on=cpu)) for cpu in cpus]
    proven = [decide(own_set, seen).passed for seen in on_cpus]
    others = 50.0 * sum(proven[:2])
    yield Figure("instruction set, passes of answers from another or an unknown one", others, 0, "%", "at_most")
    yield Figure("instruction set, passes of answers from the device's own", 100.0 * proven[2], 100, "%", "at_least")
    plausible = {"kind": "plausibility", "metric": "accuracy"}
    gain = _loss("accuracy")(_classes(np.random.default_rng(99), LARGE, True))
    stopped = 100 - _share(lambda random: _classes(random, 400, True)[::-1], plausible | {"gain_at_most": gain})
    yield Figure("plausibility, alarms at a gain that is just plausible", stopped, _with_noise(TRIALS), "%", "at_most")


def sites() -> Iterator[Figure]:
    """Training rows held against a sample of the sites: of the same law, and with three times the allowed effect."""
    policy = RepresentativenessPolicy(
        label_prior=0.05, slice_shares=0.05, predictions=0.05, outputs=0.05, confidence=0.95, on_mismatch="fail"
    )
    laws: tuple[tuple[str, float, float, Literal["at_most", "at_least"]], ...] = (
        ("alarms", 0.0, _with_noise(TRIALS), "at_most"),
        ("finds", 0.2, 80, "at_least"),
    )
    for name, moved, goal, holds in laws:
        gate = GatePolicy.model_validate({"gates": [{"name": "gate", "kind": "representativeness"}]})
        refused = 0
        for seed in range(TRIALS):
            ours, theirs = (_site(np.random.default_rng([seed, part]), part * moved) for part in (0, 1))
            seen = hold_against(policy, {"train": ours}, theirs)
            held = replace(_evidence(*_classes(np.random.default_rng(0), 50, False)), representativeness=seen)
            refused += decide(gate, held).gates[0].outcome == "fail"
        words = "the same law" if name == "alarms" else "one class with 20 points more"
        yield Figure(f"representativeness, {name}, 1,000 rows, {words}", 100 * refused / TRIALS, goal, "%", holds)


def _site(random: Random, moved: float) -> Sample:
    target = random.choice(CLASSES, 1000, p=np.array([0.4, 0.3, 0.2, 0.1]) + np.array([-moved, moved, 0, 0]))
    outputs = 2 * np.eye(CLASSES)[target] + random.normal(size=(1000, CLASSES))
    slices = pd.DataFrame({"site": random.choice(["north", "south"], 1000)})
    return Sample.of(outputs.astype(np.float32), outputs.argmax(1), target, slices)


def resolution() -> Iterator[Figure]:
    """Regions of `min_rows` rows that lost what found_slices says that it could have found."""
    margin, carried = 0.1, 5
    for min_rows in (100, 200):
        least = least_found_loss(min_rows, 0.03, margin, 1 - 0.05 / carried, 0.8)
        gate = {"kind": "found_slices", "against": "parent", "min_rows": min_rows, "carried": carried, "margin": margin}
        policy = GatePolicy.model_validate({"gates": [{"name": "gate", "confidence": 0.95} | gate]})
        outcomes = [_found(policy, seed, min_rows, float(least or 0)) for seed in range(TRIALS)]
        refused = 100 * sum(outcome == "fail" for outcome in outcomes) / len(outcomes)
        name = f"found slices, regions of {min_rows} rows that lost {100 * float(least or 0):.0f} points, refused"
        yield Figure(name, refused, 80 - 3 * 100 * (0.16 / len(outcomes)) ** 0.5, "%", "at_least")
    nothing = GatePolicy.model_validate({"gates": [{"name": "gate", "confidence": 0.95} | gate | {"min_rows": 25}]})
    passed = sum(_found(nothing, seed, 25, 0.15, n=500) == "pass" for seed in range(FEWER))
    yield Figure("found slices, 500 rows that lost 15 points in 5 % of them, passes", float(passed), 0, "", "at_most")


def _found(policy: GatePolicy, seed: int, region: int, lost: float, n: int = 2000) -> str:
    test, validation = (_evidence(*_planted(np.random.default_rng([seed, part]), n, region, lost)) for part in (0, 1))
    return decide(policy, replace(test, validation=validation)).gates[0].outcome


def _planted(random: Random, n: int, region: int, lost: float) -> Models:
    line = np.where(np.arange(n) < region, 9, random.integers(0, 8, n))
    right = random.random(n) < 0.95
    flips = random.random(n) < 0.03
    ours = np.where(flips, random.random(n) < 0.5, right)
    theirs = np.where(flips, random.random(n) < 0.5, right)
    ours = ours & ~((line == 9) & (random.random(n) < lost / 0.94))
    frame = pd.DataFrame({"row_id": np.arange(n), "line": line, "site": random.integers(0, 4, n)})
    candidate, parent = (frame.assign(prediction=each, score=each.astype(float)) for each in (ours, theirs))
    return candidate, parent


def tails() -> Iterator[Figure]:
    """Errors with a rare large tail, a loss of exactly the margin: nothing sees a tail that is not in the sample."""
    for n in (50, 200, 2000):
        gate = {"kind": "non_inferiority", "metric": "mae", "against": "parent", "margin": 0.1}
        for stated, words in ({}, ""), ({"largest_error": LARGEST_ERROR}, ", largest error stated"):
            passed = _share(partial(_tailed, n=n), gate | stated)
            name = f"false passes of mae, heavy tail{words}, n = {n:,}"
            yield Figure(name, passed, _with_noise(TRIALS), "%", "at_most")
    equal = _share(lambda random: _errors(random, n, False), gate | {"largest_error": LARGEST_ERROR}, FEWER)
    yield Figure(f"power of mae, largest error stated, n = {n:,}", equal, 80, "%", "at_least")


def _tailed(random: Random, n: int) -> Models:
    candidate, parent = _errors(random, n, False)
    tail = 20 * (random.random(n) < 0.005)
    return candidate.assign(score=candidate["score"] - tail), parent


if __name__ == "__main__":
    main()
