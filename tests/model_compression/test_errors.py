"""Names of other libraries' errors in one line."""

import pytest

from edge_runtime.errors import EdgewrightError
from model_compression import errors
from model_compression.errors import CompressionError, cause_of


def test_the_first_cause_is_named_with_its_type_and_first_line() -> None:
    try:
        try:
            raise LookupError("no aten.strange\nand a long story")
        except LookupError as first:
            raise RuntimeError("Failed to export. Next steps: ...") from first
    except RuntimeError as error:
        assert cause_of(error) == "LookupError: no aten.strange"
    assert cause_of(ValueError("\n no such node \n more")) == "ValueError: no such node"


def test_an_error_without_a_message_is_named_by_its_type() -> None:
    assert cause_of(AssertionError()) == "AssertionError"


@pytest.mark.parametrize(
    "name", ["IntakeError", "PruningError", "SnapshotError", "TrainingError", "QuantizationError", "ExportError"]
)
def test_every_error_is_one_of_the_engine_and_of_edgewright(name: str) -> None:
    assert issubclass(getattr(errors, name), CompressionError)
    assert issubclass(CompressionError, EdgewrightError)
