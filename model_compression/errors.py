"""Errors of the compression algorithms, in one tree, and one helper that names a foreign error."""

from edge_runtime.errors import EdgewrightError


class CompressionError(EdgewrightError):
    """The root of this room's errors."""


class IntakeError(CompressionError):
    """The registered model is not one that the pipeline can start from."""


class RebuildError(CompressionError):
    """A node of the program cannot be turned back into a module."""


class PruningError(CompressionError):
    """A model cannot be pruned as asked, or nothing is left that may be removed."""


class SnapshotError(CompressionError):
    """A stored snapshot does not belong to this parent."""


class TrainingError(CompressionError):
    """Training, or the scoring of units by gradients, cannot start or cannot continue."""


class DivergedError(TrainingError):
    """The loss became NaN or infinite."""


class StudentError(CompressionError):
    """A student cannot be made for these inputs and outputs, or for this budget."""


class QuantizationError(CompressionError):
    """A model cannot be quantized in the way that was asked for."""


class ExportError(CompressionError):
    """A model cannot be exported to ONNX."""


class FamilyError(CompressionError):
    """Models that are no family: they share no backbone, or a head reads more of it than its end."""


def cause_of(error: BaseException) -> str:
    """Name the first cause of another library's error in one line, because exporters wrap it several times."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip()}" if lines else type(error).__name__
