"""`edgewright demo`: three versions are registered; the pipeline answers each."""

import json
import logging
import shutil
import time
from pathlib import Path

import numpy as np
from rich.console import Console

from flows.compress import compress
from flows.console import outcome_table
from flows.demo.upstream import VERSIONS, DigitsNet, train
from flows.reconcile import reconcile
from tasks.progress import steps
from tasks.registry import register_upstream
from tasks.reporting import Outcome
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")
RECIPE = "digits"
MODEL = "digits"
SUMMARY = "summary.json"
STORY = {
    "1": "Version 1: the upstream team registers a first model. That is all they do.",
    "2": "Version 2: a better parent. It has to hold against itself uncompressed and against what is deployed now.",
    "3": "Version 3: trained on damaged data, it has lost the digit 8. Its average still looks like its parent's.",
}


def tell(home: Path, console: Console) -> list[Outcome]:
    """Run the story from the beginning in an empty workspace; returns one outcome per version."""
    shutil.rmtree(home, ignore_errors=True)
    workspace = Workspace.at(home)
    outcomes = []
    for version in VERSIONS:
        console.rule(f"[bold]{STORY[version]}", align="left")
        _register(version, workspace)
        outcomes += reconcile([RECIPE], workspace)
    console.rule("[bold]Version 2 once more: nothing has changed.", align="left")
    _again(workspace)
    write_summary(home / SUMMARY, outcomes)
    console.print(outcome_table(outcomes))
    return outcomes


def write_summary(path: Path, outcomes: list[Outcome]) -> None:
    """One entry per version and device, for machines."""
    entries = [device.model_dump(mode="json") for outcome in outcomes for device in outcome.devices]
    path.write_text(json.dumps(entries, indent=2))


def _register(version: str, workspace: Workspace) -> None:
    started = time.perf_counter()
    with steps(f"upstream trains version {version}") as progress:
        model: DigitsNet = train(VERSIONS[version], progress)
    logger.info("upstream: trained version %s in %.0f s; registering it", version, time.perf_counter() - started)
    example = np.zeros((2, 1, 8, 8), dtype=np.float32)
    params = vars(VERSIONS[version])
    registered = register_upstream(workspace.tracking_uri, MODEL, model, example, params)
    if registered != version:
        raise RuntimeError(f"expected the registry to count this as version {version}, got {registered}")


def _again(workspace: Workspace) -> None:
    started = time.perf_counter()
    outcome = compress(MODEL, "2", RECIPE, workspace)
    if not outcome.reused:
        raise RuntimeError("expected version 2 to be answered already, got a computed answer")
    logger.info("nothing was computed again; answered in %.1f s", time.perf_counter() - started)
