"""Settings of a session and the tensors of a model, as plain data: they travel in manifests and in requests."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from edge_runtime.errors import BundleError, SessionError

Optimization = Literal["all", "extended", "basic", "off"]
OF_A_DEVICE = frozenset({"prepack", "arena"})
"""The keys of SessionSettings that only a device sets to false, and that are not written while they are true."""
MAX_THREADS = 256
CPU = "CPUExecutionProvider"
"""The execution provider that every ONNX Runtime has."""
MAX_TEXT = 4096
MAX_RANK = 16
MAX_ELEMENTS = 1 << 28  # of the sizes that are fixed: 1 GiB of float32
DTYPES = frozenset({"bool", "float16", "float32", "float64"}) | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}


_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def is_component(name: object) -> bool:
    """Tell a name that can be one part of a path on any file system.

    It has 1 to 128 letters, digits, dots, dashes or underscores, and begins with a letter or a digit.
    """
    return isinstance(name, str) and _COMPONENT.fullmatch(name) is not None


def is_plain_text(text: object) -> bool:
    """Tell a text of 1 to MAX_TEXT printable characters: no newline, no escape code, no change of direction."""
    return isinstance(text, str) and 0 < len(text) <= MAX_TEXT and text.isprintable()


@dataclass(frozen=True)
class SessionSettings:
    """Threads within an operator, the execution provider, and ONNX Runtime's graph optimization level.

    Without `prepack` the kernels take weights as the file has them: its pages stay shared, and some kernels are slower.
    Without an `arena` the memory of tensors goes back to the system after each call: large ones then cost time. Only a
    device sets these two, for a model that it has measured so; they are never part of a manifest.

    Raises SessionError for a value that no session can be made from.
    """

    threads: int
    execution_provider: str = CPU
    optimization: Optimization = "all"
    prepack: bool = True
    arena: bool = True

    def __post_init__(self) -> None:
        if type(self.threads) is not int or not 1 <= self.threads <= MAX_THREADS:
            raise SessionError(f"threads must be a whole number from 1 to {MAX_THREADS}, not {self.threads!r}.")
        if not is_plain_text(self.execution_provider):
            raise SessionError(f"execution_provider must be a name, not {self.execution_provider!r}.")
        if self.optimization not in get_args(Optimization):
            levels = ", ".join(get_args(Optimization))
            raise SessionError(f"optimization must be one of {levels}, not {self.optimization!r}.")
        for name in sorted(OF_A_DEVICE):
            if type(getattr(self, name)) is not bool:
                raise SessionError(f"{name} must be true or false, not {getattr(self, name)!r}.")

    def to_plain(self) -> dict[str, Any]:
        """Return the settings as a dict that JSON can hold, without the keys of OF_A_DEVICE that are true."""
        return {name: value for name, value in asdict(self).items() if name not in OF_A_DEVICE or not value}

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> "SessionSettings":
        """Read what to_plain wrote; a missing or an unknown key is a SessionError."""
        expected = {field.name for field in fields(cls)} - OF_A_DEVICE
        if not isinstance(data, Mapping):
            raise SessionError(f"Session settings must be an object with the keys {sorted(expected)}, not {data!r}.")
        if set(data) - {name for name in OF_A_DEVICE if data.get(name) is False} != expected:
            raise SessionError(f"Session settings need exactly the keys {sorted(expected)}, not {sorted(data)}.")
        return cls(**data)


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that a model takes or gives: numpy's name of its dtype, and a shape with None where it is dynamic."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __post_init__(self) -> None:
        if not is_plain_text(self.name) or not isinstance(self.dtype, str) or self.dtype not in DTYPES:
            raise BundleError(
                f"A tensor needs a printable name and a dtype of {', '.join(sorted(DTYPES))}, not {self.name!r} and "
                f"{self.dtype!r}."
            )
        if any(size is not None and (type(size) is not int or size < 0) for size in self.shape):
            raise BundleError(
                f"The tensor {self.name} has the shape {self.shape!r}; give whole sizes, None if dynamic."
            )
        if len(self.shape) > MAX_RANK or math.prod(size for size in self.shape if size is not None) > MAX_ELEMENTS:
            raise BundleError(
                f"The tensor {self.name} must have at most {MAX_RANK} axes and {MAX_ELEMENTS} elements, not the shape "
                f"{self.shape!r}; make it smaller."
            )
