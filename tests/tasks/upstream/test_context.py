"""Contexts: what a parent that is only an ONNX file leaves out, and what is computed once for all steps."""

from pathlib import Path

import numpy as np
import pytest

from tasks.errors import PreflightError
from tasks.registry import Runs
from tasks.upstream import Context, OnnxParent, resolve
from tasks.workspace import Workspace
from tests.edge_runtime.models import linear_model
from tests.tasks.builders import context, on
from tests.tasks.tiny import FEATURES, job


def of_a_file(tmp_path: Path) -> Context:
    return context(
        job(Workspace.at(tmp_path, "sqlite:///unused")),
        OnnxParent(linear_model(tmp_path / "m.onnx", FEATURES, 3), "p"),
    )


def test_an_onnx_file_cannot_be_trained(tmp_path: Path) -> None:
    begun = of_a_file(tmp_path)
    assert not begun.trainable
    with pytest.raises(PreflightError, match=r"`tiny` version 1: this version is an ONNX file, .*; for that, reg"):
        _ = begun.torch_parent


def test_a_torch_program_leaves_nothing_out(tmp_path: Path) -> None:
    begun = on(job(Workspace.at(tmp_path, "sqlite:///unused")))
    assert begun.trainable and begun.left_out == ()
    assert begun.rungs == begun.job.recipe.rungs(begun.device)


def test_the_parents_outputs_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = of_a_file(tmp_path)
    first = begun.parent_outputs("test")
    monkeypatch.setattr(OnnxParent, "answers", lambda *_: pytest.fail("computed again"))
    assert begun.on(begun.job.recipe.devices[0]).parent_outputs("test") == first
    assert np.load(first).shape == (len(begun.job.splits["test"]), 3)


def test_a_device_has_a_run_and_edge_models_of_its_own(workspace: Workspace, registered: str) -> None:
    asked = job(workspace, registered)
    runs = Runs(workspace.tracking_uri, asked.model)
    run = runs.parent(asked.version, "a key of this test", "m", {})
    begun = Context(asked, resolve.fn(asked), runs, run).on(asked.recipe.devices[0])
    assert begun.device_run == runs.child(run, begun.device.name) != run
    assert begun.edge_models.model == asked.model
