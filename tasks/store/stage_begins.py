"""Lines that say that a stage begins, and about how long it takes by what earlier stages of its kind took."""

import json
import logging
import statistics
from collections.abc import Mapping
from pathlib import Path

logger = logging.getLogger("edgewright.stages")

LAST = 5
"""Earlier stages of a kind that its time is expected by: the newest ones."""
QUICK_S = 2.0
"""Seconds below which a stage ends before its line is read."""
TITLES: Mapping[str, str] = {
    "program": "reading the registered model",
    "parent-outputs": "the parent's answers",
    "prunable": "looking for what can be pruned",
    "prune": "a pruning round",
    "kept-structure": "training in the structure of what is deployed",
    "student-fit": "measuring which students fit",
    "student": "training a student",
    "export": "exporting a float file",
    "float": "a file in float",
    "fp16": "a file by FP16",
    "dynamic": "a file by dynamic quantization",
    "int4": "a file by INT4",
    "ptq": "a file by PTQ",
    "mixed": "a file by mixed precision",
    "qat": "a file by QAT",
    "faster-in-float": "measuring which layers are faster in float",
    "measure": "measuring a file",
    "turns": "timing files in turns",
    "fresh-processes": "measuring again in fresh processes",
    "emulate": "answers on an emulated CPU",
    "parity": "comparing a file with its source",
    "acceptance": "measuring what devices test the file with",
    "layers": "measuring what each layer costs",
    "upstream": "training the upstream model",
}
"""The words for stages that may be long."""


def say_begin(name: str, folder: Path) -> None:
    """Log that a stage begins whose earlier results are below `folder`; nothing for one that is known to be quick."""
    took = _earlier(folder)
    if name not in TITLES or (took and statistics.median(took) < QUICK_S):
        return
    expected = f", about {duration(statistics.median(took))} as before" if took else ""
    logger.info("begins: %s%s", TITLES[name], expected)


def duration(seconds: float) -> str:
    """Return a time in words, such as `40 s`, `3 min` or `1.5 h`."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _earlier(folder: Path) -> list[float]:
    """Return the seconds that the newest results took; a damaged one is passed over."""
    found = []
    for path in sorted(folder.glob("*/result.json"), key=_age)[:LAST]:
        try:
            found.append(float(json.loads(path.read_text())["seconds"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:  # another process removed it
        return 0.0
