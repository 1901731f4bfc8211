"""`make bench-latency`: identical files and a known ratio, timed one after the other and in turns, under load."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markdown import Markdown

from edge_runtime.measurement import MeasureRequest, TurnLatency, measure, measure_in_turns, too_busy
from edge_runtime.settings import SessionSettings
from tests.benchmarks.record import Figure, record
from tests.edge_runtime.models import chained_model

WIDTH, PRODUCTS, KNOWN = 256, 2, 4
SIZES = {"short": 32, "middle": 256, "long": 2048}
"""Rows at a time, by what the calls are on the machine that the table is of: about 0.1, 0.8 and 7 ms."""
RIVALS = (0, 4)
IDENTICAL = 3
SECONDS = 1.0
TIMEOUT_S = 120.0
console = Console()


@dataclass(frozen=True)
class Case:
    """One size of call beside so many rivals: medians of an identical file, alone and in turns, in milliseconds."""

    size: str
    rivals: int
    alone: Sequence[float]
    turns: Sequence[float]
    known: float
    busy: str | None

    @property
    def disagreement(self) -> float:
        """Largest over smallest median of the identical files in turns."""
        return max(self.turns) / min(self.turns)

    @property
    def error(self) -> float:
        """Distance of the measured ratio from the known one, as a share of it; the order of the two does not matter."""
        return max(self.known / KNOWN, KNOWN / self.known) - 1

    @property
    def line(self) -> str:
        """The line of the table."""
        alone, turns = (", ".join(f"{value:.3f}" for value in values) for values in (self.alone, self.turns))
        factor = max(self.alone) / min(self.alone)
        return (
            f"| {self.size} | {self.rivals} | {alone} | {factor:.2f} | {turns} | {self.disagreement:.2f} | "
            f"{self.known:.2f} | {self.busy or 'they compare'} |"
        )


@contextmanager
def rivals(count: int) -> Iterator[None]:
    """Keep so many processes busy meanwhile."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def request(model: Path, rows: int) -> MeasureRequest:
    """Return a request on one thread that times so many rows at a time."""
    inputs = {"x": np.ones((rows, WIDTH), np.float32)}
    return MeasureRequest(
        model, inputs, SessionSettings(threads=1), rows, latency_batch_size=rows, latency_seconds=SECONDS
    )


def case(folder: Path, size: str, count: int) -> Case:
    """Time three identical files one after the other and in turns, and beside them one of four times the work."""
    rows = SIZES[size]
    one = request(chained_model(folder / "one.onnx", WIDTH, PRODUCTS), rows)
    four = request(chained_model(folder / "four.onnx", WIDTH, KNOWN * PRODUCTS), rows)
    alone = []
    for index in range(IDENTICAL):
        with rivals(count * index // (IDENTICAL - 1)):  # the load changes from one measurement to the next
            alone.append(measure(one, TIMEOUT_S).figures.latency_p50_ms)
    names = [f"file {index}" for index in range(1, IDENTICAL + 1)]
    with rivals(count):
        seen = measure_in_turns(dict.fromkeys(names, one) | {"four": four}, TIMEOUT_S)
    latencies = {name: result for name, result in seen.items() if isinstance(result, TurnLatency)}
    medians = [latencies[name].latency_p50_ms for name in names]
    return Case(
        size, count, alone, medians, latencies["four"].latency_p50_ms / float(np.mean(medians)), too_busy(latencies)
    )


def main() -> None:
    """Time every case, and record what compares and how well."""
    began, (load, _, _) = time.perf_counter(), os.getloadavg()
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            for count in RIVALS:
                cases.append(case(Path(folder), size, count))
                console.print(cases[-1].line)
    comparing = [each for each in cases if each.busy is None]
    alone = max(max(each.alone) / min(each.alone) for each in cases)
    figures = [
        Figure("cases that compare", float(len(comparing)), 1, f"of {len(cases)}", "at_least"),
        Figure(
            "identical files in turns, largest over smallest p50, where they compare",
            max((each.disagreement for each in comparing), default=np.nan), 1.1, "", "at_most",
        ),
        Figure(
            f"{KNOWN} times the work: the ratio's error, where they compare",
            max((each.error for each in comparing), default=np.nan), 0.2, "", "at_most",
        ),
        Figure("time of the benchmark", time.perf_counter() - began, 180, "s", "at_most"),
    ]  # fmt: skip
    table = [
        "| calls | rivals | p50 one after the other, ms | factor | p50 in turns, ms | factor | 4 × work | verdict |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(each.line for each in cases),
    ]
    notes = (
        "Three times the identical file, and one with four times the work. One after the other, the machine has none, "
        "half and all of the rivals, as a machine that gets busier; in turns it has all of them throughout. A rival is "
        f"a process that never sleeps. The machine has {os.cpu_count()} cores and had a load of {load:.1f} before. "
        f"Identical files were up to {alone:.1f} times apart one after the other.\n\n" + "\n".join(table)
    )
    console.print(Markdown(record("latency", "make bench-latency", figures, notes)))


if __name__ == "__main__":
    main()
