"""The content of one device's gate report, gathered from the judgement, the attempts and the history."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deployments.answers import NOT_A_NUMBER
from model_compression.onnx_files import optimized_operators
from quality_gates.evidence import Evidence, ModelEvidence
from quality_gates.report import (
    HistoryRow,
    ReportContent,
    RungRow,
    Side,
    SizePoint,
    SliceValue,
)
from tasks.compression import Snapshot, Student, Trajectory, float_bytes
from tasks.emulation import answering_of
from tasks.job import Job
from tasks.outcomes import DeviceOutcome, history, history_row, until_now
from tasks.reporting.drawn_rows import class_overlaps, drawn_rows
from tasks.reporting.judged_device import accuracy, figures_of
from tasks.reporting.losses import LayerLosses, ledger
from tasks.reporting.model_origin import origin_of, parts_of
from tasks.reporting.row_findings import confusion, flips, mistakes, slice_rows
from tasks.reporting.trigger import trigger
from tasks.selection import Attempt, Climb, Judgement, pareto
from tasks.store import libraries
from tasks.upstream import DeviceContext

LAYERS_LEFT_OUT = "The layers are not looked at one by one, as the recipe's `layer_losses` is false."
LAYERS_LATER = (
    "The layers have not been looked at one by one. That comes last, when a version is published or refused; this "
    "report is then written again."
)


def report_content(
    context: DeviceContext, trajectory: Trajectory, climb: Climb, judgement: Judgement, outcome: DeviceOutcome
) -> ReportContent:
    """Gather everything that the gate report of one device says, but for the losses of single layers."""
    job, device, verdict, evidence = context.job, context.device, judgement.verdict, judgement.evidence
    deployed, compared = judgement.deployed_version, judgement.reference_version
    reference = evidence.deployed if compared else evidence.parent
    past = [row for _, row in history(context.runs, context.edge_models, device.name)]
    current = _current_row(context, judgement, outcome)
    critical = job.recipe.critical_slices
    sizes, started_by = _float_sizes(context, trajectory, climb), trigger(context.job.cause).sentence
    return ReportContent(
        model=job.model,
        version=job.version,
        device=device.name,
        verdict=verdict,
        published=outcome.published,
        deployed_version=deployed,
        sign_off=outcome.sign_off,
        decision=decision(outcome),
        **_answers(context, evidence),
        scores_are_shares=outcome.scores_are_shares,
        sides=tuple(_sides(job, climb, judgement)),
        turns=evidence.turns,
        points=tuple(frontier(trajectory, climb, sizes, evidence.validation, compared)),
        size_budget_bytes=device.budgets.size_bytes,
        rungs=tuple(_rung(attempt) for attempt in climb.attempts),
        why=climb.why,
        ledger=tuple(ledger(job, trajectory, climb.chosen, sizes)),
        layers_note=LAYERS_LATER if job.recipe.layer_losses else LAYERS_LEFT_OUT,
        mistakes=mistakes(job, evidence.candidate, reference),
        confusion=confusion(evidence.candidate, reference),
        history=until_now(past, current),
        critical=str(critical[0]) if critical else None,
        slices=tuple(slice_rows(job, evidence)),
        **flips(job, evidence, compared is not None),
        overlaps=tuple(class_overlaps(evidence)),
        drawn=tuple(drawn_rows(context, evidence, climb.chosen.file.path)),
        flips_against=f"{_role(judgement)} version {compared}" if compared else "the parent",
        representativeness=judgement.representativeness,
        lineage=tuple(_lineage(context, trajectory, climb.chosen.file.path, judgement, started_by).items()),
        origin=origin_of(context, climb.chosen.file.path, evidence.candidate, started_by),
    )


def _current_row(context: DeviceContext, judgement: Judgement, outcome: DeviceOutcome) -> HistoryRow:
    """Return the history's line of this version.

    It has a release number only where it is what is deployed already, and is published again as the same release.
    """
    deployed, now = judgement.deployed, datetime.now(UTC)
    if not outcome.published:
        return history_row(outcome, now, "")
    this = (context.key, judgement.evidence.candidate.file_sha256)
    if deployed is not None and (deployed.run_key, deployed.file_sha256) == this:
        outcome = outcome.released(deployed.release)
    return history_row(outcome, now, "deployed")


def decision(outcome: DeviceOutcome) -> str:
    """Return the decision about the candidate in words."""
    deployed, asked = outcome.deployed_version, outcome.sign_off
    if outcome.published:
        how = "Published by approval against its gates" if outcome.approval else "Published"
        how = f"{how}, signed off by {asked.names}" if asked is not None else how
        return f"{how}; replaces version {deployed}." if deployed else f"{how}; the first model on this device."
    stays = f"version {deployed} stays deployed" if deployed else "nothing is deployed on this device yet"
    if outcome.waits and asked is not None:
        return f"Passed, and waits for sign-off ({asked.count}) until {asked.day}; {stays}."
    return f"Refused; {stays}."


def _answers(context: DeviceContext, evidence: Evidence) -> dict[str, Any]:
    """Return the content about the CPU that the rows were answered on."""
    if evidence.withheld is not None:
        return {"answers": f"No test row was read: {evidence.withheld.reason} {evidence.withheld.remedy}"}
    candidate = evidence.candidate
    missing, cpu = candidate.unanswered, candidate.answered_on
    if missing is not None:
        return {"answers": f"No answers were taken on the device's CPU: {missing.reason} {missing.remedy}"}
    unproven = cpu is not None and not cpu.is_proven
    accepted = " The recipe accepts it." if unproven and context.job.recipe.accept_unproven_instruction_set else ""
    return {
        "answers": f"{answering_of(context.device).sentence}{accepted}{_not_numbers(candidate)}",
        "instruction_set": "" if cpu is None else str(cpu),
        "is_unproven": unproven,
    }


def _not_numbers(candidate: ModelEvidence) -> str:
    """Return a sentence on the rows that were answered with NaN or infinity, if there are any."""
    broken = 0 if candidate.rows is None else int((candidate.rows["prediction"] == NOT_A_NUMBER).sum())
    rows = 0 if candidate.rows is None else len(candidate.rows)
    return f" {broken:,} of {rows:,} rows were answered with NaN or infinity, which is wrong." if broken else ""


def with_layers(content: ReportContent, chosen: Attempt, layers: LayerLosses) -> ReportContent:
    """Return a report with the losses of single layers, which are taken last, because nothing waits for them."""
    return content.model_copy(update={"layers": layers.rows, "layers_note": _layers_note(chosen, layers)})


def _layers_note(chosen: Attempt, layers: LayerLosses) -> str:
    if layers.failure is not None:
        return f"The layers could not be looked at one by one: {layers.failure}"
    if not layers.rows:
        return "No layer of this model has weights that are quantized."
    return (
        f"In each line only the named layer of the chosen float model ({chosen.snapshot.title}) is quantized, after "
        "training and with min-max calibration; all other layers stay in float. The line shows how much this changes "
        f"the accuracy on {layers.validation_rows:,} validation rows, and how far the answers move, as a share of "
        "their own size. Each critical slice has further rows of its own. The losses of single layers do not add up to "
        f"the loss of the whole file. They took {layers.seconds:.0f} s, after the decision."
    )


def _role(judgement: Judgement) -> str:
    """Return the word for the release that was compared with: it may differ from the deployed one."""
    return "deployed" if judgement.reference == judgement.deployed else "reference"


def _sides(job: Job, climb: Climb, judgement: Judgement) -> Iterator[Side]:
    evidence, compared = judgement.evidence, judgement.reference_version
    yield _side("candidate", f"Candidate from version {job.version} ({climb.chosen.title})", job, evidence.candidate)
    if compared:
        name = f"{_role(judgement).capitalize()}, from version {compared}"
        yield _side("deployed", name, job, evidence.deployed)
    yield _side("parent", f"Parent, version {job.version}, FP32", job, evidence.parent)


def _side(role: str, name: str, job: Job, model: ModelEvidence | None) -> Side:
    slices = tuple(SliceValue(name=str(c), value=accuracy(model, c)) for c in job.recipe.critical_slices)
    content = {"role": role, "name": name, "accuracy": accuracy(model), "slices": slices, "figures": figures_of(model)}
    return Side.model_validate(content)


def _rung(attempt: Attempt) -> RungRow:
    return RungRow(
        name=f"{attempt.rung.title}{attempt.islands}",
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
    """Count the operators of a measured file; one that crashed ONNX Runtime in its own process is not loaded here."""
    if attempt.measured.failure is not None:
        return ""
    return ", ".join(f"{count} {name}" for name, count in optimized_operators(attempt.file.path).items())


def _lineage(
    context: DeviceContext, trajectory: Trajectory, file: Path, judgement: Judgement, started_by: str
) -> dict[str, str]:
    job, device, origin, candidate = context.job, context.device, context.lineage, judgement.evidence.candidate
    return {
        "upstream model": f"{origin.source_model} version {origin.source_version}",
        "recipe": f"{origin.recipe}, {origin.recipe_digest}",
        "workload": job.recipe.workload,
        **_described(job),
        **{f"{name} split": f"{len(split)} rows, {split.digest}" for name, split in job.splits.items()},
        **({} if judgement.anchor is None else {"anchor": judgement.anchor.sentence}),
        **_shared(job),
        "device profile": f"{device.name}: {device.description}; {device.instruction_set}, {device.threads} thread(s)",
        **_pruning(trajectory),
        "file": candidate.file_sha256 or "not measured",
        **parts_of(file),
        "started by": started_by,
        "run": context.run,
        "libraries": ", ".join(f"{name} {version}" for name, version in libraries().items()),
    }


def _pruning(trajectory: Trajectory) -> dict[str, str]:
    """Return how many rounds were kept and the layers that stay whole, or the release whose structure was kept."""
    if trajectory.release is not None:
        return {"pruning": trajectory.stopped}
    whole = "; ".join(f"layer {item.layer}, as {item.reason}" for item in trajectory.protected)
    rounds = f"{len(trajectory.snapshots) - 1} rounds kept; {trajectory.stopped}"
    return {"pruning": rounds, "layers kept whole": whole or "none"}


def _shared(job: Job) -> dict[str, str]:
    """Return how the splits are divided: the column of the groups, and rows that two splits share with the reason."""
    workload = job.workload
    groups = {} if workload.group is None else {"groups": f"{workload.group}, in one split each"}
    if not job.shared_rows:
        return groups
    return groups | {"shared rows": f"{'; '.join(map(str, job.shared_rows))}: {workload.shared_rows}"}


def _described(job: Job) -> dict[str, str]:
    """Return what the workload says of itself: its task, and where it says so its labels and its preprocessing."""
    workload = job.workload
    labels = {} if workload.labels is None else {"labels": ", ".join(workload.labels)}
    described = workload.preprocessing
    text = described if isinstance(described, str) else json.dumps(described)
    return {"task": workload.task, **labels, **({} if described is None else {"preprocessing": text})}


def _float_sizes(context: DeviceContext, trajectory: Trajectory, climb: Climb) -> dict[str, int | None]:
    """Return the bytes of every float model of a search by its digest, in the form in which the parent is measured."""
    models = (*trajectory.snapshots, *trajectory.undone, *(attempt.snapshot for attempt in climb.attempts))
    return {digest: float_bytes(context, model) for digest, model in {each.digest: each for each in models}.items()}


def frontier(
    trajectory: Trajectory, climb: Climb, sizes: Mapping[str, int | None], validation: Evidence | None,
    deployed: str | None,
) -> Iterator[SizePoint]:  # fmt: skip
    """Yield every model of the search, and the deployed one if it was measured on the `validation` rows.

    `sizes` are the bytes of float models by their digests.
    """
    for snapshot in (*trajectory.snapshots, *trajectory.undone):
        yield _snapshot_point(snapshot, sizes[snapshot.digest], undone=snapshot in trajectory.undone)
    tried = {attempt.snapshot.title: attempt.snapshot for attempt in climb.attempts}
    for student in tried.values():
        if isinstance(student, Student):
            yield _student_point(student, sizes[student.digest])
    best = pareto(climb.attempts)
    yield from (_rung_point(attempt, climb, best) for attempt in climb.attempts)
    if deployed and validation is not None and validation.deployed is not None:
        yield _deployed_point(deployed, validation.deployed)


def _snapshot_point(snapshot: Snapshot, size_bytes: int | None, *, undone: bool) -> SizePoint:
    why = ", undone: it broke a floor" if undone else ""
    return SizePoint(
        label=snapshot.title,
        kind="parent" if snapshot.folder is None else "snapshot",
        size_bytes=size_bytes,
        accuracy=snapshot.accuracy,
        note=f"{snapshot.parameters:,} parameters, FP32{why}",
    )


def _student_point(student: Student, size_bytes: int | None) -> SizePoint:
    return SizePoint(
        label=student.title,
        kind="student",
        size_bytes=size_bytes,
        accuracy=student.accuracy,
        note=f"{student.parameters:,} parameters, FP32, taught by the parent",
    )


def _rung_point(attempt: Attempt, climb: Climb, best: list[Attempt]) -> SizePoint:
    return SizePoint(
        label=attempt.title,
        kind="rung",
        size_bytes=attempt.size_bytes,
        accuracy=attempt.accuracy,
        figures=attempt.measured.resources,
        holds=attempt.verdict.passed,
        pareto=attempt in best,
        chosen=attempt is climb.chosen,
        note=attempt.reason,
    )


def _deployed_point(version: str, measured: ModelEvidence) -> SizePoint:
    """Return the deployed model as measured now: its older figures are of other rows and maybe another machine."""
    failed = f"could not be measured: {measured.failure}"
    how = "measured again on the same rows" if measured.failure is None else failed
    return SizePoint(
        label="deployed",
        kind="deployed",
        size_bytes=None if measured.resources is None else measured.resources.size_bytes,
        accuracy=accuracy(measured),
        figures=measured.resources,
        note=f"version {version}, {how}",
    )
