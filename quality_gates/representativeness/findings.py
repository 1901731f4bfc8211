"""Findings: sets of rows are held against a sample from the deployment sites, and told in figures and sentences."""

from collections.abc import Mapping

import numpy as np

from quality_gates.errors import EvidenceError
from quality_gates.representativeness.comparisons import (
    Comparison,
    ComparisonOutcome,
    Representativeness,
    RepresentativenessPolicy,
)
from quality_gates.representativeness.trials import Trial, shared_columns, trials
from quality_gates.representativeness.two_sample import Sample
from quality_gates.statistics import holm

_SUBJECTS = {
    "label prior": "the label prior differs",
    "slice shares": "the shares of its values differ",
    "predictions": "what the parent answers differs",
    "outputs": "the parent's outputs differ",
}
_MEASURES = {"outputs": "Kolmogorov-Smirnov D"}
_REMEDIES = {
    "label prior": "Let {set} have the classes as the sites do, or allow more in the recipe's `representativeness`.",
    "slice shares": "Let {set} have the slices as the sites do, or allow more in the recipe's `representativeness`.",
    "predictions": "Add rows to {set} as the sites see them, or allow more in the recipe's `representativeness`.",
    "outputs": "Add rows to {set} as the sites see them, or allow more in the recipe's `representativeness`.",
}
_BY_HEART = (
    "Validation rows are within what is allowed (D {held_out:.3f}): either {set} was chosen otherwise, or the parent "
    "knows its rows by heart. Choose them like the validation rows, train on rows that the parent has not seen, or "
    "allow more in the recipe's `representativeness`."
)


def hold_against(
    policy: RepresentativenessPolicy, sets: Mapping[str, Sample], deployment: Sample, held_out: Sample | None = None
) -> Representativeness:
    """Compare every set with the deployment sample, overall and on each slice that both have a column for.

    A set differs where an effect is larger than allowed *and* shown: on many rows any difference is significant, on
    few any effect is large. The chance that a set is said to differ somewhere though all distributions are the same is
    at most 1 - confidence over all comparisons, for rows that are independent of each other: augmented copies are not,
    and count for less than their number. `held_out` are rows that no model was trained on, to tell a shift of the sites
    from a parent that knows its training rows by heart. Raises EvidenceError for outputs that are not finite.
    """
    for name, rows in {**sets, "the sample of the sites": deployment}.items():
        _check_finite(name, rows)
    tried = [trial for name, rows in sets.items() for trial in trials(name, rows, deployment, held_out, policy)]
    adjusted = iter(holm([trial.test.p for trial in tried if trial.test is not None]))
    comparisons = (_decided(trial, None if trial.test is None else next(adjusted), policy) for trial in tried)
    return Representativeness(
        comparisons=tuple(comparisons),
        notes=tuple(_notes(sets, deployment)),
        confidence=policy.confidence,
        on_mismatch=policy.on_mismatch,
    )


def _decided(trial: Trial, p: float | None, policy: RepresentativenessPolicy) -> Comparison:
    test = trial.test
    outcome: ComparisonOutcome = "undecided"
    if test is not None and p is not None:
        shown = p <= 1 - policy.confidence
        outcome = "alike" if test.effect <= trial.allowed else "differs" if shown else "undecided"
    return Comparison(
        set=trial.set,
        slice=trial.slice,
        what=trial.what,
        n=trial.n,
        n_deployment=trial.n_deployment,
        statistic=None if test is None or trial.what == "presence" else test.statistic,
        p=p,
        effect=None if test is None else test.effect,
        allowed=trial.allowed,
        held_out=trial.held_out,
        outcome=outcome,
        sentence=sentence(trial) if outcome == "differs" else "",
    )


def _check_finite(name: str, rows: Sample) -> None:
    bad = int((~np.isfinite(rows.figures).all(axis=1)).sum())
    if bad:
        raise EvidenceError(
            f"The parent's outputs are NaN or infinite on {bad} of {len(rows)} rows of {name}.",
            "Look at these rows for extreme values, or have the model repaired.",
        )


def _notes(sets: Mapping[str, Sample], deployment: Sample) -> list[str]:
    notes = []
    if deployment.targets is None:
        notes.append("The labels at the sites are not known: what the parent answers there is compared, no label.")
    for column in dict.fromkeys(str(column) for rows in sets.values() for column in rows.slices.columns):
        if not any(column in shared_columns(rows, deployment) for rows in sets.values()):
            notes.append(f"The sample of the sites has no column {column}: its slices are not compared.")
    return notes


def sentence(trial: Trial) -> str:
    """A finding for the person who chose the rows; `trial` has a test."""
    moved = "" if trial.test is None else trial.test.moved
    if trial.what == "presence":
        return f"{trial.set}, {trial.slice}: {moved}. {_missing(trial)}"
    effect = 0.0 if trial.test is None else trial.test.effect
    where = f", {trial.slice}" if trial.slice else ""
    measure = _MEASURES.get(trial.what, "Cramer's V")
    return (
        f"{trial.set}{where}: {_SUBJECTS[trial.what]} from the deployment sites ({measure} {effect:.3f}, at most "
        f"{trial.allowed:g} allowed; {trial.n:,} against {trial.n_deployment:,} rows): {moved}. {_remedy(trial)}"
    )


def _missing(trial: Trial) -> str:
    if trial.n:
        return "See that the sample has all that the model meets, or drop what it no longer meets."
    return f"Add such rows to {trial.set}: nothing was trained or calibrated on them."


def _remedy(trial: Trial) -> str:
    if trial.what == "outputs" and trial.held_out is not None and trial.held_out <= trial.allowed:
        return _BY_HEART.format(set=trial.set, held_out=trial.held_out)
    return _REMEDIES[trial.what].format(set=trial.set)
