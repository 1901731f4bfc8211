"""A float snapshot's file is held against torch, by a process that knows nothing of the model."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tasks.compression.float_models
from model_compression.errors import ExportError
from model_compression.onnx_files import export_onnx
from tasks.compression import export_snapshot
from tasks.errors import SystemFailure
from tasks.workspace import Workspace
from tests.tasks.builders import context
from tests.tasks.tiny import FEATURES, example, job, network


def export(tmp_path: Path) -> Any:
    parent = SimpleNamespace(digest="p", example=(torch.from_numpy(example(4)),), names=("x",))
    snapshot: Any = SimpleNamespace(digest="s", title="tiny", load=lambda _: network())
    return export_snapshot(context(job(Workspace.at(tmp_path, "sqlite:///unused")), parent), snapshot)


def put_in_its_place(monkeypatch: pytest.MonkeyPatch, other: nn.Module) -> list[Path]:
    """Let another model's file be written instead; returns where that happened."""
    written: list[Path] = []

    def write(_: nn.Module, rows: Any, names: Any, path: Path) -> Path:
        written.append(path)
        return export_onnx(other, rows, names, path)

    monkeypatch.setattr(tasks.compression.float_models, "export_onnx", write)
    return written


def test_a_sound_file_is_kept_with_its_parity(tmp_path: Path) -> None:
    made = export(tmp_path)
    assert made.path.is_file() and made.digest


def test_a_file_that_answers_otherwise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    written = put_in_its_place(monkeypatch, nn.Sequential(nn.Linear(FEATURES, 8), nn.ReLU(), nn.Linear(8, 3)).eval())
    with pytest.raises(ExportError, match=r"answer as torch within 0\.001 of the largest output, got .* on 24 rows"):
        export(tmp_path)
    assert len(written) == 1


def test_a_file_of_full_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = put_in_its_place(monkeypatch, nn.Sequential(nn.Linear(FEATURES, 900), nn.Linear(900, 3)).eval())
    with pytest.raises(ExportError, match="what was removed is still in the file"):
        export(tmp_path)
    assert len(written) == 1


def test_each_task_is_held_against_its_own_largest_answer() -> None:
    small, large = np.ones((3, 2)), np.full((3, 4), 1000.0)
    expected = np.concatenate([small, large], axis=1)
    difference = tasks.compression.float_models._largest_difference
    assert difference([small, large], expected) == 0
    assert difference([small + 0.1, large], expected) == pytest.approx(0.1)
    assert difference([large + 1], large) == pytest.approx(0.001)


def test_a_check_that_something_else_ended_says_nothing_about_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.compression.float_models, "TIMEOUT_S", 0.001)
    with pytest.raises(SystemFailure, match=r"The exported model\.onnx gave no answers\. .* was killed"):
        export(tmp_path)
