"""Ways from an array as it was saved to rows that a registered input takes, each as a function and as source code."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from flows.first_files.array_folder import FoundArray
from tasks.upstream import RegisteredInput

_WHOLE = "biu"
_BYTE = 255


@dataclass(frozen=True)
class PreparingStep:
    """One change of an array, and the source code of it with `{}` in place of the array."""

    code: str
    apply: Callable[[np.ndarray], np.ndarray]
    said: str


AXIS = PreparingStep("{}[:, None]", lambda array: array[:, None], "an axis for the channel")
CHANNELS_FIRST = PreparingStep("np.moveaxis({}, -1, 1)", lambda array: np.moveaxis(array, -1, 1), "channels first")
FLAT = PreparingStep("{0}.reshape(len({0}), -1)", lambda array: array.reshape(len(array), -1), "each row flat")
TO_ONE = PreparingStep("{} / np.float32(255)", lambda array: array / np.float32(_BYTE), "values from 0 to 1")
AROUND_ZERO = PreparingStep(
    "{} / np.float32(127.5) - np.float32(1)",
    lambda array: array / np.float32(127.5) - np.float32(1),
    "values from -1 to 1",
)


@dataclass(frozen=True)
class Preparation:
    """The steps from a saved array to rows of one input."""

    steps: tuple[PreparingStep, ...]

    def __call__(self, array: np.ndarray) -> np.ndarray:
        """Return the rows."""
        for step in self.steps:
            array = step.apply(array)
        return np.ascontiguousarray(array)

    def code(self, array: str) -> str:
        """Return the source code that makes the rows of an array by this name."""
        for step in self.steps:
            simple = array.isidentifier() or (array.endswith((")", "]")) and " / " not in array)
            array = step.code.format(array if simple else f"({array})")
        return array

    @property
    def said(self) -> str:
        """The steps in words; empty where the array is taken as it is."""
        return ", ".join(step.said for step in self.steps if step.said)


def preparations(array: FoundArray, wanted: RegisteredInput) -> Iterator[Preparation]:
    """Yield the ways in which an array fits an input, the plainest first; none where it does not."""
    shaped = _shaped(array.shape[1:], wanted.sizes)
    if shaped is None:
        return
    if wanted.dtype == str(array.dtype):
        yield Preparation(shaped)
        return
    if array.dtype.kind not in (_WHOLE if wanted.dtype.startswith(("int", "uint", "bool")) else f"{_WHOLE}f"):
        return
    converted = (*shaped, _to(wanted.dtype))
    yield Preparation(converted)
    if array.dtype == np.uint8 and wanted.dtype == "float32":
        yield Preparation((*converted, TO_ONE))
        yield Preparation((*converted, AROUND_ZERO))


def _to(dtype: str) -> PreparingStep:
    return PreparingStep(f"{{}}.astype(np.{dtype})", lambda array: array.astype(dtype), "")


def _shaped(row: tuple[int, ...], sizes: tuple[int | None, ...]) -> tuple[PreparingStep, ...] | None:
    if _fits(row, sizes):
        return ()
    if _fits((1, *row), sizes):
        return (AXIS,)
    if len(row) > 1 and _fits((row[-1], *row[:-1]), sizes):
        return (CHANNELS_FIRST,)
    return (FLAT,) if len(row) > 1 and _fits((int(np.prod(row)),), sizes) else None


def _fits(row: tuple[int, ...], sizes: tuple[int | None, ...]) -> bool:
    return len(row) == len(sizes) and all(want in (None, has) for has, want in zip(row, sizes, strict=True))
