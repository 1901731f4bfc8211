"""`python -m tests.benchmarks.frontier.calibrate SOURCE ROWS METHOD`: the megabytes that calibrating takes."""

import sys
from pathlib import Path

import numpy as np

from edge_runtime.measurement import memory as process_memory
from model_compression.quantization import quantize_after_training


def main(source: str, file: str, method: str) -> None:
    """Quantize once on all rows of a .npy file and write the growth to standard output."""
    rows = np.load(file)
    process_memory.reset_peak()
    before = process_memory.resident_mb()
    quantize_after_training(
        Path(source), (rows,), Path(file).with_name("calibrated.onnx"), method=method, reduce_range=False
    )
    sys.stdout.write(f"{process_memory.peak_mb() - before}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
