"""What MLflow shows: the parent run of a version, its stages, its devices, and the edge model versions."""

from dataclasses import asdict

from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments.device import DeviceProfile
from quality_gates.evidence import Evidence
from quality_gates.report import ReportContent, render_html, report_tables
from quality_gates.verdict import Verdict
from tasks.compression import Baseline, Trajectory
from tasks.job import Job
from tasks.registry import APPROVED_UNTIL, EdgeModels, EdgeVersion, Runs, Upstream
from tasks.reporting.outcomes import Outcome, accuracy, critical_slices, figures_of
from tasks.selection import Climb
from tasks.store import libraries

REPORT = "report.html"
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
def record_search(job: Job, runs: Runs, run: str, baseline: Baseline, trajectory: Trajectory) -> None:
    """Log the parent and every round."""
    _record_baseline(runs, run, baseline)
    child = runs.child(run, "prune")
    runs.log(child, params={"stopped": trajectory.stopped, **job.recipe.prune.model_dump(exclude={"fine_tune"})})
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


def _record_baseline(runs: Runs, run: str, baseline: Baseline) -> None:
    child = runs.child(run, "baseline")
    whole = baseline.snapshot
    figures = {
        "parameters": whole.parameters,
        "validation_accuracy": whole.accuracy,
        "fp32_file_bytes": baseline.onnx.stat().st_size,
        "int8_file_bytes_expected": whole.weight_bytes + baseline.graph_bytes,
    }
    runs.log(child, metrics=figures)
    runs.finish(child)


@task(name="record device", cache_policy=NO_CACHE)
def record_device(
    job: Job, runs: Runs, run: str, device: DeviceProfile, climb: Climb, verdict: Verdict, evidence: Evidence,
    content: ReportContent,
) -> tuple[EdgeVersion, str]:  # fmt: skip
    """Log one device's figures, gates and report, and register the candidate; returns it and the report's address."""
    child = runs.child(run, device.name)
    chosen = climb.chosen
    runs.log(
        child,
        params={"device": device.name, "rung": chosen.rung, "snapshot": chosen.snapshot.title},
        metrics=_metrics(job, evidence) | _gate_metrics(verdict),
        tags=decision_tags(content)
        | {"edgewright.answers": content.answers}
        | {f"edgewright.gate.{gate.name}": gate.outcome for gate in verdict.gates},
    )
    runs.text(child, REPORT, render_html(content))
    runs.text(child, CONTENT, content.model_dump_json())
    runs.text(child, "verdict.json", Verdict.of(verdict.gates).model_dump_json(indent=2))  # what the gates say alone
    for name, rows in report_tables(content).items():
        runs.table(child, f"{name}.json", rows)
    edge = EdgeModels(job.workspace.tracking_uri, job.model).register(
        device.name,
        child,
        chosen.file.path,
        description(content, runs, child),
        _tags(job, content, child),
        runs,
    )
    runs.finish(child)
    return edge, f"runs:/{child}/{REPORT}"


def record_outcome(job: Job, runs: Runs, run: str, outcome: Outcome) -> None:
    """Record the answer on the parent run and on the upstream version's page."""
    runs.log(run, metrics={"devices": len(job.recipe.devices)})
    record_answer(job.workspace.tracking_uri, runs, run, outcome)


def record_answer(tracking_uri: str, runs: Runs, run: str, outcome: Outcome) -> None:
    """Say on the parent run and on the upstream version's page what came of the version on each device."""
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
        for condition in critical_slices(job):
            metrics[f"{name}.accuracy.{condition.key}"] = accuracy(model, condition)
        if (figures := figures_of(model)) is not None:
            metrics |= {f"{name}.{figure}": value for figure, value in asdict(figures).items()}
    return metrics


def _gate_metrics(verdict: Verdict) -> dict[str, float | None]:
    """The numbers of each gate, so that runs can be searched and compared by them."""
    fields = ("estimate", "lower", "upper", "threshold", "candidate_value", "reference_value", "n")
    return {f"gate.{gate.name}.{field}": getattr(gate, field) for gate in verdict.gates for field in fields}


def decision_tags(content: ReportContent) -> dict[str, str]:
    """What runs and model versions can be searched by: the verdict, why, and who answers for it if someone does."""
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


def _tags(job: Job, content: ReportContent, child: str) -> dict[str, str]:
    return {
        "edgewright.source_model": job.model,
        "edgewright.source_version": job.version,
        "edgewright.recipe": job.recipe.name,
        "edgewright.recipe_digest": job.recipe.digest,
        "edgewright.run_key": job.run_key,
        **decision_tags(content),
        "edgewright.report": f"runs:/{child}/{REPORT}",
    }


def description(content: ReportContent, runs: Runs, child: str) -> str:
    """What the page of the edge model's version says; the link is relative to the server that shows it."""
    link = f"#/experiments/{runs.experiment}/runs/{child}/artifacts"
    approval = content.verdict.approval
    reasons = [f"- {reason}" for reason in content.verdict.reasons]
    source = f"Made from version {content.version} of `{content.model}`. [The gate report]({link}): `{REPORT}`."
    answers = [] if approval is None else ["", f"Approved by {approval.name}: {approval.reason}"]
    return "\n".join([f"**{content.decision}** {content.verdict.headline}", *reasons, *answers, "", source])
