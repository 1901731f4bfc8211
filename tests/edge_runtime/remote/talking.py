"""A pipeline that talks to a device's end through pipes, in tests."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.measurement import MeasureRequest
from edge_runtime.model_files import graphs_of, model_digest, weights_of
from edge_runtime.remote import Frame, FrameReader, write_frame

_SCRIPT = (
    "import pathlib, sys; from edge_runtime.remote import answer_pipeline; answer_pipeline(0, 1, pathlib.Path({!r}))"
)
NUMBERS = (
    "batch_size", "latency_warmup", "latency_repeats", "latency_batch_size", "latency_seconds", "memory_limit_mb",
)  # fmt: skip


class Talker:
    """The pipeline's end of a conversation; messages' files lie in `folder`."""

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path) -> None:
        assert process.stdin is not None and process.stdout is not None
        self.process, self._folder, self._count = process, folder, 0
        self._in = process.stdin.fileno()
        out = process.stdout.fileno()
        self._reader = FrameReader(lambda most: os.read(out, most))

    def hear(self) -> Frame:
        self._count += 1
        place = self._folder / f"heard-{self._count}"
        place.mkdir()
        return self._reader.next(place, 1 << 30)

    def say(self, content: dict[str, Any], files: Sequence[Path] = ()) -> None:
        write_frame(lambda data: os.write(self._in, data), content, files)

    def ask(self, content: dict[str, Any], files: Sequence[Path] = ()) -> Frame:
        self.say(content, files)
        return self.hear()

    def hang_up(self) -> int:
        """Close the pipeline's end, and return the exit code of the other one."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(30)

    def send_model(self, graph: Path) -> list[str]:
        """Send what is missing of a model; returns the digests that were."""
        graphs = graphs_of(graph)
        files = {path.name: path for each in graphs for path in weights_of(each)}
        files |= {model_digest(each, ()): each for each in graphs}
        missing: list[str] = self.ask({"ask": "have", "files": list(files)}).content["missing"]
        for digest in missing:
            assert self.ask({"ask": "take", "files": [digest]}, [files[digest]]).content == {"taken": True}
        return missing

    def request(self, asked: MeasureRequest) -> tuple[dict[str, Any], list[Path]]:
        """Return a request as a message has it, and its rows as files."""
        paths: list[Path] = []
        for array in asked.inputs.values():
            paths.append(self._folder / f"row-{len(list(self._folder.iterdir()))}.npy")
            np.save(paths[-1], array)
        return {
            "graph": model_digest(asked.model, ()), "heads": [model_digest(head.path) for head in asked.heads],
            "outputs": {head.name: head.outputs for head in asked.heads},
            "weights": [path.name for each in graphs_of(asked.model, asked.heads) for path in weights_of(each)],
            "inputs": list(asked.inputs), "settings": asked.settings.to_plain(),
            "numbers": {name: getattr(asked, name) for name in NUMBERS},
        }, paths  # fmt: skip


@contextmanager
def far_end(folder: Path, kept: Path) -> Iterator[Talker]:
    """Start a device's end that keeps its files in `kept`."""
    folder.mkdir()
    command = [sys.executable, "-c", _SCRIPT.format(str(kept))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Talker(process, folder)
        finally:
            process.kill()
