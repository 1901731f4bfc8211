"""Suggested margins and floors: `gates plan` calls them decidable, and a model like the parent holds them."""

import numpy as np
import pandas as pd
import pytest

from deployments.answers import AnsweredRows
from deployments.errors import ConfigurationError
from deployments.workload import Split
from flows.first_files.suggestions import CONFIDENCE, DISCORDANCE, margin_for, suggest
from quality_gates.statistics import POWER, rows_needed, share_bounds
from tests.flows.output_kinds import Binary, Values, Vectors

ROWS = 400


def split(rows: int) -> Split:
    site = np.where(np.arange(rows) % 4 == 0, "north", "south")
    return Split((np.zeros((rows, 8), np.float32),), np.arange(rows) % 2, pd.DataFrame({"site": site}))


def answered(wrong_in_north: float) -> AnsweredRows:
    scores = np.ones(ROWS)
    north = np.flatnonzero(np.arange(ROWS) % 4 == 0)
    scores[north[: int(len(north) * wrong_in_north)]] = 0
    return AnsweredRows(np.zeros(ROWS), scores, np.ones(ROWS, dtype=bool))


@pytest.mark.parametrize("rows", [100, 400, 2_000, 20_000])
def test_a_margin_is_the_smallest_that_equal_models_pass_mostly(rows: int) -> None:
    margin = margin_for(rows, DISCORDANCE)
    assert margin is not None
    assert (rows_needed(DISCORDANCE, margin, CONFIDENCE, POWER) or 0) <= rows
    assert margin == 0.005 or (rows_needed(DISCORDANCE, margin / 2, CONFIDENCE, POWER) or 0) > rows


def test_a_few_rows_have_no_margin() -> None:
    assert margin_for(5, DISCORDANCE) is None


def test_the_slice_that_is_answered_worst_is_critical() -> None:
    found = suggest(Binary(), split(ROWS), split(ROWS), answered(0.2), ())
    assert [(each.column, each.equals, each.value) for each in found.critical] == [("site", "north", 0.8)]
    assert found.whole.value == 0.95 and found.guess == 0.5 and not found.looks_wrong


def test_a_floor_is_held_by_a_model_that_loses_the_margin() -> None:
    (critical,) = suggest(Binary(), split(ROWS), split(ROWS), answered(0.2), ()).critical
    assert critical.floor is not None and critical.margin is not None
    right = int((critical.value - critical.margin) * critical.rows)
    assert critical.floor <= share_bounds(right, critical.rows, CONFIDENCE)[0] < critical.floor + 0.05


def test_a_slice_may_be_named() -> None:
    found = suggest(Binary(), split(ROWS), split(ROWS), answered(0.2), ["site=south"])
    assert [each.slice_said for each in found.critical] == ["site = south"]


@pytest.mark.parametrize("named", ["site", "site=west", "place=north"])
def test_a_slice_without_rows_is_one_sentence(named: str) -> None:
    with pytest.raises(ConfigurationError, match="--critical: expected COLUMN=VALUE of a slice column"):
        suggest(Binary(), split(ROWS), split(ROWS), answered(0.2), [named])


def test_a_model_that_guesses_is_seen() -> None:
    scores = (np.arange(ROWS) % 2).astype(float)
    assert suggest(Binary(), split(ROWS), split(ROWS), AnsweredRows(scores, scores, scores > -1), ()).looks_wrong


def test_errors_have_margins_in_their_unit() -> None:
    scores = np.full(ROWS, -0.321)
    found = suggest(Values(), split(ROWS), split(ROWS), AnsweredRows(scores, scores, scores < 0), ())
    assert found.metric == "mae" and (found.whole.margin, found.whole.floor) == (0.032, 0.4)


class Judged(Vectors):
    """A score of its own, of which nothing is known."""

    def score(self, outputs: np.ndarray, _targets: np.ndarray) -> np.ndarray:
        return outputs[:, 0]


def test_scores_of_another_kind_are_refused() -> None:
    scores = np.linspace(0, 1, ROWS)
    with pytest.raises(ConfigurationError, match="expected scores of 0 and 1 or of errors"):
        suggest(Judged(), split(ROWS), split(ROWS), AnsweredRows(scores, scores, scores >= 0), ())


def test_mean_scores_have_the_margin_that_equal_models_pass_and_a_floor_below() -> None:
    scores = np.where(np.arange(ROWS) % 4 == 0, 0.4, 0.9) + np.where(np.arange(ROWS) % 2, 0.05, -0.05)
    found = suggest(Vectors(), split(ROWS), split(ROWS), AnsweredRows(scores, scores, scores > 0), ())
    assert found.metric == "mean_score" and found.whole.value == pytest.approx(0.775)
    # Twice 1.2 standard deviations of half of 0.23, over 20: 0.0144 would do.
    assert found.whole.margin == 0.02 and found.whole.floor == 0.7
    assert [each.equals for each in found.critical] == ["north"] and found.critical[0].value == pytest.approx(0.35)
    few = suggest(Vectors(), split(ROWS), split(1), AnsweredRows(scores, scores, scores > 0), ()).whole
    assert few.margin is None and few.floor is None and few.needed == 2
