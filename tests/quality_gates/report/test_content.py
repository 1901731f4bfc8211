"""Content that a report refuses."""

import pytest
from pydantic import ValidationError

from quality_gates.report import FlippedRow, ReportContent
from tests.quality_gates.report import examples


def test_content_survives_json() -> None:
    content = examples.refused()
    assert ReportContent.model_validate_json(content.model_dump_json()) == content


def test_content_from_before_the_turns_can_still_be_read() -> None:
    content = examples.refused()
    older = ReportContent.model_validate_json(content.model_dump_json(exclude={"turns"}))
    assert older == content.model_copy(update={"turns": ()})


def test_content_from_before_the_splits_of_flips_shows_rows_of_test() -> None:
    content = examples.undecided()
    older = ReportContent.model_validate_json(
        content.model_dump_json(exclude={"origin", "flips_from", "flips_validation"})
    )
    assert (older.flips_from, older.flips_validation, older.origin) == ("test", None, None)
    assert older.flips == content.flips


def test_content_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        examples.published().published = False


def test_an_unknown_key_is_refused() -> None:
    values = examples.published().model_dump()
    with pytest.raises(ValidationError, match="colour"):
        ReportContent.model_validate({**values, "colour": "green"})


@pytest.mark.parametrize("image", ["", "not base64!", 'abc"><script>', "data:image/png;base64,AAAA"])
def test_an_image_that_is_not_base64_is_refused(image: str) -> None:
    with pytest.raises(ValidationError, match="image_png_base64"):
        FlippedRow(row_id="1", label="8", reference_prediction="8", candidate_prediction="3", image_png_base64=image)


@pytest.mark.parametrize("update", [{"size_budget_bytes": 0.0}, {"flips_total": -1}])
def test_impossible_numbers_are_refused(update: dict[str, float]) -> None:
    values = examples.published().model_dump()
    with pytest.raises(ValidationError, match=next(iter(update))):
        ReportContent.model_validate({**values, **update})
