"""Extreme rows: what one row more could be, made of the rows that were measured, for metrics that are black boxes."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from quality_gates.evidence import is_answer
from quality_gates.policy import WORST_SCORES

MOST = 100  # rows that a metric is tried on
FEW_VALUES = 20  # of a column whose values are told apart
WIDEST = 8


def extreme_rows(candidate: pd.DataFrame, reference: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return rows with a good answer, and the same rows with a bad one, from both models' own rows side by side.

    They are rows on which the models differ most, and rows of every class and slice with a right and a wrong answer.
    Where nothing tells how wrong an answer can be, it is twice as wrong as any.
    """
    pairs = [_as_they_are(candidate, reference)]
    places = _places(candidate)
    if "target" in candidate:
        numbers = pd.api.types.is_float_dtype(candidate["target"])
        made = _far_off(candidate, reference, places) if numbers else _of_classes(candidate, reference, places)
    else:
        made = _moved(candidate, reference, places)
    pairs += [(good.assign(score=first), bad.assign(score=second))
              for good, bad in [made] for first, second in _scores(candidate, reference)]  # fmt: skip
    good, bad = (pd.concat(side, ignore_index=True) for side in zip(*pairs, strict=True))
    return good, bad


def _as_they_are(candidate: pd.DataFrame, reference: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    differing = abs(candidate["score"] - reference["score"]).to_numpy(dtype=float)
    widest = np.argsort(-differing, kind="stable")[:WIDEST]
    return candidate.iloc[widest], reference.iloc[widest]


def _places(rows: pd.DataFrame) -> list[int]:
    """Return the first row of each value of a class and a slice column, and of each two of them."""
    described = [column for column in rows.columns if not is_answer(column)]
    told = [column for column in described if rows[column].nunique(dropna=False) <= FEW_VALUES]
    found = {0: None}
    for column in told:
        found |= dict.fromkeys(np.flatnonzero(~rows.duplicated(list({"target", column} & set(rows.columns)))).tolist())
    if "target" in rows:
        found |= dict.fromkeys(np.flatnonzero(~rows.duplicated(["target"])).tolist())
    return list(found)


def _of_classes(
    candidate: pd.DataFrame, reference: pd.DataFrame, places: list[int]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    named = [*dict.fromkeys([*candidate["target"], *candidate["prediction"], *reference["prediction"]])]
    told = [(place, wrong) for place in places for wrong in named if wrong != candidate["target"].tolist()[place]]
    told = [told[index] for index in np.unique(np.linspace(0, max(len(told) - 1, 0), MOST).astype(int)) if told]
    rows, wrong = candidate.iloc[[place for place, _ in told]], [answer for _, answer in told]
    right = rows["target"].tolist()
    return _answered(rows, candidate, reference, right, right), _answered(rows, candidate, reference, wrong, right)


def _answered(
    rows: pd.DataFrame, candidate: pd.DataFrame, reference: pd.DataFrame, said: list[object], right: list[object]
) -> pd.DataFrame:
    """Return rows that are answered with `said`, as surely as any model did."""
    answered = rows.assign(prediction=pd.Series(said, index=rows.index, dtype=rows["prediction"].dtype))
    wrong = np.array([one != other for one, other in zip(said, right, strict=True)])
    for column in rows.columns:
        both = pd.concat([candidate[column], reference[column]])
        if column == "confidence":
            answered[column] = both.max()
        elif str(column).startswith("p("):
            here = np.array([f"p({answer})" == column for answer in said])
            answered[column] = np.where(here, both.max(), both.min())
    for score, worst in WORST_SCORES.items():
        if score in rows:
            answered[score] = np.where(wrong, worst, 0.0)
    return answered


def _far_off(candidate: pd.DataFrame, reference: pd.DataFrame, places: list[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = candidate.iloc[places[:MOST]]
    if not pd.api.types.is_numeric_dtype(candidate["prediction"]):
        return rows, reference.iloc[places[:MOST]]
    target = candidate["target"].to_numpy(dtype=float)
    off = [abs(side["prediction"].to_numpy(dtype=float) - target) for side in (candidate, reference)]
    near, far = _widest(*off)
    here = rows["target"].to_numpy(dtype=float)
    return rows.assign(prediction=here + near), rows.assign(prediction=here + far)


def _moved(candidate: pd.DataFrame, reference: pd.DataFrame, places: list[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return rows with the answers of the rows that either model scores best and worst on."""
    rows, answers = candidate.iloc[places[:MOST]], [column for column in candidate.columns if is_answer(column)]
    both = pd.concat([candidate, reference], ignore_index=True)
    order = np.argsort(both["score"].to_numpy(dtype=float), kind="stable")
    kept = [column for column in answers if column not in ("row_id", "target")]
    best, worst = (rows.assign(**{column: both[column].tolist()[place] for column in kept}) for place in order[[-1, 0]])
    return best, worst


def _scores(candidate: pd.DataFrame, reference: pd.DataFrame) -> Iterator[tuple[float, float]]:
    """Yield the scores of a good and of a bad answer; of errors nothing says which of the two is the larger one."""
    ours, theirs = (side["score"].to_numpy(dtype=float) for side in (candidate, reference))
    if np.isin(ours, (0, 1)).all() and np.isin(theirs, (0, 1)).all():
        yield 1.0, 0.0
        return
    low, high = _widest(ours, theirs)
    yield high, low
    yield low, high


def _widest(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Return the smaller and the larger of the two numbers that differ most, the largest and its double if none do."""
    differing = abs(ours - theirs)
    if not differing.any():
        largest = float(abs(np.concatenate([ours, theirs])).max())
        return largest, 2 * largest
    place = int(np.lexsort((ours, theirs, differing))[-1])
    return float(min(ours[place], theirs[place])), float(max(ours[place], theirs[place]))
