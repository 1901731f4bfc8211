import math
from functools import cache
from statistics import NormalDist

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import gammaln, xlogy

from quality_gates.errors import GateError
from quality_gates.statistics.proportions import most_lost_at, rows_needed, score_bound, score_interval

# Two-sided intervals as printed; one-sided bounds at 0.975 make a 95 % interval.
PUBLISHED = [
    pytest.param(9, 3, 32, 0.975, -0.027, 0.390, id="Tango 1998"),
    pytest.param(0, 1, 44, 0.95, -0.096, 0.037, id="Tango 1998, one discordant pair, 90 %"),
    pytest.param(16, 8, 86, 0.975, -0.020, 0.207, id="Agresti and Min 2005"),
    pytest.param(1, 7, 21, 0.975, -0.517, -0.026, id="Fagerland, Lydersen and Laake 2014"),
    pytest.param(3, 1, 14, 0.975, -0.1670, 0.4327, id="Tang, Li and Tang 2010"),
    pytest.param(25, 2, 102, 0.975, 0.139, 0.321, id="Chang and others 2024"),
]
COUNTS = [(0, 13, 42), (5, 2, 42), (1, 1, 2), (3, 40, 500), (120, 80, 100_000), (0, 1, 1_000_000), (30, 12, 42)]


@pytest.mark.parametrize(("gained", "lost", "n", "confidence", "lower", "upper"), PUBLISHED)
def test_matches_published_intervals(
    gained: int, lost: int, n: int, confidence: float, lower: float, upper: float
) -> None:
    decimals = 4 if n == 14 else 3
    assert tuple(round(bound, decimals) for bound in score_interval(gained, lost, n, confidence)) == (lower, upper)


@pytest.mark.parametrize(("gained", "lost", "n"), [(0, 13, 42), (5, 2, 42), (3, 40, 500), (30, 12, 42), (1, 0, 30)])
def test_bound_solves_the_score_equation_with_a_numerically_found_nuisance(gained: int, lost: int, n: int) -> None:
    bound = score_bound(gained, lost, n, 0.95)

    def minus_log_likelihood(share_lost: float) -> float:
        discordant = xlogy(gained, share_lost + bound) + xlogy(lost, share_lost)
        return -float(discordant + xlogy(n - gained - lost, 1 - 2 * share_lost - bound))

    limits = (max(0.0, -bound), (1 - bound) / 2)
    share_lost = minimize_scalar(minus_log_likelihood, bounds=limits, method="bounded", options={"xatol": 1e-12}).x
    score = (gained - lost - n * bound) / math.sqrt(n * (2 * share_lost + bound * (1 - bound)))
    assert score == pytest.approx(NormalDist().inv_cdf(0.95), abs=1e-4)


@pytest.mark.parametrize(("gained", "lost", "n"), COUNTS)
def test_interval_holds_the_estimate_and_mirrors_when_the_models_swap(gained: int, lost: int, n: int) -> None:
    lower, upper = score_interval(gained, lost, n, 0.95)
    assert -1 <= lower < (gained - lost) / n < upper <= 1
    assert score_interval(lost, gained, n, 0.95) == (-upper, -lower)


@pytest.mark.parametrize("confidence", [0.501, 0.8, 0.95, 0.999])
def test_corners_have_their_closed_form(confidence: float) -> None:
    z2 = NormalDist().inv_cdf(confidence) ** 2
    assert score_interval(0, 0, 42, confidence) == pytest.approx((-z2 / (42 + z2), z2 / (42 + z2)))
    assert score_interval(0, 42, 42, confidence) == pytest.approx((-1, -(42 - z2) / (42 + z2)))
    assert score_interval(42, 0, 42, confidence) == pytest.approx(((42 - z2) / (42 + z2), 1))
    near = score_interval(0, 41, 42, confidence)
    assert -1 < near[0] < -41 / 42 < near[1]


def test_one_row_can_be_anything() -> None:
    for gained, lost in ((0, 0), (0, 1), (1, 0)):
        lower, upper = score_interval(gained, lost, 1, 0.95)
        assert -1 <= lower < upper <= 1


def test_bound_falls_with_every_lost_row_and_rises_with_every_gained_one() -> None:
    bounds = np.array([[score_bound(gained, lost, 40, 0.95) for lost in range(20)] for gained in range(20)])
    assert (np.diff(bounds, axis=1) < 0).all()
    assert (np.diff(bounds, axis=0) > 0).all()


def test_more_confidence_or_fewer_rows_widen_the_interval() -> None:
    narrow, confident, fewer = (score_interval(*case) for case in ((2, 6, 80, 0.9), (2, 6, 80, 0.99), (1, 3, 40, 0.9)))
    assert confident[0] < narrow[0] and narrow[1] < confident[1]
    assert fewer[0] < narrow[0] and narrow[1] < fewer[1]


@pytest.mark.parametrize("counts", [(-1, 0, 5), (0, -1, 5), (3, 3, 5), (0, 0, 0)])
def test_impossible_counts_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(GateError, match="gained \\+ lost <= n"):
        score_interval(*counts, 0.95)


@pytest.mark.parametrize("confidence", [0.5, 1.0, 95.0, float("nan")])
def test_impossible_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(GateError, match="confidence between"):
        score_interval(0, 0, 5, confidence)


@cache
def _passes(gained: int, lost: int, n: int, margin: float) -> bool:
    return score_bound(gained, lost, n, 0.95) > -margin


def _chance_to_pass(n: int, margin: float, share_gained: float, share_lost: float) -> float:
    """The exact chance, over all tables with a probability that matters."""
    gained, lost = (counts.ravel() for counts in np.meshgrid(np.arange(n + 1), np.arange(n + 1)))
    possible = gained + lost <= n
    gained, lost = gained[possible], lost[possible]
    same = n - gained - lost
    ways = gammaln(n + 1) - gammaln(gained + 1) - gammaln(lost + 1) - gammaln(same + 1)
    log_chance = ways + xlogy(gained, share_gained) + xlogy(lost, share_lost)
    chance = np.exp(log_chance + xlogy(same, 1 - share_gained - share_lost))
    likely = np.flatnonzero(chance > 1e-8)
    return float(sum(chance[i] for i in likely if _passes(int(gained[i]), int(lost[i]), n, margin)))


@pytest.mark.parametrize("share_gained", [0.0, 0.005, 0.03, 0.08])
@pytest.mark.parametrize(
    ("n", "margin", "at_most"),
    [(12, 0.2, 0.082), (25, 0.1, 0.082), (42, 0.1, 0.071), (100, 0.05, 0.071), (200, 0.02, 0.061), (300, 0.05, 0.061)],
)
def test_a_loss_of_the_margin_passes_no_more_often_than_documented(
    n: int, margin: float, at_most: float, share_gained: float
) -> None:
    assert _chance_to_pass(n, margin, share_gained, share_gained + margin) <= at_most


def test_a_loss_of_twice_the_margin_hardly_ever_passes() -> None:
    assert _chance_to_pass(200, 0.05, 0.02, 0.12) < 0.001


@pytest.mark.parametrize(
    ("discordance", "margin"), [(0.02, 0.05), (0.05, 0.05), (0.1, 0.1), (0.2, 0.1), (0.05, 0.1), (0.1, 0.05)]
)
def test_rows_needed_give_the_power_that_was_asked_for(discordance: float, margin: float) -> None:
    n = rows_needed(discordance, margin, 0.95)
    assert n is not None
    assert _chance_to_pass(n, margin, discordance / 2, discordance / 2) == pytest.approx(0.8, abs=0.08)


@pytest.mark.parametrize("margin", [0.01, 0.02, 0.05, 0.1])
def test_without_discordance_rows_needed_is_the_fewest_that_can_pass(margin: float) -> None:
    n = rows_needed(0.0, margin, 0.95)
    assert n is not None
    assert score_bound(0, 0, n, 0.95) > -margin >= score_bound(0, 0, n - 1, 0.95)


def test_rows_needed_grow_with_discordance_and_power_and_have_no_end_at_margin_zero() -> None:
    few, more, surer = rows_needed(0.05, 0.05, 0.95), rows_needed(0.1, 0.05, 0.95), rows_needed(0.05, 0.05, 0.95, 0.9)
    assert few is not None and more is not None and surer is not None
    assert few < more and few < surer
    assert rows_needed(0.1, 0.0, 0.95) is None


@pytest.mark.parametrize(
    "bad", [(-0.1, 0.1, 0.95, 0.8), (5.0, 0.1, 0.95, 0.8), (0.1, 5.0, 0.95, 0.8), (0.1, 0.1, 0.95, 80)]
)
def test_percentages_are_refused(bad: tuple[float, float, float, float]) -> None:
    with pytest.raises(GateError, match="not percentages"):
        rows_needed(*bad)


@pytest.mark.parametrize(
    ("gained", "n", "margin"), [(0, 42, 0.1), (3, 42, 0.1), (5, 200, 0.02), (42, 42, 0.1), (4, 90, 0.0)]
)
def test_most_lost_is_the_edge_of_passing(gained: int, n: int, margin: float) -> None:
    most = most_lost_at(gained, n, margin, 0.95)
    assert most is not None
    assert score_bound(gained, most, n, 0.95) > -margin
    assert most == n - gained or score_bound(gained, most + 1, n, 0.95) <= -margin


def test_most_lost_is_none_when_the_rows_are_too_few() -> None:
    assert most_lost_at(0, 20, 0.1, 0.95) is None
    assert most_lost_at(0, 1000, 0.0, 0.95) is None
