"""What a finding says: what is off, by how much, and what to do."""

from quality_gates.representativeness.trials import Trial

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
    "knows its rows by heart. Choose them like the validation rows, teach on rows that the parent has not seen, or "
    "allow more in the recipe's `representativeness`."
)


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
    return f"Add such rows to {trial.set}: nothing was taught or calibrated on them."


def _remedy(trial: Trial) -> str:
    if trial.what == "outputs" and trial.held_out is not None and trial.held_out <= trial.allowed:
        return _BY_HEART.format(set=trial.set, held_out=trial.held_out)
    return _REMEDIES[trial.what].format(set=trial.set)
