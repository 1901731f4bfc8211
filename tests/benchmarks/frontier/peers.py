"""Files that other tools make of the parent's float file."""

import subprocess
from pathlib import Path

import numpy as np

from model_compression.training import Arrays
from tests.benchmarks.record import ROOT
from tests.benchmarks.trajectory.cache import console

PYTHON = ROOT / ".venv-peers" / "bin" / "python"
SCRIPT = Path(__file__).with_name("peer_tools.py")
TOOLS = ("onnxruntime", "nncf", "neural_compressor")
TIMEOUT_S = 1200


def peer_files(source: Path, calibration: Arrays, folder: Path) -> dict[str, Path]:
    """The file of every tool that makes one; what a tool says where it fails is printed, and it is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = folder / "calibration.npy"
    np.save(rows, calibration[0])
    made = {tool: _made(tool, source, rows, folder / f"{tool}.onnx") for tool in TOOLS}
    return {tool: path for tool, path in made.items() if path is not None}


def _made(tool: str, source: Path, rows: Path, target: Path) -> Path | None:
    command = [str(PYTHON), str(SCRIPT), tool, str(source), str(rows), str(target)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if ended.returncode or not target.is_file():
        console.print(f"{tool} made no file: {ended.stderr.strip().splitlines()[-1:]}", markup=False)
        return None
    return target
