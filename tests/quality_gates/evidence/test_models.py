from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from edge_runtime.measurement import Figures
from quality_gates.errors import EvidenceError
from quality_gates.evidence import ModelEvidence, paired
from quality_gates.report import Side
from tests.quality_gates.builders import failed, model, resources, rows


def test_rows_are_paired_by_id_whatever_their_order_and_index() -> None:
    candidate, reference = rows(20, wrong=[3]), rows(20, wrong=[5])
    reference = reference.sample(frac=1, random_state=0)
    reference.index = pd.Index(np.arange(20) + 100)
    together = paired(candidate, reference)
    assert together["row_id"].tolist() == list(range(20))
    assert together.loc[together["candidate_score"] == 0, "row_id"].tolist() == [3]
    assert together.loc[together["reference_score"] == 0, "row_id"].tolist() == [5]
    assert together[["candidate_prediction", "reference_prediction"]].iloc[5].tolist() == [5, 6]
    assert set(together.columns) == {"row_id", "label", "site"} | {
        f"{model}_{what}" for model in ("candidate", "reference") for what in ("prediction", "score")
    }


def test_pairing_leaves_the_frames_as_they_were() -> None:
    candidate, reference = rows(20), rows(20).iloc[::-1]
    before = candidate.copy(), reference.copy()
    paired(candidate, reference)
    pd.testing.assert_frame_equal(candidate, before[0])
    pd.testing.assert_frame_equal(reference, before[1])


def test_row_ids_may_be_text_and_scores_truth_values() -> None:
    frame = rows(10).assign(row_id=[f"row-{i}" for i in range(10)], score=[True] * 9 + [False])
    assert paired(frame, frame.iloc[::-1])["candidate_score"].sum() == 9


def test_slice_columns_may_have_gaps_in_the_same_places() -> None:
    frame = rows(10)
    frame.loc[2, "site"] = None
    assert len(paired(frame, frame.iloc[::-1])) == 10


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (rows(19), "1 row ids only in the candidate's, 0 only in the deployed model's"),
        (rows(21), "0 row ids only in the candidate's, 1 only"),
        (rows(20).assign(row_id=np.arange(20) + 1), "1 row ids only in the candidate's, 1 only"),
        (rows(20).assign(row_id=[str(i) for i in range(20)]), "20 row ids only"),
        (rows(20).assign(label=3), "disagree about label on 18 rows"),
        (rows(20).assign(site=None), "disagree about site on 20 rows"),
        (rows(20).drop(columns="site"), "differ in their slice columns: site"),
        (rows(20).assign(sensor=1), "differ in their slice columns: sensor"),
        (rows(20).assign(score=np.nan), "20 of 20 of the deployed model's scores are no finite"),
    ],
)
def test_frames_that_do_not_belong_together_are_refused(reference: pd.DataFrame, message: str) -> None:
    with pytest.raises(EvidenceError, match=message):
        paired(rows(20), reference, "deployed model")


def test_a_slice_column_may_not_take_the_name_of_a_paired_one() -> None:
    frame = rows(5).assign(candidate_score=1)
    with pytest.raises(EvidenceError, match="reserved"):
        paired(frame, frame)


def test_a_failed_measurement_gives_nothing_even_where_figures_are_left() -> None:
    broken = ModelEvidence(rows=rows(), resources=resources(), failure="it crashed with signal 9.")
    for read in (broken.measured_rows, broken.measured_resources):
        with pytest.raises(EvidenceError, match=r"measurement of the candidate failed: it crashed with signal 9\."):
            read("candidate")


def test_what_was_not_measured_is_said() -> None:
    nothing = ModelEvidence(rows=None, resources=None)
    with pytest.raises(EvidenceError, match="parent was not measured row by row"):
        nothing.measured_rows("parent")
    with pytest.raises(EvidenceError, match="resources were not measured"):
        nothing.measured_resources("candidate")


def test_what_was_measured_is_given() -> None:
    assert len(model().measured_rows("candidate")) == 200
    assert model().measured_resources("candidate").size_bytes == 50_000
    assert failed().failure is not None


def test_figures_survive_json_even_when_broken() -> None:
    sound, broken = side(resources()), side(resources(load_ms=float("inf")))
    assert Side.model_validate_json(sound.model_dump_json()) == sound
    assert Side.model_validate_json(broken.model_dump_json()) == broken
    read = Side.model_validate_json(side(resources(load_ms=float("nan"))).model_dump_json())
    assert read.figures is not None and np.isnan(read.figures.load_ms)


def test_figures_are_complete_and_nothing_else() -> None:
    with pytest.raises(ValidationError):
        Side.model_validate({"role": "candidate", "name": "v2", "figures": {"size_bytes": 1}})
    with pytest.raises(ValidationError):
        Side.model_validate({"role": "candidate", "name": "v2", "figures": asdict(resources()) | {"joules": 1.0}})


def side(figures: Figures) -> Side:
    return Side(role="candidate", name="v2", figures=figures)
