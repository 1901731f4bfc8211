"""Records in MLflow: the run of a version, its stages, its devices, and the edge model versions."""

import json
import logging
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel

from edge_runtime.model_files import model_bytes
from quality_gates.evidence import Evidence
from quality_gates.report import (
    ReportContent,
    attestation,
    data_table,
    decision_lines,
    figure_table,
    gate_table,
    render_html,
    render_model_card,
    report_tables,
    tensor_table,
)
from quality_gates.verdict import Verdict
from tasks.answer_parts import AnswerKeys
from tasks.compression import (
    STRUCTURE,
    WEIGHTS_FOLDER,
    Baseline,
    Step,
    Trajectory,
    parts_of,
    program_of,
    structure_of,
    weights_of,
)
from tasks.errors import one_line
from tasks.job import Job
from tasks.measurement import Acceptance
from tasks.outcomes import CONTENT, DECISION, REPORT, SIZE, WORST_GATE, DeviceFailure, DeviceOutcome, Outcome
from tasks.registry import (
    AGAIN_S,
    ANSWERS,
    APPROVED_UNTIL,
    NOT_ANSWERED,
    NOTE,
    OF_WORKLOAD,
    UNDECIDED,
    Answered,
    Answers,
    Candidate,
    Runs,
    Upstream,
    was_away,
)
from tasks.reporting.answered_versions import answered_with
from tasks.reporting.judged_device import accuracy, figures_of
from tasks.reporting.trigger import TRIGGER, trigger
from tasks.selection import Attempt, Judgement
from tasks.store import libraries
from tasks.upstream import Context, DeviceContext

VERDICT = "verdict.json"
MODEL_CARD = "model-card.md"
ATTESTATION = "attestation.json"
LONGEST_DESCRIPTION = 5000
RECIPE = "recipe.json"
STEPS = "steps.json"
SIGN_OFF = "edgewright.sign_off"
logger = logging.getLogger("edgewright")


def open_run(job: Job) -> tuple[Runs, str]:
    """Open the run of this version and recipe."""
    runs = Runs(job.workspace.tracking_uri, job.model)
    recipe = job.recipe
    tags = {
        "edgewright.recipe": recipe.name,
        "edgewright.recipe_digest": recipe.digest,
        NOTE: f"Version {job.version} of `{job.model}` for {', '.join(device.name for device in recipe.devices)}.",
    }
    run = runs.parent(job.version, job.run_key, f"{job.model} v{job.version}", tags)
    libraries_used = {f"library.{name}": version for name, version in libraries().items()}
    params = {"model": job.model, "version": job.version, "recipe": recipe.digest, **libraries_used}
    runs.log(run, params=params, tags=trigger(job.cause).tags)
    _record_data(job, runs, run)
    runs.offer_view("answers", "Runs with decision, worst gate and size", (DECISION, WORST_GATE, SIZE))
    runs.text(run, RECIPE, recipe.model_dump_json(indent=2))
    runs.text(run, "data.json", json.dumps(job.data, indent=2))
    return runs, run


@task(
    name="record search", task_run_name="record search", cache_policy=NO_CACHE, retries=2,
    retry_delay_seconds=AGAIN_S, retry_condition_fn=was_away,
)  # fmt: skip
def record_search(context: Context, baseline: Baseline, trajectory: Trajectory | None) -> None:
    """Log the parent and every round; no round where no device needed a structure of its own."""
    runs = context.runs
    _record_baseline(context, baseline)
    if trajectory is None:
        return
    child = runs.child(context.run, "prune")
    runs.log(
        child, params={"stopped": trajectory.stopped, **context.job.recipe.prune.model_dump(exclude={"fine_tune"})}
    )
    rows = []
    for snapshot in (*trajectory.snapshots, *trajectory.undone):
        figures = {
            "parameters": snapshot.parameters,
            "int8_file_bytes_expected": snapshot.weight_bytes + baseline.graph_bytes,
            "validation_accuracy": snapshot.accuracy,
            "seconds": snapshot.seconds,
        }
        runs.log(child, metrics=figures, step=snapshot.index)
        rows.append({"snapshot": snapshot.title, "undone": snapshot in trajectory.undone, **figures})
    runs.tables(child, {"trajectory.json": rows})
    runs.text(child, STEPS, json.dumps([asdict(step) for step in trajectory.steps]))
    runs.finish(child)


def recorded_steps(context: Context) -> tuple[Step, ...]:
    """Return the rounds of pruning that were taken for other devices of this version; none where there is no record."""
    runs = context.runs
    child = runs.find_child(context.run, "prune")
    found = None if child is None else runs.find_text(child, STEPS)
    try:
        return tuple(Step(**step) for step in json.loads(found or "[]"))
    except (ValueError, TypeError) as error:
        logger.warning("run %s: its %s cannot be read (%s)", context.run, STEPS, one_line(error))
        return ()


def _record_baseline(context: Context, baseline: Baseline) -> None:
    child = context.runs.child(context.run, "baseline")
    whole = baseline.snapshot
    figures = {
        "parameters": whole.parameters,
        "validation_accuracy": whole.accuracy,
        "fp32_file_bytes": model_bytes(baseline.onnx),
        "int8_file_bytes_expected": whole.weight_bytes + baseline.graph_bytes,
    }
    context.runs.log(child, metrics=figures)
    context.runs.finish(child)


@task(
    name="record device", task_run_name="record {context.device.name}", cache_policy=NO_CACHE, retries=2,
    retry_delay_seconds=AGAIN_S, retry_condition_fn=was_away,
)  # fmt: skip
def record_device(
    context: DeviceContext, chosen: Attempt, judgement: Judgement, content: ReportContent,
    acceptance: Acceptance | None = None,
) -> Candidate:  # fmt: skip
    """Log one device's figures, gates and report, and keep the judged file with its run, and its acceptance data.

    Raises RegistryError where the file is no longer the one that was measured.
    """
    job, runs, child, verdict = context.job, context.runs, context.device_run, judgement.verdict
    runs.log(
        child,
        params={"device": context.device.name, "rung": chosen.rung.title, "snapshot": chosen.snapshot.title},
        metrics=_metrics(job, judgement.evidence) | _gate_metrics(verdict),
        tags=_started(runs, context.run) | {f"edgewright.gate.{gate.name}": gate.outcome for gate in verdict.gates},
    )
    _record_data(job, runs, child)
    record_report(runs, child, content)
    decided_by: dict[str, BaseModel] = {RECIPE: job.recipe, VERDICT: verdict.unapproved}
    structure = structure_of(context, chosen.snapshot, chosen.rung, parts_of(context, chosen.snapshot))
    for kept in filter(None, (weights_of(context, chosen.snapshot), program_of(context, chosen.snapshot))):
        runs.file(child, kept, WEIGHTS_FOLDER)
    if structure is not None:
        decided_by[STRUCTURE] = structure
    runs.log_texts(child, {name: each.model_dump_json(indent=2) for name, each in decided_by.items()})
    runs.tables(child, {f"{name}.json": rows for name, rows in report_tables(content).items()})
    measured = str(verdict.file_sha256)
    origin = content.origin
    tensors = ((), ()) if origin is None else (origin.inputs, origin.outputs)
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        beside = {} if acceptance is None else acceptance.files(Path(folder))
        return context.edge_models.keep(runs, child, chosen.file.path, context.lineage, measured, tensors, beside)


def _started(runs: Runs, run: str) -> dict[str, str]:
    """Return the tags of a version's run that say who or what started it."""
    tags = runs.tags(run)
    return {name: tags[name] for name in TRIGGER if name in tags}


def _record_data(job: Job, runs: Runs, run: str) -> None:
    runs.data(run, job.recipe.workload, {name: (len(split), split.digest) for name, split in job.splits.items()})


def record_report(runs: Runs, run: str, content: ReportContent) -> None:
    """Log a report in every form: page, content, model card, attestation, the run's tags and its description."""
    forms = {REPORT: render_html(content), CONTENT: content.model_dump_json(), MODEL_CARD: render_model_card(content)}
    statement = attestation(content)
    runs.log_texts(run, forms if statement is None else forms | {ATTESTATION: statement.decode()})
    runs.log(run, tags=decision_tags(content) | {NOTE: description(content, runs, run)})


def release_tags(content: ReportContent, run: str) -> dict[str, str]:
    """Return the tags of a release's page in the registry, beside its lineage; the workload's words are among them."""
    said = {name: text for name, text in content.lineage if name in OF_WORKLOAD}
    described = {f"edgewright.{name}": text for name, text in said.items()}
    decision = "published" if content.verdict.approval is None else "approved"
    return decision_tags(content) | described | {DECISION: decision, "edgewright.report": f"runs:/{run}/{REPORT}"}


def record_line(runs: Runs, line: DeviceOutcome) -> None:
    """Record the answer of one device on its run."""
    runs.log(line.run_id, tags=line.tags)
    Answers(runs).record(line.run_id, line.answer, line.model_dump(mode="json"), shown=line.in_a_line)


def record_failure(runs: Runs, run: str, failure: DeviceFailure) -> None:
    """Record the error that ended a device's run."""
    answer = UNDECIDED if failure.asked_again else "error"
    runs.log(run, tags={DECISION: answer})
    Answers(runs).record(run, answer, failure.model_dump(mode="json"))


def record_outcome(job: Job, runs: Runs, outcome: Outcome) -> None:
    """Record a version's answer on its run and on the upstream version's page."""
    runs.log(outcome.run_id, metrics={"devices": len(job.recipe.devices)})
    record_answer(job.workspace.tracking_uri, runs, outcome, job.answer_key, job.keys)


def record_answer(
    tracking_uri: str, runs: Runs, outcome: Outcome, answer_key: str | None = None,
    keys: Mapping[str, AnswerKeys] | None = None,
) -> None:  # fmt: skip
    """Record the answer on each device on the version's run and, when that is done, on the upstream version's page.

    `keys` are those of the devices' answers, by name; without, those that were recorded before stay.
    """
    run, verdicts = outcome.run_id, {f"edgewright.{device.device}": device.verdict for device in outcome.devices}
    published = sum(device.published for device in outcome.devices)
    runs.log(run, metrics={"published": published}, tags=verdicts | outcome.tags)
    tags = {**verdicts, "edgewright.answer": outcome.answer, "edgewright.run": run}
    Answers(runs).record(run, outcome.answer, outcome.model_dump(mode="json"), answer_key, shown=outcome.in_a_line)
    upstream = Upstream(tracking_uri)
    before = upstream.answered(outcome.model, outcome.version, outcome.recipe)
    attempts = 0 if answer_key is None else Answers(runs).attempts(run, answer_key)
    upstream.tell(answered_with(outcome, before, answer_key, keys, attempts), tags)


def tell_begun(job: Job, run: str) -> None:
    """Tell the page of a version that it is begun, if nobody tried it before: after a kill it is not forgotten."""
    upstream = Upstream(job.workspace.tracking_uri)
    if upstream.answered(job.model, job.version, job.recipe.name) is None:
        upstream.tell(Answered(job.model, job.version, job.recipe.name, run, UNDECIDED, 0, job.answer_key))


def retell(job: Job, outcome: Outcome) -> None:
    """Tell a version's page what stands, where it tells something else: a kill came before it, or a way back."""
    upstream = Upstream(job.workspace.tracking_uri)
    before = upstream.answered(outcome.model, outcome.version, outcome.recipe)
    told = answered_with(outcome, before, job.answer_key, job.keys, 0)
    if before is None or (before.is_decided, before.devices) != (told.is_decided, told.devices):
        upstream.tell(told, {"edgewright.answer": outcome.answer})


def _metrics(job: Job, evidence: Evidence) -> dict[str, float | None]:
    models = {"candidate": evidence.candidate, "parent": evidence.parent, "deployed": evidence.deployed}
    metrics: dict[str, float | None] = {}
    for name, model in models.items():
        metrics[f"{name}.accuracy"] = accuracy(model)
        for condition in job.recipe.critical_slices:
            metrics[f"{name}.accuracy.{condition.key}"] = accuracy(model, condition)
        if (figures := figures_of(model)) is not None:
            metrics |= {f"{name}.{figure}": value for figure, value in figures.known.items()}
    return metrics | _turn_metrics(evidence)


def _turn_metrics(evidence: Evidence) -> dict[str, float | None]:
    """Return the times that were taken in turns, such as candidate.turns.1.spread for one row at a time."""
    return {
        f"{role}.turns.{turns.batch_size}.{name}": value
        for turns in evidence.turns
        for role, latency in turns.latencies.items()
        for name, value in asdict(latency).items()
    }


def _gate_metrics(verdict: Verdict) -> dict[str, float | None]:
    """Return the numbers of each gate, so that runs can be searched and compared by them."""
    fields = ("estimate", "lower", "upper", "threshold", "candidate_value", "reference_value", "n")
    return {f"gate.{gate.name}.{field}": getattr(gate, field) for gate in verdict.gates for field in fields}


def decision_tags(content: ReportContent) -> dict[str, str]:
    """Return the tags that people search by: verdict, reasons, what answered, approval and sign-off."""
    tags = {
        "edgewright.verdict": content.verdict.outcome,
        "edgewright.verdict_sha256": content.verdict.sha256,
        "edgewright.why": " ".join(content.verdict.reasons) or content.verdict.headline,
        ANSWERS: content.instruction_set or NOT_ANSWERED,
    }
    if content.sign_off is not None:
        tags[SIGN_OFF] = content.sign_off.sentence
    approval = content.verdict.approval
    if approval is None:
        return tags
    return tags | {
        "edgewright.approved_by": approval.name,
        "edgewright.approval_reason": approval.reason,
        APPROVED_UNTIL: str(approval.until),
    }


def description(content: ReportContent, runs: Runs, child: str) -> str:
    """Return the text of the edge model version's page and of the run's; its link is relative to the server.

    MLflow's databases hold 5,000 characters: sections that do not fit are left to the model card.
    """
    link = f"#/experiments/{runs.experiment}/runs/{child}/artifacts"
    source = (
        f"Made from version {content.version} of `{content.model}`. [The gate report]({link}): `{REPORT}`, the model "
        f"card: `{MODEL_CARD}`, the attestation: `{ATTESTATION}`."
    )
    text = "\n".join([*decision_lines(content), "", source])
    for section in _sections(content):
        longer = f"{text}\n\n" + "\n".join(section)
        text = longer if len(longer) <= LONGEST_DESCRIPTION else text
    return text[:LONGEST_DESCRIPTION]


def _sections(content: ReportContent) -> Iterator[list[str]]:
    """Yield the parts of a description, the most needed first."""
    yield gate_table(content.verdict.gates)
    yield figure_table(content)
    if content.origin is not None:
        yield [f"Started by: {content.origin.started_by}."]
        yield data_table(content.origin)
        yield tensor_table(content.origin)
