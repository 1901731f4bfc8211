"""Settings of a session and the tensors of a model, as plain data: they travel in manifests and in requests."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from edge_runtime.errors import BundleError, SessionError

Optimization = Literal["all", "extended", "basic", "off"]


@dataclass(frozen=True)
class SessionSettings:
    """Threads within an operator, the execution provider, and ONNX Runtime's graph optimization level.

    Raises SessionError for a value that no session can be made from.
    """

    threads: int
    execution_provider: str = "CPUExecutionProvider"
    optimization: Optimization = "all"

    def __post_init__(self) -> None:
        if type(self.threads) is not int or self.threads < 1:
            raise SessionError(f"threads must be a whole number of at least 1, not {self.threads!r}.")
        if not isinstance(self.execution_provider, str) or not self.execution_provider:
            raise SessionError(f"execution_provider must be a name, not {self.execution_provider!r}.")
        if self.optimization not in get_args(Optimization):
            levels = ", ".join(get_args(Optimization))
            raise SessionError(f"optimization must be one of {levels}, not {self.optimization!r}.")

    def to_plain(self) -> dict[str, Any]:
        """Return the settings as a dict that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> "SessionSettings":
        """Read what to_plain wrote; a missing or an unknown key is a SessionError."""
        expected = {field.name for field in fields(cls)}
        if set(data) != expected:
            raise SessionError(f"Session settings need exactly the keys {sorted(expected)}, not {sorted(data)}.")
        return cls(**data)


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that a model takes or gives: numpy's name of its dtype, and a shape with None where it is dynamic."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not isinstance(self.dtype, str) or not self.name or not self.dtype:
            raise BundleError(f"A tensor needs a name and a dtype, not {self.name!r} and {self.dtype!r}.")
        if any(size is not None and (type(size) is not int or size < 0) for size in self.shape):
            raise BundleError(
                f"The tensor {self.name} has the shape {self.shape!r}; give whole sizes, None if dynamic."
            )
