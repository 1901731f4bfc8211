"""Records in MLflow: the run of a version, its stages, its devices, and the edge model versions."""

from dataclasses import asdict

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import ValidationError

from edge_runtime.model_files import model_bytes
from quality_gates.evidence import Evidence
from quality_gates.report import ReportContent, render_html, report_tables
from quality_gates.verdict import Verdict
from tasks.compression import Baseline, Trajectory
from tasks.errors import RegistryError
from tasks.job import Job
from tasks.registry import APPROVED_UNTIL, EdgeVersion, Runs, Upstream
from tasks.reporting.outcomes import REPORT, Outcome, accuracy, figures_of
from tasks.selection import Attempt, Judgement
from tasks.store import libraries
from tasks.upstream import Context, DeviceContext

CONTENT = "report.json"


def open_run(job: Job) -> tuple[Runs, str]:
    """Open the run of this version and recipe."""
    runs = Runs(job.workspace.tracking_uri, job.model)
    recipe = job.recipe
    tags = {
        "edgewright.recipe": recipe.name,
        "edgewright.recipe_digest": recipe.digest,
        "mlflow.note.content": f"Version {job.version} of `{job.model}` for "
        f"{', '.join(device.name for device in recipe.devices)}.",
    }
    run = runs.parent(job.version, job.run_key, f"{job.model} v{job.version}", tags)
    libraries_used = {f"library.{name}": version for name, version in libraries().items()}
    runs.log(run, params={"model": job.model, "version": job.version, "recipe": recipe.digest, **libraries_used})
    runs.text(run, "recipe.json", recipe.model_dump_json(indent=2))
    return runs, run


@task(name="record search", cache_policy=NO_CACHE)
def record_search(context: Context, baseline: Baseline, trajectory: Trajectory) -> None:
    """Log the parent and every round."""
    runs = context.runs
    _record_baseline(context, baseline)
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
    runs.table(child, "trajectory.json", rows)
    runs.finish(child)


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


@task(name="record device", cache_policy=NO_CACHE)
def record_device(context: DeviceContext, chosen: Attempt, judgement: Judgement, content: ReportContent) -> EdgeVersion:
    """Log one device's figures, gates and report, and register the candidate; returns its registered version."""
    job, runs, child, verdict = context.job, context.runs, context.device_run, judgement.verdict
    runs.log(
        child,
        params={"device": context.device.name, "rung": chosen.rung.title, "snapshot": chosen.snapshot.title},
        metrics=_metrics(job, judgement.evidence) | _gate_metrics(verdict),
        tags=decision_tags(content)
        | {"edgewright.answers": content.answers}
        | {f"edgewright.gate.{gate.name}": gate.outcome for gate in verdict.gates},
    )
    runs.text(child, REPORT, render_html(content))
    runs.text(child, CONTENT, content.model_dump_json())
    runs.text(child, "verdict.json", Verdict.of(verdict.gates).model_dump_json(indent=2))  # what the gates say alone
    for name, rows in report_tables(content).items():
        runs.table(child, f"{name}.json", rows)
    tags = job.lineage.tags | decision_tags(content) | {"edgewright.report": f"runs:/{child}/{REPORT}"}
    edge = context.edge_models.register(
        context.device.name, child, chosen.file.path, description(content, runs, child), tags, runs,
        measured=judgement.evidence.candidate.file_sha256,
    )  # fmt: skip
    runs.finish(child)
    return edge


def read_report(runs: Runs, run: str) -> ReportContent:
    """Return the content of a device's gate report. Raises RegistryError where it is missing or has another form."""
    try:
        return ReportContent.model_validate_json(runs.read_text(run, CONTENT))
    except ValidationError as error:
        raise RegistryError(
            f"run {run}: expected a {CONTENT} of this release of Edgewright, got another form "
            f"({error.error_count()} differences); compress the version again"
        ) from error


def record_outcome(job: Job, runs: Runs, run: str, outcome: Outcome) -> None:
    """Record the answer on the version's run and on the upstream version's page."""
    runs.log(run, metrics={"devices": len(job.recipe.devices)})
    record_answer(job.workspace.tracking_uri, runs, run, outcome)


def record_answer(tracking_uri: str, runs: Runs, run: str, outcome: Outcome) -> None:
    """Record the answer on each device on the version's run and on the upstream version's page."""
    runs.log(run, metrics={"published": sum(device.published for device in outcome.devices)})
    verdicts = {f"edgewright.{device.device}": device.verdict for device in outcome.devices}
    runs.log(run, tags=verdicts)
    tags = {**verdicts, "edgewright.answer": outcome.answer, "edgewright.run": run}
    Upstream(tracking_uri).tag(outcome.model, outcome.version, tags)
    runs.answer(run, outcome.answer, outcome.model_dump(mode="json"))


def _metrics(job: Job, evidence: Evidence) -> dict[str, float | None]:
    models = {"candidate": evidence.candidate, "parent": evidence.parent, "deployed": evidence.deployed}
    metrics: dict[str, float | None] = {}
    for name, model in models.items():
        metrics[f"{name}.accuracy"] = accuracy(model)
        for condition in job.recipe.critical_slices:
            metrics[f"{name}.accuracy.{condition.key}"] = accuracy(model, condition)
        if (figures := figures_of(model)) is not None:
            metrics |= {f"{name}.{figure}": value for figure, value in asdict(figures).items()}
    return metrics


def _gate_metrics(verdict: Verdict) -> dict[str, float | None]:
    """Return the numbers of each gate, so that runs can be searched and compared by them."""
    fields = ("estimate", "lower", "upper", "threshold", "candidate_value", "reference_value", "n")
    return {f"gate.{gate.name}.{field}": getattr(gate, field) for gate in verdict.gates for field in fields}


def decision_tags(content: ReportContent) -> dict[str, str]:
    """Return the tags that people search by: the verdict, its reasons, and its approval if there is one."""
    tags = {
        "edgewright.verdict": content.verdict.outcome,
        "edgewright.verdict_sha256": content.verdict.sha256,
        "edgewright.decision": content.decision,
        "edgewright.why": " ".join(content.verdict.reasons) or content.verdict.headline,
    }
    approval = content.verdict.approval
    if approval is None:
        return tags
    return tags | {
        "edgewright.approved_by": approval.name,
        "edgewright.approval_reason": approval.reason,
        APPROVED_UNTIL: str(approval.until),
    }


def description(content: ReportContent, runs: Runs, child: str) -> str:
    """Return the text of the edge model version's page; its link is relative to the server that shows it."""
    link = f"#/experiments/{runs.experiment}/runs/{child}/artifacts"
    approval = content.verdict.approval
    reasons = [f"- {reason}" for reason in content.verdict.reasons]
    source = f"Made from version {content.version} of `{content.model}`. [The gate report]({link}): `{REPORT}`."
    answers = [] if approval is None else ["", f"Approved by {approval.name}: {approval.reason}"]
    return "\n".join([f"**{content.decision}** {content.verdict.headline}", *reasons, *answers, "", source])
