"""The whole way of a family: one compression, one bundle, and a device that answers for every task."""

from pathlib import Path

import numpy as np
import pytest

import flows.compress
from edge_runtime.backbone import load_model
from edge_runtime.bundle import Bundle, check_blob, read_bundle
from edge_runtime.configuration import UpdateConfiguration
from edge_runtime.device import agent_of, status_lines
from edge_runtime.device.joined import store_of
from edge_runtime.install import running
from edge_runtime.model_files import heads_of, model_bytes, model_digest
from edge_runtime.serving import Runtime
from edge_runtime.serving.model_sources import StoreSource
from edge_runtime.update import UpdateExit
from quality_gates.report import ReportContent
from tasks.delivery import FormOptions, export_release, form_of
from tasks.registry import EdgeModels, EdgeVersion, Runs
from tasks.repository import keys_folder, open_repository
from tasks.workspace import Workspace
from tests.end_to_end.tiny.family import FAMILY, register_family, write_family
from tests.end_to_end.tiny.workload import Tiny
from tests.tasks.delivery.devices import PERSONS, WORKER, begin, configured, serving
from tests.tasks.joined import TASKS

pytestmark = pytest.mark.timeout(1200)
ROWS = Tiny().split("test").inputs[0][:5]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with keys, in which version 1 of the family is registered."""
    monkeypatch.setenv("EDGEWRIGHT_KEYS_PASSPHRASE", WORKER)
    monkeypatch.setenv("EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE", PERSONS)
    made = Workspace.at(tmp_path / "home")
    begin(made, ("family",))
    assert register_family(made) == "1"
    return made


def deployed(workspace: Workspace) -> EdgeVersion:
    edge = EdgeModels(workspace.tracking_uri, FAMILY).deployed("family")
    assert edge is not None
    return edge


def test_a_family_is_compressed_published_installed_and_served(workspace: Workspace, tmp_path: Path) -> None:
    recipe = write_family(tmp_path, budgets={"size_kb": 40}, max_batch=4)
    outcome = flows.compress.compress(FAMILY, "1", recipe, workspace)
    assert outcome.answer == "published", outcome
    (device,) = outcome.devices
    kept = EdgeModels(workspace.tracking_uri, FAMILY).fetch(deployed(workspace), tmp_path / "kept")
    assert [head.name for head in heads_of(kept)] == list(TASKS)
    check_report(Runs(workspace.tracking_uri, FAMILY), device.run_id, kept)
    with serving(workspace.target) as (url, _):
        configuration = configured(workspace, tmp_path / "device", url, FAMILY, "family")
        assert agent_of(configuration).run() is UpdateExit.DONE
    check_device(configuration, kept)
    exported(workspace, tmp_path / "stick", kept)


def check_report(runs: Runs, run: str, kept: Path) -> None:
    """Look for the parts of the file, and for a gate of each task, where people look."""
    content = ReportContent.model_validate_json(runs.read_text(run, "report.json"))
    names = [gate.name for gate in content.verdict.gates]
    assert [name for name in names if name.endswith(": accuracy")] == [f"{task}: accuracy" for task in TASKS]
    assert content.verdict.file_sha256 == model_digest(kept)
    told = dict(content.lineage)
    parts = {"backbone": kept, **{f"head {head.name}": head.path for head in heads_of(kept)}}
    for name, path in parts.items():
        assert told[name] == f"{model_bytes(path, ()):,} bytes"
        assert told[name] in runs.read_text(run, "report.html")
        assert f"- {name}: {told[name]}" in runs.read_text(run, "model-card.md")
    assert content.origin is not None
    assert [spec.name for spec in content.origin.outputs] == list(TASKS)
    assert {f"head.{task}.onnx" for task in TASKS} < {file.name for file in content.origin.files}
    assert {row.layer.partition(".")[0] for row in content.layers} == {"backbone", "heads"}


def check_device(configuration: UpdateConfiguration, kept: Path) -> None:
    """Compare what the device answers for each task with the file that MLflow keeps, and read its status."""
    store = store_of(configuration)
    expected = right(kept, running(store, FAMILY).bundle)
    assert f"{FAMILY}: answers by 2 heads: digit, odd" in list(status_lines(configuration))
    with Runtime([StoreSource(store, FAMILY)]) as runtime:
        for asked in ([*TASKS], ["odd"], ["digit"]):
            answers = runtime.predict(FAMILY, {"image": ROWS}, outputs=asked)
            assert list(answers) == asked
            for task in asked:
                np.testing.assert_allclose(answers[task], expected[task], rtol=1e-3, atol=1e-3)


def right(kept: Path, bundle: Bundle) -> dict[str, np.ndarray]:
    answers = load_model(kept, bundle.manifest.session, heads_of(kept)).predict({"image": ROWS})
    return dict(zip(TASKS, answers, strict=True))


def exported(workspace: Workspace, folder: Path, kept: Path) -> None:
    """Export the release as a folder, and look for every graph in it."""
    repository = open_repository(workspace.published, keys_folder(workspace.home))
    export_release(repository, FAMILY, "family", form_of("dir", FormOptions()), folder)
    (path,) = (folder / "targets").rglob("*.manifest.json")
    bundle = read_bundle(path)
    assert model_digest(bundle.entry_path, bundle.heads) == model_digest(kept)
    for blob in bundle.manifest.blobs:
        check_blob(bundle.blob_path(blob.name), blob)
