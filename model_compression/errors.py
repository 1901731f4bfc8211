"""What can go wrong while a model is made smaller."""

from edge_runtime.errors import EdgewrightError


class CompressionError(EdgewrightError):
    """The root of the compression engine's errors."""


class IntakeError(CompressionError):
    """The registered program is not one that the pipeline can start from."""


class RebuildError(CompressionError):
    """A node of the program cannot be turned back into a module."""


class PruningError(CompressionError):
    """Nothing is left that may be removed."""


class SnapshotError(CompressionError):
    """A stored snapshot does not belong to this parent."""


class TrainingError(CompressionError):
    """Training, or the gradients that pruning goes by, cannot start or go on."""


class DivergedError(TrainingError):
    """The loss became NaN or infinite."""


class StudentError(CompressionError):
    """A student cannot be made for these inputs and outputs, or for this budget."""


class QuantizationError(CompressionError):
    """A model does not take quantization."""


class ExportError(CompressionError):
    """A model does not export to ONNX."""


def cause_of(error: BaseException) -> str:
    """Name the first cause of another library's error in one line: exporters wrap theirs several times over."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip()}" if lines else type(error).__name__
