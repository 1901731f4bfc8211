"""The device's end of a connection: it measures what a pipeline asks for, and ends when the pipeline does.

A conversation is a greeting of the device, then questions and answers, one at a time:

    have      which of these files are missing here
    take      a file, kept under its digest
    measure   a model and its rows, measured once
    turns     several models, timed in turns
    forget    files that will not be asked for again

A failure is an answer too, with the name of its error and its sentence.
"""

import os
import re
import select
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import edge_runtime
from edge_runtime.cpu import this_cpu, this_instruction_set
from edge_runtime.errors import (
    EdgewrightError,
    MeasurementFailed,
    MeasurementInterrupted,
    MeasurementTimedOut,
)
from edge_runtime.measurement import MeasureRequest, measure, measure_in_turns
from edge_runtime.model_files import declared_heads
from edge_runtime.onnxruntime_packages import onnxruntime_version
from edge_runtime.remote.frames import Frame, FrameReader, write_frame
from edge_runtime.remote.kept_files import KeptFiles
from edge_runtime.settings import SessionSettings

PROTOCOL = 2
IDLE_S = 120.0
"""Seconds without a byte of the pipeline after which the device ends the connection."""
MOST_BYTES = 16 << 30
KINDS: Mapping[str, type[MeasurementFailed]] = {
    each.__name__: each for each in (MeasurementFailed, MeasurementInterrupted, MeasurementTimedOut)
}
"""Errors that may be an answer, by name."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_Answer = tuple[dict[str, Any], list[Path]]


@dataclass(frozen=True)
class Greeting:
    """A device's first words: its runtime and ONNX Runtime, the digest of its CPU, and its instruction set."""

    protocol: int
    runtime: str
    onnxruntime: str
    cpu: str
    instruction_set: str | None

    @classmethod
    def of_this_device(cls) -> "Greeting":
        """Return the greeting of this device."""
        return cls(PROTOCOL, edge_runtime.__version__, onnxruntime_version(), this_cpu(), this_instruction_set())


def default_folder() -> Path:
    """Return this user's folder for what pipelines send: on a disk, as models may be larger than the memory."""
    return Path(f"/var/tmp/edgewright-measuring-{os.getuid()}")


def answer_pipeline(incoming: int, outgoing: int, folder: Path | None = None) -> None:
    """Answer the questions on one descriptor on another one, until the pipeline has no more.

    Raises ValueError for what is no question, and MeasurementInterrupted where the folder cannot be used.
    """
    kept = KeptFiles(default_folder() if folder is None else folder)
    kept.clean()
    work = kept.work_folder()
    try:
        _FarEnd(kept, work, incoming, outgoing).run()
    except EOFError:
        pass
    finally:
        shutil.rmtree(work, ignore_errors=True)
        kept.clean()


class _FarEnd:
    """One connection: a folder of its own for all that it writes, the temporary files of measurements included."""

    def __init__(self, kept: KeptFiles, work: Path, incoming: int, outgoing: int) -> None:
        self._kept, self._work = kept, work
        self._incoming, self._outgoing = incoming, outgoing
        self._count = 0
        tempfile.tempdir = os.environ["TMPDIR"] = str(work)

    def run(self) -> None:
        """Greet, and answer one question after the other."""
        self._say(asdict(Greeting.of_this_device()))
        reader = FrameReader(self._received)
        while True:
            self._count += 1
            place = self._work / str(self._count)
            place.mkdir()
            question = reader.next(place, MOST_BYTES)
            with _ending_with_the_link(self._incoming, self._work):
                content, files = self._answered(question, place)
            self._say(content, files)
            shutil.rmtree(place)

    def _answered(self, question: Frame, place: Path) -> _Answer:
        answers: dict[str, Callable[[Frame, Path], _Answer]] = {
            "have": self._have, "take": self._take, "measure": self._measure, "turns": self._turns,
            "forget": self._forget,
        }  # fmt: skip
        asked = question.content.get("ask")
        if asked not in answers:
            raise ValueError(f"expected one of the questions {', '.join(answers)}, got {asked!r}")
        try:
            return answers[asked](question, place)
        except MeasurementFailed as error:
            return _failure(error), []
        except (EdgewrightError, OSError, MemoryError) as error:
            return _failure(MeasurementInterrupted(f"{type(error).__name__}: {error}")), []

    def _have(self, question: Frame, _: Path) -> _Answer:
        return {"missing": [digest for digest in _digests(question, "files") if not self._kept.has(digest)]}, []

    def _take(self, question: Frame, _: Path) -> _Answer:
        for digest, file in zip(_digests(question, "files"), question.files, strict=True):
            self._kept.take(file, digest)
        return {"taken": True}, []

    def _forget(self, question: Frame, _: Path) -> _Answer:
        self._kept.forget(_digests(question, "files"))
        return {"forgotten": True}, []

    def _measure(self, question: Frame, place: Path) -> _Answer:
        (request,) = self._requests(question, place).values()
        seen = measure(request, float(question.content["timeout_s"]))
        files = [place / f"output-{index}.npy" for index in range(len(seen.outputs))]
        for file, output in zip(files, seen.outputs, strict=True):
            with file.open("wb") as writer:
                np.lib.format.write_array(writer, output, version=(1, 0), allow_pickle=False)
        figures = {**seen.figures.known, "bare_rss_mb": seen.bare_rss_mb, "private_mb": seen.private_mb}
        return {"measured": {"sha256": seen.sha256, "figures": figures, "outputs": len(files)}}, files

    def _turns(self, question: Frame, place: Path) -> _Answer:
        results = measure_in_turns(self._requests(question, place), float(question.content["timeout_s"]))
        return {
            "turns": {
                name: _failure(result) if isinstance(result, MeasurementFailed) else {"latency": asdict(result)}
                for name, result in results.items()
            }
        }, []

    def _requests(self, question: Frame, place: Path) -> dict[str, MeasureRequest]:
        files = iter(question.files)
        found = {}
        for index, (name, asked) in enumerate(question.content["requests"].items()):
            inputs = {each: np.load(next(files), mmap_mode="r", allow_pickle=False) for each in asked["inputs"]}
            graph, *weights = _checked([asked["graph"], *asked["weights"]])
            folder = place / f"model-{index}"
            heads = declared_heads(folder, dict(asked["outputs"])) if asked["heads"] else ()
            further = dict(zip([head.path.name for head in heads], _checked(asked["heads"]), strict=True))
            model = self._kept.place(graph, weights, further, folder)
            settings = SessionSettings.from_plain(asked["settings"])
            found[name] = MeasureRequest(model, inputs, settings, heads=heads, **asked["numbers"])
        return found

    def _say(self, content: dict[str, Any], files: list[Path] | None = None) -> None:
        write_frame(lambda data: _write_all(self._outgoing, data), content, files or [])

    def _received(self, most: int) -> bytes:
        waiting = select.poll()
        waiting.register(self._incoming, select.POLLIN)
        if not waiting.poll(IDLE_S * 1000):
            raise EOFError(f"the pipeline sent nothing for {IDLE_S:g} s")
        return os.read(self._incoming, most)


@contextmanager
def _ending_with_the_link(incoming: int, work: Path) -> Iterator[None]:
    """End this process, and with it what it measures, as soon as the pipeline is gone."""
    stop, stopped = os.pipe()

    def watch() -> None:
        waiting = select.poll()
        waiting.register(stop, select.POLLIN)
        waiting.register(incoming, select.POLLRDHUP)
        events = dict(waiting.poll())
        if stop not in events:
            shutil.rmtree(work, ignore_errors=True)
            os._exit(1)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        os.close(stopped)  # which ends the wait
        watcher.join()
        os.close(stop)


def _failure(error: MeasurementFailed) -> dict[str, Any]:
    known = type(error) if type(error).__name__ in KINDS else MeasurementInterrupted
    return {"failure": known.__name__, "sentence": str(error)[:4096]}


def _digests(question: Frame, key: str) -> list[str]:
    return _checked(question.content[key])


def _checked(found: Any) -> list[str]:
    if not isinstance(found, list) or not all(isinstance(each, str) and _SHA256.fullmatch(each) for each in found):
        raise ValueError(f"expected sha256 digests, got {found!r}")
    return found


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
