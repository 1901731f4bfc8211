"""Planted shifts are found, and what is alike is not flagged."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from quality_gates.errors import EvidenceError
from quality_gates.representativeness import Comparison, Representativeness, Sample, hold_against
from tests.quality_gates.representativeness.samples import draw, policy

Finding = tuple[str, str | None, str]


def findings(result: Representativeness) -> set[Finding]:
    return {(found.set, found.slice, found.what) for found in result.findings}


def held(ours: Sample, theirs: Sample, held_out: Sample | None = None) -> Representativeness:
    return hold_against(policy(), {"train": ours}, theirs, held_out)


def the(result: Representativeness, what: str, where: str | None = None) -> Comparison:
    (found,) = (row for row in result.comparisons if (row.what, row.slice) == (what, where))
    return found


class TestPlantedShifts:
    def test_a_shifted_label_prior_is_found_with_the_class_that_moved(self) -> None:
        result = held(draw(0, 2000), draw(1, 500, prior=(0.2, 0.3, 0.5)))
        assert ("train", None, "label prior") in findings(result)
        sentence = the(result, "label prior").sentence
        assert "Cramer's V 0.3" in sentence and "at most 0.1 allowed; 2,000 against 500 rows" in sentence
        assert "0 is 50." in sentence or "2 is 19." in sentence or "2 is 20." in sentence
        assert "Let train have the classes as the sites do" in sentence

    def test_other_inputs_under_the_same_labels_show_in_the_parents_outputs(self) -> None:
        result = held(draw(0, 2000), draw(1, 500, noise=3.0), held_out=draw(2, 800))
        assert the(result, "label prior").outcome == "alike"
        assert the(result, "outputs").outcome == "differs"
        assert "Add rows to train as the sites see them" in the(result, "outputs").sentence

    def test_a_shift_at_one_site_is_found_there(self) -> None:
        both, shifted = draw(1, 1500), draw(2, 1500, prior=(0.1, 0.1, 0.8))
        north = (both.slices["site"] == "north").to_numpy()
        theirs = Sample(
            np.where(north[:, None], shifted.figures, both.figures),
            both.names,
            np.where(north, shifted.predictions, both.predictions),
            np.where(north, np.asarray(shifted.targets), np.asarray(both.targets)),
            both.slices,
        )
        result = hold_against(policy(label_prior=0.25), {"train": draw(0, 3000)}, theirs)
        assert ("train", "site = north", "label prior") in findings(result)
        assert ("train", "site = south", "label prior") not in findings(result)

    def test_other_shares_of_the_sites_are_found(self) -> None:
        result = held(draw(0, 2000, north=0.9), draw(1, 500))
        assert findings(result) == {("train", "site", "slice shares")}

    def test_a_site_that_training_never_saw_is_found(self) -> None:
        result = held(draw(0, 2000, north=0.0), draw(1, 500, north=0.05))
        assert ("train", "site = north", "presence") in findings(result)
        sentence = the(result, "presence", "site = north").sentence
        assert sentence.startswith("train, site = north: none of 2,000 rows here, ")
        assert "Add such rows to train: nothing was trained or calibrated on them." in sentence

    def test_a_site_that_the_sample_lacks_is_found(self) -> None:
        result = held(draw(0, 2000), draw(1, 500, north=0.0))
        assert "See that the sample has all that the model meets" in the(result, "presence", "site = north").sentence

    def test_a_class_that_training_never_saw_is_found_though_it_hardly_moves_the_prior(self) -> None:
        result = held(draw(0, 4000, prior=(0.5, 0.5, 0)), draw(1, 1000, prior=(0.5, 0.49, 0.01)))
        assert the(result, "label prior").outcome == "alike"
        found = the(result, "presence", "class 2")
        assert found.outcome == "differs" and found.n == 0 and found.n_deployment > 0
        assert "none of 4,000 rows here" in found.sentence

    def test_the_class_that_moved_most_is_named(self) -> None:
        result = held(draw(0, 2000, prior=(0.5, 0.5, 0)), draw(1, 500))
        assert "2 is 0.0 % of the rows here" in the(result, "label prior").sentence

    def test_without_labels_the_parents_answers_tell(self) -> None:
        result = held(draw(0, 2000), draw(1, 500, prior=(0.2, 0.3, 0.5), labels=False))
        assert {what for _, _, what in findings(result)} == {"predictions", "outputs"}
        assert "label prior" not in {row.what for row in result.comparisons}
        assert any("labels at the sites are not known" in note for note in result.notes)

    def test_all_rows_come_before_slices_and_the_largest_excess_first(self) -> None:
        found = held(draw(0, 2000), draw(1, 500, prior=(0.1, 0.1, 0.8))).findings
        assert found[0].slice is None and found[-1].slice is not None
        excess = [row.effect - row.allowed for row in found if row.effect is not None and row.slice is None]
        assert len(excess) == 3 and excess == sorted(excess, reverse=True)


class TestNoFalseAlarm:
    def test_the_same_distribution_is_flagged_at_most_at_the_nominal_rate(self) -> None:
        strict = policy(**dict.fromkeys(("label_prior", "slice_shares", "predictions", "outputs"), 1e-9))
        runs = 120
        alarms = 0
        for run in range(runs):
            sets = {"train": draw(2 * run, 400), "calibration": draw(9_000 + run, 60)}
            alarms += bool(hold_against(strict, sets, draw(2 * run + 1, 90)).findings)
        assert alarms <= 0.05 * runs + 2.33 * np.sqrt(0.05 * 0.95 * runs)  # 1 % one-sided
        assert alarms > 0  # a test that never alarms has no power either

    def test_a_shift_within_what_is_allowed_is_alike_however_many_rows_show_it(self) -> None:
        result = held(draw(0, 50_000), draw(1, 50_000, prior=(0.47, 0.32, 0.21)))
        found = the(result, "label prior")
        assert found.p is not None and found.p < 1e-6 and found.outcome == "alike"

    def test_few_rows_leave_a_large_effect_undecided(self) -> None:
        result = held(draw(0, 2000), draw(3, 15, prior=(0.3, 0.3, 0.4)))
        assert the(result, "label prior").outcome == "undecided"
        assert result.undecided >= 1 and "undecided for want of rows" in result.headline

    def test_a_slice_of_a_few_rows_is_not_tested(self) -> None:
        result = held(draw(0, 2000), draw(1, 60, north=0.05))
        north = the(result, "label prior", "site = north")
        assert 0 < north.n_deployment < 10
        assert (north.outcome, north.p, north.effect) == ("undecided", None, None)

    def test_a_site_that_is_missing_by_chance_is_no_finding(self) -> None:
        result = held(draw(0, 2000, north=0.002), draw(1, 60, north=0.0))
        assert the(result, "presence", "site = north").outcome == "undecided"


def test_the_effect_does_not_depend_on_how_many_rows_there_are() -> None:
    shifted = (0.1, 0.3, 0.6)
    effects = [the(held(draw(0, rows), draw(1, 2000, prior=shifted)), "label prior").effect for rows in (2000, 100_000)]
    assert effects[0] == pytest.approx(effects[1], abs=0.03)


def test_a_parent_that_knows_its_training_rows_by_heart_is_told_from_a_shift() -> None:
    result = held(draw(0, 2000, noise=0.1), draw(1, 500), held_out=draw(2, 800))
    found = the(result, "outputs")
    assert found.outcome == "differs" and found.held_out is not None and found.held_out <= 0.1
    assert "Validation rows are within what is allowed" in found.sentence


def test_probabilities_that_differ_by_less_than_a_point_are_alike() -> None:
    outputs = np.stack([np.zeros(500), np.full(500, -9.0), np.full(500, -9.0)], 1)
    surer, less_sure = (
        Sample.of(each, np.zeros(500, int), None, pd.DataFrame(index=range(500))) for each in (outputs, outputs * 0.7)
    )
    assert the(held(surer, less_sure), "outputs").effect == 0


def test_a_column_that_is_the_label_is_compared_once() -> None:
    named = [replace(rows, slices=pd.DataFrame({"label": rows.targets})) for rows in (draw(0, 300), draw(1, 300))]
    result = held(*named)
    assert {row.what for row in result.comparisons if row.slice is None} == {"label prior", "predictions", "outputs"}
    assert "slice shares" not in {row.what for row in result.comparisons}
    assert "label prior" not in {row.what for row in result.comparisons if row.slice}


def test_a_column_that_the_sample_lacks_is_noted() -> None:
    result = held(draw(0, 300), replace(draw(1, 300), slices=pd.DataFrame(index=range(300))))
    assert result.notes == ("The sample of the sites has no column site: its slices are not compared.",)
    assert all(row.slice is None for row in result.comparisons)


def test_gaps_in_a_slice_column_are_a_slice() -> None:
    ours = draw(0, 300)
    ours.slices.loc[:99, "site"] = None
    result = held(ours, draw(1, 300))
    assert the(result, "presence", "site = none").outcome == "differs"


def test_measured_targets_are_compared_by_their_distribution() -> None:
    def measured(seed: int, shift: float) -> Sample:
        values = np.random.default_rng(seed).normal(shift, size=400)
        return Sample.of(values[:, None], values, values, pd.DataFrame(index=range(400)))

    assert findings(held(measured(0, 0), measured(1, 1))) == {
        ("train", None, what) for what in ("label prior", "predictions", "outputs")
    }
    assert not findings(held(measured(0, 0), measured(1, 0)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(3,), (1,), (1, 4, 4), (3, 4, 4)])
def test_outputs_that_are_not_finite_are_an_error(value: float, shape: tuple[int, ...]) -> None:
    def drawn(broken: int) -> Sample:
        outputs = np.random.default_rng(0).normal(size=(300, *shape))
        outputs[:broken, -1] = value
        return Sample.of(outputs, np.zeros(300, int), None, pd.DataFrame(index=range(300)))

    with pytest.raises(EvidenceError, match="NaN or infinite on 2 of 300 rows of the sample of the sites"):
        held(drawn(0), drawn(2))


def test_masks_are_compared_by_a_few_figures_that_are_computed_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quality_gates.representativeness.two_sample._AT_ONCE", 7 * 16 * 16 * 8)
    masks = np.random.default_rng(0).normal(size=(300, 1, 16, 16))
    slices, answers = pd.DataFrame(index=range(300)), np.zeros(300, int)
    one, moved = (Sample.of(each, answers, None, slices) for each in (masks, masks + 1))
    assert one.names == ("the mean output", "the largest output")
    assert np.allclose(one.figures, np.column_stack([masks.mean(axis=(1, 2, 3)), masks.max(axis=(1, 2, 3))]))
    assert findings(held(one, moved)) == {("train", None, "outputs")} and not findings(held(one, one))
    both = Sample.of(np.concatenate([masks, masks - 2], axis=1), answers, None, slices)
    assert both.names == ("the probability of class 0", "the probability of class 1", "the confidence")
    assert both.figures[:, 0] == pytest.approx(1 / (1 + np.exp(-2)), abs=0.01)


def test_the_same_rows_give_the_same_result() -> None:
    assert held(draw(0, 300), draw(1, 30)) == held(draw(0, 300), draw(1, 30))
