"""The facts of one device's decision, gathered for the gate report."""

import getpass
from collections.abc import Iterator

import numpy as np
import pandas as pd
from prefect.runtime import deployment, flow_run

from deployments.device import DeviceProfile
from edge_runtime.files import sha256_of
from model_compression.onnx_files import optimized_operators
from quality_gates.errors import EvidenceError
from quality_gates.evidence import Evidence, ModelEvidence, flipped_rows, in_slice, slice_table
from quality_gates.policy import SliceCondition
from quality_gates.report import (
    FlippedRow,
    ReportContent,
    RungRow,
    Side,
    SliceRow,
    SliceValue,
    png_base64,
)
from quality_gates.representativeness import Representativeness
from quality_gates.verdict import Verdict
from tasks.compression import Trajectory
from tasks.emulation import answering_of
from tasks.job import Job
from tasks.registry import EdgeModels, Runs
from tasks.reporting.confusions import confusion, mistakes
from tasks.reporting.layer_sensitivity import LayerLosses
from tasks.reporting.loss_ledger import ledger
from tasks.reporting.outcomes import accuracy, critical_slices, figures_of
from tasks.reporting.size_points import frontier
from tasks.reporting.version_history import candidate_row, history, until_now
from tasks.selection import Attempt, Climb
from tasks.store import libraries

SHOWN_FLIPS = 24


def report_content(
    job: Job, device: DeviceProfile, trajectory: Trajectory, climb: Climb, verdict: Verdict, evidence: Evidence,
    deployed: str | None, runs: Runs, run_id: str, layers: LayerLosses,
    representativeness: Representativeness | None = None,
) -> ReportContent:  # fmt: skip
    """Gather everything that the gate report of one device says."""
    against = f"deployed version {deployed}" if deployed else "the parent"
    reference = evidence.deployed if deployed else evidence.parent
    flips = _flips(evidence.candidate, reference)
    models = EdgeModels(job.workspace.tracking_uri, job.model)
    past = [row for _, row in history(runs, models, device.name)]
    critical = critical_slices(job)
    return ReportContent(
        model=job.model,
        version=job.version,
        device=device.name,
        verdict=verdict,
        published=verdict.releases,
        deployed_version=deployed,
        decision=decision(verdict, deployed),
        answers=_answers(device, evidence.candidate),
        sides=tuple(_sides(job, climb, evidence, deployed)),
        points=tuple(frontier(trajectory, climb, evidence.validation, deployed)),
        size_budget_bytes=device.budgets.size_bytes,
        rungs=tuple(_rung(attempt) for attempt in climb.attempts),
        why=climb.why,
        ledger=tuple(ledger(job, trajectory, climb.chosen)),
        layers=layers.rows,
        layers_note=_layers_note(climb.chosen, layers),
        mistakes=mistakes(job, evidence.candidate, reference),
        confusion=confusion(evidence.candidate, reference),
        history=until_now(past, candidate_row(job, verdict, evidence, climb.chosen)),
        critical=str(critical[0]) if critical else None,
        slices=tuple(_slices(job, evidence)),
        flips=() if flips is None else tuple(_shown(job, flips)),
        flips_total=None if flips is None else len(flips),
        flips_against=against,
        representativeness=representativeness,
        lineage=tuple(_lineage(job, device, trajectory, climb, run_id).items()),
    )


def decision(verdict: Verdict, deployed: str | None) -> str:
    """What happened to the candidate, in words."""
    if verdict.releases:
        how = "Published by approval against its gates" if verdict.approval else "Published"
        return f"{how}; replaces version {deployed}." if deployed else f"{how}; the first model on this device."
    stays = f"version {deployed} stays deployed" if deployed else "nothing is deployed on this device yet"
    return f"Refused; {stays}."


def _answers(device: DeviceProfile, candidate: ModelEvidence) -> str:
    """On which CPU the rows were answered, in words."""
    missing = candidate.unanswered
    if missing is None:
        return answering_of(device).sentence
    return f"No answers were taken on the device's CPU: {missing.reason} {missing.remedy}"


def _layers_note(chosen: Attempt, layers: LayerLosses) -> str:
    if layers.failure is not None:
        return f"The layers could not be looked at one by one: {layers.failure}"
    if not layers.rows:
        return "No layer of this model has weights that are quantized."
    return (
        f"{chosen.snapshot.title.capitalize()} in float with one layer at a time quantized after training (min-max), "
        f"the others left as they are, on {layers.validation_rows:,} validation rows: what the layer alone costs, and "
        "by how much the answers change in size; slices have rows of their own besides. Losses of layers do not add up "
        "to that of the whole file."
    )


def _sides(job: Job, climb: Climb, evidence: Evidence, deployed: str | None) -> Iterator[Side]:
    rung = f"{climb.chosen.rung}, {climb.chosen.snapshot.title}"
    yield _side("candidate", f"Candidate from version {job.version} ({rung})", job, evidence.candidate)
    if deployed:
        yield _side("deployed", f"Deployed, from version {deployed}", job, evidence.deployed)
    yield _side("parent", f"Parent, version {job.version}, FP32", job, evidence.parent)


def _side(role: str, name: str, job: Job, model: ModelEvidence | None) -> Side:
    slices = tuple(SliceValue(name=str(c), value=accuracy(model, c)) for c in critical_slices(job))
    content = {"role": role, "name": name, "accuracy": accuracy(model), "slices": slices, "figures": figures_of(model)}
    return Side.model_validate(content)


def _rung(attempt: Attempt) -> RungRow:
    return RungRow(
        name=attempt.rung,
        snapshot=attempt.snapshot.title,
        outcome=attempt.verdict.outcome,
        accuracy=attempt.accuracy,
        size_bytes=attempt.size_bytes,
        figures=attempt.measured.resources,
        seconds=attempt.seconds,
        reason=attempt.reason,
        operators=_operators(attempt),
    )


def _operators(attempt: Attempt) -> str:
    """Of a file that could be measured only: one that crashed ONNX Runtime there would crash it here."""
    if attempt.measured.failure is not None:
        return ""
    return ", ".join(f"{count} {name}" for name, count in optimized_operators(attempt.file.path).items())


def _slices(job: Job, evidence: Evidence) -> Iterator[SliceRow]:
    models = {"parent": evidence.parent, "deployed": evidence.deployed, "candidate": evidence.candidate}
    frames = {name: model.rows for name, model in models.items() if model is not None and model.rows is not None}
    columns = [str(column) for column in job.splits["test"].slices.columns]
    try:
        table = slice_table(frames, columns)
    except EvidenceError:
        return  # damaged rows are a failed gate, which says so
    critical = critical_slices(job)
    for (column, value), lines in table.groupby(["column", "value"], sort=False, dropna=False):
        figures = dict(zip(lines["model"], lines["accuracy"], strict=True))
        yield SliceRow(
            slice=f"{column} = {value}",
            n=int(lines["n"].iloc[0]),
            critical=SliceCondition(column=str(column), equals=_plain(value)) in critical,
            **{str(name): float(figure) for name, figure in figures.items()},
        )


def _plain(value: object) -> str | int | float | bool:
    plain = value.item() if hasattr(value, "item") else value
    return plain if isinstance(plain, str | int | float | bool) else str(plain)


def _flips(candidate: ModelEvidence, reference: ModelEvidence | None) -> pd.DataFrame | None:
    if candidate.rows is None or reference is None or reference.rows is None:
        return None
    try:
        return flipped_rows(candidate.rows, reference.rows)
    except EvidenceError:
        return None


def _shown(job: Job, flips: pd.DataFrame) -> Iterator[FlippedRow]:
    """The critical slices' rows first: they are what the release owner must see."""
    test = job.splits["test"]
    in_critical = np.zeros(len(flips), dtype=bool)
    for condition in critical_slices(job):
        in_critical |= _where(flips, condition)
    ordered = pd.concat([flips[in_critical], flips[~in_critical]])
    for _, row in ordered.head(SHOWN_FLIPS).iterrows():
        index = int(row["row_id"])
        picture = job.workload.picture(test, index)
        slices = [f"{column} = {row[column]}" for column in test.slices.columns]
        yield FlippedRow(
            row_id=str(index),
            label=str(test.targets[index]),
            reference_prediction=str(row["reference_prediction"]),
            candidate_prediction=str(row["candidate_prediction"]),
            slice=", ".join(slices),
            image_png_base64=None if picture is None else png_base64(picture),
            text=job.workload.text(test, index),
        )


def _where(rows: pd.DataFrame, condition: SliceCondition) -> np.ndarray:
    """Which rows are in a slice; none where it cannot be told."""
    try:
        return in_slice(rows, condition)
    except EvidenceError:
        return np.zeros(len(rows), dtype=bool)


def _trigger() -> str:
    """Who or what started this: a deployment of Prefect, or a person."""
    if deployment.name:
        return f"Prefect deployment {deployment.name}, flow run {flow_run.name}"
    return f"{getpass.getuser()}, by hand"


def _lineage(job: Job, device: DeviceProfile, trajectory: Trajectory, climb: Climb, run_id: str) -> dict[str, str]:
    return {
        "upstream model": f"{job.model} version {job.version}",
        "recipe": f"{job.recipe.name}, {job.recipe.digest}",
        "workload": job.recipe.workload,
        **{f"{name} split": f"{len(split)} rows, {split.digest}" for name, split in job.splits.items()},
        "device profile": f"{device.name}: {device.description}; {device.instruction_set}, {device.threads} thread(s)",
        "pruning": f"{len(trajectory.snapshots) - 1} rounds kept; {trajectory.stopped}",
        "layers kept whole": "; ".join(f"{item.layer}: {item.reason}" for item in trajectory.protected) or "none",
        "file": sha256_of(climb.chosen.file.path),
        "triggered by": _trigger(),
        "run": run_id,
        "libraries": ", ".join(f"{name} {version}" for name, version in libraries().items()),
    }
