import pytest

from quality_gates import tango
from quality_gates.plan import plan
from quality_gates.planning import rows_for_share
from quality_gates.policy import Flips, Limit
from tests.quality_gates.builders import against, eights, limit, policy, rows


def test_a_plan_says_which_gates_the_rows_can_decide() -> None:
    flips = Flips(name="flips", at_most=0.05, confidence=0.95)
    gates = policy(against(margin=0.05), eights(margin=0.02), limit(), flips, against("deployed", margin=0.0))  # type: ignore[arg-type]
    enough, few, budget, flipped, gain = plan(gates, rows(1000)[["label", "site"]], 0.05)
    assert (enough.rows, enough.needed, enough.decidable) == (1000, tango.rows_needed(0.05, 0.05, 0.95), True)
    assert (few.rows, few.decidable) == (100, False) and "rows more" in few.answer
    assert (budget.rows, budget.answer) == (None, "not a matter of rows")
    assert flipped.needed == rows_for_share(0.025, 0.05, 0.95, 0.8) and flipped.decidable
    assert not gain.decidable


def test_a_slice_without_rows_and_energy_can_never_be_decided() -> None:
    gates = policy(eights(slice={"column": "label", "equals": 77}), Limit(name="e", resource="energy_mj", at_most=1.0))
    for line in plan(gates, rows(100)[["label"]], 0.05):
        assert line.answer.startswith("no: ")


@pytest.mark.parametrize(("share", "at_most"), [(0.01, 0.02), (0.005, 0.05)])
def test_rows_for_a_share_are_the_fewest(share: float, at_most: float) -> None:
    from scipy.stats import beta, binom

    needed = rows_for_share(share, at_most, 0.95, 0.8)
    assert needed is not None
    most = max(count for count in range(needed) if beta.ppf(0.95, count + 1, needed - count) <= at_most)
    assert binom.cdf(most, needed, share) >= 0.8
    assert rows_for_share(0.05, 0.05, 0.95, 0.8) is None
