"""A device over SSH: it gets each model once, by its digests, and measures; its answers are checked as a stranger's."""

import dataclasses
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from deployments.device import OverSsh
from edge_runtime.bundle import RuntimeRange
from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted, SessionError
from edge_runtime.measurement import Measurement, MeasureRequest, TurnLatency, read_result
from edge_runtime.model_files import model_digest, weights_of
from edge_runtime.onnxruntime_packages import onnxruntime_version
from edge_runtime.remote import KINDS, PROTOCOL, Frame, FrameReader, Greeting, write_frame
from tasks.device_link.ssh_link import SshLink, ssh_command

RESULT = "result.json"
MOST_OUTPUT_BYTES = 1 << 30
"""Bytes of answers that a device may send where the model does not say how large they are."""
_LOCK_WAIT_S = 1800.0  # for another measurement on the device
_LEAST_BYTES_PER_S = 1 << 16
_NUMBERS = (
    "batch_size", "latency_warmup", "latency_repeats", "latency_batch_size", "latency_seconds", "memory_limit_mb",
)  # fmt: skip
_HEADER = 4096


class SshDevice:
    """A connection to a device, as long as the `with` block lasts.

    `expected` is how the device greeted before; another greeting is another device, or another runtime on it. `sent`
    are the digests of the files that it did not have.
    """

    def __init__(self, how: OverSsh, expected: Greeting | None) -> None:
        self._how = how
        self._expected = expected
        self.sent: set[str] = set()
        self._stack = ExitStack()

    def __enter__(self) -> "SshDevice":
        with ExitStack() as stack:
            self._link = stack.enter_context(SshLink(self._how.host, ssh_command(self._how)))
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgewright-ssh-")))
            self._reader = FrameReader(self._link.read)
            self._count = 0
            self._link.allow(2 * self._how.connect_timeout_s + 30)
            self.greeting = self._checked_greeting(self._next(0).content)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def forget(self, digests: Sequence[str]) -> None:
        """Let the device remove files of models that nobody will measure again."""
        self._asked({"ask": "forget", "files": list(digests)}, {}, 0)

    def measure(self, request: MeasureRequest) -> Measurement:
        """Measure a model on the device. Raises MeasurementFailed for its own failures, else MeasurementInterrupted."""
        self._send_model(request)
        answer = self._asked(
            {"ask": "measure", "timeout_s": self._how.timeout_s}, {"it": request}, _output_bytes(request)
        )
        folder = self._folder / f"measured-{self._count}"
        folder.mkdir()
        (folder / RESULT).write_text(json.dumps(answer.content.get("measured")))
        for index, file in enumerate(answer.files):
            file.rename(folder / f"output-{index}.npy")
        try:
            return read_result(folder, request)
        except MeasurementFailed:
            raise
        except (ValueError, TypeError, OSError, EOFError, RecursionError, MemoryError) as error:
            raise self._odd(error) from error

    def measure_in_turns(self, requests: Mapping[str, MeasureRequest]) -> dict[str, TurnLatency | MeasurementFailed]:
        """Time models in turns on the device; one that fails there has its MeasurementFailed instead."""
        for request in requests.values():
            self._send_model(request)
        timed = {name: request.for_timing() for name, request in requests.items()}
        asked = {"ask": "turns", "timeout_s": self._how.timeout_s}
        answer = self._asked(asked, timed, 0).content.get("turns")
        if not isinstance(answer, dict) or set(answer) != set(requests):
            raise self._odd(ValueError(f"expected times of {', '.join(requests)}, got {str(answer)[:80]!r}"))
        return {name: self._latency(answer[name]) for name in requests}

    def _checked_greeting(self, content: dict[str, Any]) -> Greeting:
        fields = {field.name for field in dataclasses.fields(Greeting)}
        texts = [content.get(name) for name in ("runtime", "onnxruntime", "cpu", "instruction_set")]
        if content.get("protocol") != PROTOCOL or set(content) != fields:
            raise MeasurementInterrupted(
                f"{self._how.host}: expected a runtime that speaks version {PROTOCOL} of the measuring protocol, got "
                f"{str(content)[:200]!r}; install the edgewright-runtime of this release there"
            )
        if not all(isinstance(text, str | None) and (text is None or text.isprintable()) for text in texts):
            raise self._odd(ValueError("a greeting of printable texts was expected"))
        greeting = Greeting(**content)
        needed = RuntimeRange.measured_with(onnxruntime_version())
        try:
            fits = needed.holds(greeting.onnxruntime)
        except ValueError:
            fits = False
        if not fits:
            raise MeasurementInterrupted(
                f"{self._how.host}: expected ONNX Runtime {needed}, for which bundles of this pipeline are, got "
                f"{greeting.onnxruntime[:40]}; install it there"
            )
        if self._expected is not None and greeting != self._expected:
            raise MeasurementInterrupted(
                f"{self._how.host}: expected the device that answered before, {self._expected}, got {greeting}; "
                "run again"
            )
        return greeting

    def _send_model(self, request: MeasureRequest) -> None:
        """Send the files of a model that the device does not have."""
        graphs = _graphs(request)
        files = {path.name: path for path in _weights(graphs)} | {_digest(graph): graph for graph in graphs}
        missing = self._asked({"ask": "have", "files": sorted(files)}, {}, 0).content.get("missing")
        if not isinstance(missing, list) or not set(map(str, missing)) <= set(files):
            raise self._odd(ValueError(f"expected some of the files that were asked for, got {str(missing)[:80]!r}"))
        for digest in missing:
            size = files[digest].stat().st_size
            self._link.allow(self._how.timeout_s + size / _LEAST_BYTES_PER_S)
            self._send({"ask": "take", "files": [digest]}, [files[digest]])
            self._received(0)
        self.sent |= set(missing)

    def _asked(self, question: dict[str, Any], requests: Mapping[str, MeasureRequest], most_bytes: int) -> Frame:
        """Ask about models and their rows; return the answer, or raise the failure that it is."""
        files: list[Path] = []
        plain: dict[str, Any] = {}
        for name, request in requests.items():
            files += self._rows(request, len(files))
            graph, *heads = _graphs(request)
            plain[name] = {
                "graph": _digest(graph),
                "heads": [_digest(head) for head in heads],
                "outputs": {head.name: list(head.outputs) for head in request.heads},
                "weights": sorted({path.name for path in _weights([graph, *heads])}),
                "inputs": list(request.inputs),
                "settings": request.settings.to_plain(),
                "numbers": {number: getattr(request, number) for number in _NUMBERS},
            }
        sent = sum(file.stat().st_size for file in files)
        models = max(1, len(requests))
        self._link.allow(models * self._how.timeout_s + _LOCK_WAIT_S + 60 + (sent + most_bytes) / _LEAST_BYTES_PER_S)
        self._send(question | ({"requests": plain} if plain else {}), files)
        for file in files:
            file.unlink()
        return self._received(most_bytes)

    def _rows(self, request: MeasureRequest, first: int) -> list[Path]:
        paths = [self._folder / f"rows-{first + index}.npy" for index in range(len(request.inputs))]
        for path, array in zip(paths, request.inputs.values(), strict=True):
            with path.open("wb") as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
        return paths

    def _send(self, content: dict[str, Any], files: Sequence[Path]) -> None:
        try:
            write_frame(self._link.write, content, files)
        except OSError as error:
            raise MeasurementInterrupted(f"{self._how.host}: {error}; look at the disk, and measure again") from error

    def _received(self, most_bytes: int) -> Frame:
        answer = self._next(most_bytes)
        if "failure" in answer.content:
            raise self._failure(answer.content)
        return answer

    def _next(self, most_bytes: int) -> Frame:
        self._count += 1
        place = self._folder / f"answer-{self._count}"
        place.mkdir()
        try:
            return self._reader.next(place, most_bytes)
        except ValueError as error:
            raise self._odd(error) from error
        except OSError as error:
            raise MeasurementInterrupted(f"{self._how.host}: {error}; look at the disk, and measure again") from error

    def _latency(self, answer: Any) -> TurnLatency | MeasurementFailed:
        if isinstance(answer, dict) and "failure" in answer:
            return self._failure(answer)
        figures = answer.get("latency") if isinstance(answer, dict) else None
        fields = {field.name: field.type for field in dataclasses.fields(TurnLatency)}
        whole = {name for name, kind in fields.items() if kind in ("int", int)}
        if not isinstance(figures, dict) or set(figures) != set(fields):
            return self._odd(ValueError(f"expected times, got {str(answer)[:80]!r}"))
        for name, value in figures.items():
            if type(value) not in ((int,) if name in whole else (int, float)) or not 0 <= value < math.inf:
                return self._odd(ValueError(f"expected a number as {name}, got {str(value)[:80]!r}"))
        if not all(figures[name] > 0 for name in fields if name.endswith("_ms")):
            return self._odd(ValueError("expected times above 0"))
        return TurnLatency(**figures)

    def _failure(self, answer: Mapping[str, Any]) -> MeasurementFailed:
        kind = KINDS.get(str(answer["failure"]), MeasurementInterrupted)
        text = "".join(each if each.isprintable() else " " for each in str(answer.get("sentence")))
        return kind(f"On {self._how.host}: {text[:2000]}")

    def _odd(self, error: Exception) -> MeasurementInterrupted:
        return self._link.broken(f"got something else ({type(error).__name__}: {str(error)[:300]})")


def _graphs(request: MeasureRequest) -> list[Path]:
    """Return the paths of the graphs of a model: that which takes the rows, and its heads."""
    return [request.model, *(head.path for head in request.heads)]


def _digest(graph: Path) -> str:
    try:
        return model_digest(graph, ())
    except SessionError as error:
        raise MeasurementFailed(str(error)) from error


def _weights(graphs: Sequence[Path]) -> list[Path]:
    try:
        return [path for graph in graphs for path in weights_of(graph)]
    except SessionError as error:
        raise MeasurementFailed(str(error)) from error


def _output_bytes(request: MeasureRequest) -> int:
    """Return the most bytes that the answers to all rows may take, with the headers of their files."""
    from model_compression.onnx_files import graph_tensors

    total = 0
    giving = _graphs(request)[1:] or [request.model]
    given = [spec for graph in giving for spec in graph_tensors(graph)[1]]
    for spec in given:
        sizes = spec.shape[1:]
        if any(size is None for size in sizes):
            return MOST_OUTPUT_BYTES
        total += request.rows * math.prod(int(size or 0) for size in sizes) * np.dtype(spec.dtype).itemsize + _HEADER
    return total
