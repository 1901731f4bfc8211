import numpy as np
import pandas as pd
import pytest

from quality_gates.evidence import Evidence, ModelEvidence
from quality_gates.gates import figures_in_words
from quality_gates.statistics import proportions
from tests.quality_gates.builders import against, eights, evidence, failed, model, rows

LOST_EIGHTS = [8 + 10 * i for i in range(13)]


def test_lost_digit_is_refused_with_figures_sentence_and_remedy() -> None:
    result = eights(margin=0.1).evaluate(evidence(model(rows(420, LOST_EIGHTS)), deployed=model(rows(420))))
    lower, upper = proportions.exact_bounds(0, 13, 42, 0.1, 0.95)
    assert (result.outcome, result.blocking, result.against, result.slice) == ("fail", True, "deployed", "label = 8")
    assert (result.n, result.gained, result.lost) == (42, 0, 13)
    assert (result.lower, result.upper, result.threshold) == (lower, upper, -0.1)
    assert result.estimate == pytest.approx(-13 / 42)
    assert result.candidate_value == pytest.approx(29 / 42) and result.reference_value == 1.0
    assert result.sentence == (
        "Recall where label = 8 against the deployed model: −31.0 points (95 % bounds −43.5 to −19.6) on 42 rows; "
        "a loss of at most 10.0 points is allowed. 13 rows lost, 0 gained."
    )
    assert result.remedy == ("To pass on these 42 rows, win back 13 of the 13 lost: no row may be lost.")


def test_the_remedy_is_true() -> None:
    seen = evidence(model(rows(420, LOST_EIGHTS[:0])), deployed=model(rows(420)))
    assert eights(margin=0.1).evaluate(seen).outcome == "pass"
    seen = evidence(model(rows(420, LOST_EIGHTS[:1])), deployed=model(rows(420)))
    assert eights(margin=0.1).evaluate(seen).outcome != "pass"


def test_equal_models_pass_where_the_rows_suffice() -> None:
    wrong = [3, 77]
    result = against().evaluate(evidence(model(rows(wrong=wrong)), model(rows(wrong=wrong))))
    assert (result.outcome, result.gained, result.lost, result.estimate, result.remedy) == ("pass", 0, 0, 0.0, None)
    assert result.sentence.startswith("Accuracy against the parent model: 0.0 points")


def test_gained_rows_count_for_the_candidate() -> None:
    result = against(margin=0.0).evaluate(evidence(model(rows()), model(rows(wrong=range(30)))))
    assert (result.outcome, result.gained, result.lost) == ("pass", 30, 0)
    assert "a gain must be shown" in result.sentence


def test_too_few_rows_are_inconclusive_and_say_how_many_would_do() -> None:
    result = eights(margin=0.1).evaluate(evidence())
    assert (result.outcome, result.blocking, result.n) == ("inconclusive", True, 20)
    needed = proportions.rows_needed(1 / 20, 0.1, 0.95)
    assert result.remedy is not None
    assert result.remedy.startswith("20 rows cannot pass even with none lost and 0 gained.")
    assert f"About {needed} rows in place of 20 would decide" in result.remedy


def test_an_inconclusive_gate_names_both_ways_out() -> None:
    result = against(margin=0.03).evaluate(evidence(model(rows(wrong=range(6)))))
    assert (result.outcome, result.lost) == ("inconclusive", 6)
    assert result.remedy is not None
    assert "win back 5 of the 6 lost: at most 1 may be lost" in result.remedy
    assert "in place of 200 would decide" in result.remedy


def test_more_rows_are_not_promised_where_there_are_enough() -> None:
    result = against(margin=0.03).evaluate(evidence(model(rows(2000, range(55))), model(rows(2000))))
    assert result.outcome == "inconclusive" and result.remedy is not None
    assert "More rows alone may not help" in result.remedy


def test_no_number_of_rows_is_promised_at_a_margin_of_zero() -> None:
    result = against(margin=0.0).evaluate(evidence())
    assert result.outcome == "inconclusive" and result.remedy is not None
    assert "No number of rows" in result.remedy


def test_a_warning_does_not_block_but_a_clear_loss_does() -> None:
    gate = eights(margin=0.1, on_inconclusive="warn")
    undecided = gate.evaluate(evidence())
    assert (undecided.outcome, undecided.blocking) == ("inconclusive", False)
    lost = gate.evaluate(evidence(model(rows(420, LOST_EIGHTS)), deployed=model(rows(420))))
    assert (lost.outcome, lost.blocking) == ("fail", True)
    broken = gate.evaluate(evidence(failed()))
    assert (broken.outcome, broken.blocking) == ("fail", True)


def test_only_the_slice_counts() -> None:
    sevens = [7 + 10 * i for i in range(20)]
    seen = evidence(model(rows(wrong=sevens)))
    assert eights().evaluate(seen).outcome == "pass"
    assert eights(slice={"column": "label", "equals": 7}).evaluate(seen).outcome == "fail"


def test_other_slices_are_called_accuracy() -> None:
    result = against(slice={"column": "site", "equals": "north"}).evaluate(evidence())
    assert result.sentence.startswith("Accuracy where site = north against the parent model")


def test_a_first_deployment_says_so() -> None:
    result = eights().evaluate(Evidence(candidate=model(), parent=model(), deployed=None))
    assert (result.outcome, result.blocking, result.lower) == ("not_applicable", False, None)
    assert result.sentence == (
        "No deployed model yet: recall where label = 8 against the deployed model "
        "cannot be compared on a first deployment."
    )


@pytest.mark.parametrize(
    ("title", "amid"), [("MAE against x", "MAE against x"), ("Recall on 8", "recall on 8"), ("A share", "a share")]
)
def test_a_title_amid_a_sentence_keeps_its_abbreviation(title: str, amid: str) -> None:
    assert figures_in_words.amid(title) == amid


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        (failed(), "measurement of the candidate failed: it ran past its limit of 60 s."),
        (model(rows().assign(score=np.nan)), "200 of 200 of the candidate's scores"),
        (model(rows().drop(columns="label")), "No column 'label'"),
        (model(rows().assign(label=1)), "No row has label = 8"),
    ],
)
def test_a_first_deployment_hides_no_damage(candidate: ModelEvidence, message: str) -> None:
    result = eights().evaluate(Evidence(candidate=candidate, parent=model(), deployed=None))
    assert result.outcome == "fail" and message in result.sentence and result.remedy


@pytest.mark.parametrize(
    ("parent", "message"),
    [
        (None, "The parent model was not measured."),
        (failed("it crashed."), "The measurement of the parent model failed: it crashed."),
        (ModelEvidence(rows=None, resources=None), "The parent model was not measured row by row."),
        (model(rows(199)), "1 row ids only in the candidate's"),
        (model(rows().assign(label=8)), "disagree about label"),
    ],
)
def test_a_parent_that_cannot_be_compared_with_fails(parent: ModelEvidence | None, message: str) -> None:
    result = against("parent").evaluate(Evidence(candidate=model(), parent=parent, deployed=model()))
    assert (result.outcome, result.blocking, result.estimate) == ("fail", True, None)
    assert result.sentence.startswith("Accuracy against the parent model could not be decided.")
    assert message in result.sentence and result.remedy


def test_a_deployed_model_that_failed_is_no_first_deployment() -> None:
    result = against("deployed").evaluate(evidence(deployed=failed()))
    assert (result.outcome, result.blocking) == ("fail", True)
    assert "measurement of the deployed model failed" in result.sentence


def test_even_what_nobody_thought_of_is_a_failed_gate() -> None:
    unhashable = rows(3).assign(row_id=pd.Series([[1], [2], [3]]))
    result = against().evaluate(evidence(model(unhashable)))
    assert result.outcome == "fail"
    assert "could not be read (TypeError" in result.sentence and result.remedy
