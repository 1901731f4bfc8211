"""Sessions: ONNX Runtime behind checks that name the mistake in an input."""

import ctypes
import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from edge_runtime.errors import SessionError, SessionMemoryError
from edge_runtime.execution_providers import use_provider
from edge_runtime.settings import Optimization, SessionSettings, TensorSpec

_LEVELS: Mapping[Optimization, ort.GraphOptimizationLevel] = {
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "off": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
_DTYPES: Mapping[str, str] = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    **{f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
_SEVERITY_ERROR = 3
_MUCH = 4 << 20  # bytes that loading adds, from which on it is worth a look for free ones
_OUT_OF_MEMORY = ("bad_alloc", "failed to allocate memory", "cannot allocate memory", "memoryerror")


class EdgeModel:
    """A loaded model; `inputs` and `outputs` describe its tensors in the graph's order."""

    def __init__(self, session: ort.InferenceSession, path: Path) -> None:
        self._session = session
        self._path = path
        self.inputs = tuple(_spec(node, path) for node in session.get_inputs())
        self.outputs = tuple(_spec(node, path) for node in session.get_outputs())

    @classmethod
    def load(cls, path: Path | str, settings: SessionSettings) -> "EdgeModel":
        """Load an ONNX file by its path.

        Raises SessionError for a missing file, an execution provider that is not available and a graph that ONNX
        Runtime refuses; SessionMemoryError if the memory does not suffice.
        """
        path = Path(path)
        if not path.is_file():
            raise SessionError(f"There is no model file at {path}; give the path of an ONNX graph.")
        provider, options = settings.execution_provider, session_options(settings)
        providers = use_provider(options, provider)
        before = resident_bytes()
        try:
            session = ort.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime's exceptions share no base class below Exception
            raise _translated(f"The model {path} does not load", error) from error
        if session.get_providers()[0] != provider:
            raise SessionError(f"{provider} did not start; onnxruntime fell back to {session.get_providers()}.")
        session.disable_fallback()
        if resident_bytes() - before > _MUCH:
            return_free_memory()
        return cls(session, path)

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """All tensors that go into a session or come out of one."""
        return (*self.inputs, *self.outputs)

    def predict(self, arrays: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None) -> list[np.ndarray]:
        """Run the model once and return its outputs in the graph's order, or those that are named, in that order.

        Neither what goes in nor what comes out is copied. Raises SessionError, naming the input, for a missing or an
        unknown name, another dtype or another shape.
        """
        self.check(arrays)
        try:
            return list(self._session.run(outputs, dict(arrays)))
        except Exception as error:
            raise _translated(f"The model {self._path} failed while it ran", error) from error

    def predict_rows(
        self, arrays: Mapping[str, np.ndarray], rows: Mapping[str, np.ndarray | None]
    ) -> dict[str, np.ndarray]:
        """Run the model once and return the named outputs, each with the rows of these numbers alone; None is all.

        Raises SessionError as `predict` does, and where an output has no axis of rows.
        """
        found = self.predict(arrays, list(rows))
        return {
            name: rows_of(name, output, chosen, most_rows(arrays))
            for (name, chosen), output in zip(rows.items(), found, strict=True)
        }

    def check(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Raise SessionError, naming the input, for what `predict` would not take."""
        names = [spec.name for spec in self.inputs]
        missing = [name for name in names if name not in arrays]
        unknown = [name for name in arrays if name not in names]
        if missing or unknown:
            raise SessionError(f"The model takes exactly the inputs {names}: missing {missing}, unknown {unknown}.")
        for spec in self.inputs:
            _check_array(spec, arrays[spec.name])


def most_rows(arrays: Mapping[str, np.ndarray]) -> int:
    """Return the number of rows of a call."""
    return max((len(array) for array in arrays.values() if array.ndim), default=0)


def rows_of(name: str, array: np.ndarray, chosen: np.ndarray | None, count: int) -> np.ndarray:
    """Return the rows of these numbers, ascending; a view where they follow each other. None is all of them.

    Raises SessionError for an array that does not have so many rows.
    """
    if chosen is None:
        return array
    if not array.ndim or len(array) != count:
        raise SessionError(f"{count} rows gave {name} in the shape {array.shape}, so no part of them can be taken.")
    follow_each_other = len(chosen) and chosen[-1] - chosen[0] + 1 == len(chosen)
    taken: np.ndarray = array[chosen[0] : chosen[-1] + 1] if follow_each_other else array[chosen]
    return taken


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


def return_free_memory() -> None:
    """Give memory that is free in this process back to the system, where the C library can: glibc keeps much of it.

    Loading leaves free memory behind, as weights are rearranged one after the other: 50 MB for a model of 180 MB.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def session_options(settings: SessionSettings) -> ort.SessionOptions:
    """Return ONNX Runtime's options for the settings: one operator at a time, errors logged only, no spinning.

    Threads that spin between requests took one whole core while they waited: 1.06 CPU seconds per second instead of
    0.09, with one request every 5 ms. The median latency was only 0.1 ms better, and a device needs that core.

    Weights are never put into the arena, which grows in powers of two and gives nothing back. It keeps the memory of
    tensors from one call to the next: without it, tensors of 17 MB made a convolution take 1.5 to 2 times as long.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = _LEVELS[settings.optimization]
    options.log_severity_level = _SEVERITY_ERROR
    options.enable_cpu_mem_arena = settings.arena
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    if not settings.prepack:
        options.add_session_config_entry("session.disable_prepacking", "1")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _spec(node: ort.NodeArg, path: Path) -> TensorSpec:
    dtype = _DTYPES.get(node.type)
    if dtype is None:
        raise SessionError(
            f"The model {path} has {node.name} of type {node.type}; the runtime takes tensors of numbers or bools. "
            "Export it without this type."
        )
    return TensorSpec(node.name, dtype, tuple(size if isinstance(size, int) else None for size in node.shape))


def _check_array(spec: TensorSpec, array: np.ndarray) -> None:
    if not isinstance(array, np.ndarray):
        raise SessionError(f"The input {spec.name} must be a numpy array, not {type(array).__name__}.")
    if array.dtype != spec.dtype:
        raise SessionError(f"The input {spec.name} must have the dtype {spec.dtype}, not {array.dtype}; convert it.")
    fits = len(array.shape) == len(spec.shape) and all(
        want is None or want == got for want, got in zip(spec.shape, array.shape, strict=True)
    )
    if not fits:
        raise SessionError(f"The input {spec.name} must have the shape {spec.shape}, not {array.shape}; None fits any.")


def _translated(what: str, error: Exception) -> SessionError:
    text = str(error) or type(error).__name__
    if isinstance(error, MemoryError) or any(sign in text.lower() for sign in _OUT_OF_MEMORY):
        return SessionMemoryError(f"{what}: it needs more memory than the process may have ({text}).")
    return SessionError(f"{what}: {text}")
