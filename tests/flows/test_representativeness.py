"""The data held against the deployment sites on the whole way: warned about, refused before training, or not asked."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import flows.compress
from deployments.errors import ConfigurationError
from deployments.workload import DeploymentSample
from tasks.errors import PreflightError, RepresentativenessError
from tasks.registry import Runs
from tasks.workspace import Workspace
from tests.end_to_end.tiny.workload import Tiny
from tests.flows.conftest import Variant

WIDE = dict.fromkeys(("label_prior", "slice_shares", "predictions", "outputs"), 0.9)
TIGHT = dict.fromkeys(("label_prior", "slice_shares", "predictions", "outputs"), 0.2)
whole = Tiny.deployment_sample


def asked(effects: dict[str, float], on_mismatch: str) -> dict[str, Any]:
    return {"representativeness": {**effects, "confidence": 0.95, "on_mismatch": on_mismatch}}


def at_the_sites(monkeypatch: pytest.MonkeyPatch, rows: DeploymentSample | None) -> None:
    monkeypatch.setattr(Tiny, "deployment_sample", lambda _: rows)


def mostly_ones(labels: bool = True) -> DeploymentSample:
    """The sites see nine ones for every other digit."""
    sample = whole(Tiny())
    assert sample.targets is not None
    ones = np.flatnonzero(sample.targets == 1)
    rows = np.concatenate([np.repeat(ones, 9), np.flatnonzero(sample.targets != 1)[: len(ones)]])
    slices = pd.DataFrame({"label": sample.targets[rows]}) if labels else pd.DataFrame(index=range(len(rows)))
    return DeploymentSample((sample.inputs[0][rows],), slices, sample.targets[rows] if labels else None)


def child_run(world: Workspace, recipe_name: str) -> Any:
    runs = Runs(world.tracking_uri, "tiny")
    parents = {run.info.run_id for run in runs.search({"edgewright.recipe": recipe_name})}
    (child,) = (
        run
        for run in runs.search({"edgewright.stage": "representativeness"})
        if run.data.tags["mlflow.parentRunId"] in parents
    )
    return child


def test_a_mismatch_is_warned_about_in_log_run_and_report(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    at_the_sites(monkeypatch, mostly_ones())
    monkeypatch.setattr(logging.getLogger("edgewright"), "propagate", True)
    outcome = flows.compress.compress("tiny", "1", variant("warned", asked(TIGHT, "warn")), world)
    assert outcome.answer == "published"
    assert ": the label prior differs from the deployment sites" in caplog.text
    run = child_run(world, "warned")
    assert run.data.tags["edgewright.representativeness"] == "differs"
    assert run.data.metrics["differ"] > 0
    client = Runs(world.tracking_uri, "tiny").client
    table = json.loads(Path(client.download_artifacts(run.info.run_id, "representativeness.json")).read_text())
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert {row["set"] for row in rows} == {"train", "calibration"}
    report = Path(client.download_artifacts(outcome.devices[0].run_id, "report.html")).read_text()
    assert "The data against the deployment sites" in report and ": the label prior differs" in report


@pytest.mark.parametrize("labels", [True, False])
def test_a_mismatch_stops_before_training_where_the_recipe_says_so(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch, labels: bool
) -> None:
    at_the_sites(monkeypatch, mostly_ones(labels))
    monkeypatch.setattr(flows.compress, "prune", lambda *_: pytest.fail("training began"))
    name = f"stopped-{labels}".lower()
    recipe = variant(name, asked(TIGHT, "fail"))
    with pytest.raises(RepresentativenessError) as caught:
        flows.compress.compress("tiny", "1", recipe, world)
    message = str(caught.value)
    assert message.startswith(f"recipe `{name}`: key `representativeness`: expected train and calibration rows like")
    assert "the largest: train: " in message or "the largest: calibration: " in message
    again = flows.compress.compress("tiny", "1", recipe, world)
    assert again.reused and again.error == message
    run = child_run(world, name)
    assert run.info.status == "FAILED"
    assert ("the label prior differs" in run.data.tags["edgewright.why"]) == labels
    assert "what the parent answers differs" in run.data.tags["edgewright.why"]


def test_sites_that_see_what_is_trained_on_pass(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = Tiny().split("train")
    rows = np.random.default_rng(0).integers(len(train), size=300)
    at_the_sites(monkeypatch, DeploymentSample((train.inputs[0][rows],), train.slices.iloc[rows], train.targets[rows]))
    outcome = flows.compress.compress("tiny", "1", variant("same-hands", asked(TIGHT, "fail")), world)
    assert outcome.answer == "published"
    assert child_run(world, "same-hands").data.tags["edgewright.representativeness"] == "alike"


def test_a_recipe_that_asks_of_a_workload_without_a_sample_is_refused_in_preflight(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_the_sites(monkeypatch, None)
    monkeypatch.setattr(flows.compress, "resolve", lambda *_: pytest.fail("preflight let it through"))
    with pytest.raises(ConfigurationError, match="expected rows for the recipe's `representativeness`, got None"):
        flows.compress.compress("tiny", "1", variant("no-sample", asked(WIDE, "warn")), world)


def test_rows_that_the_model_does_not_take_are_refused_before_anything_is_computed(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = whole(Tiny())
    at_the_sites(monkeypatch, replace(good, inputs=(good.inputs[0][..., :-1],)))
    monkeypatch.setattr(flows.compress, "measure_baseline", lambda *_: pytest.fail("something was computed"))
    with pytest.raises(PreflightError, match=r"expected deployment rows .* change what Workload\.deployment_sample"):
        flows.compress.compress("tiny", "1", variant("cropped", asked(WIDE, "warn")), world)


def test_a_recipe_that_does_not_ask_never_reads_the_sample(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tiny, "deployment_sample", lambda _: pytest.fail("it was read"))
    assert flows.compress.compress("tiny", "1", variant("unasked"), world).answer == "published"
