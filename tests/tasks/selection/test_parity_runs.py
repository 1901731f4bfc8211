"""Parity is measured on real files in real processes, for what the recipe asks, and a failure is a measurement."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from quality_gates.gates import Parity
from quality_gates.policy import ParityCheck
from tasks.compression import ModelFile
from tasks.selection import parity_runs as module
from tasks.selection.parity_runs import parity
from tasks.upstream import DeviceContext, OnnxParent
from tasks.workspace import Workspace
from tests.edge_runtime.models import linear_model
from tests.tasks.builders import on
from tests.tasks.tiny import FEATURES, ROWS, example, job, network

CHECKS: tuple[ParityCheck, ...] = ("torch_onnx", "batched_single", "optimized_plain", "reloaded_original")


def context(tmp_path: Path, *checks: ParityCheck, parent: Any = None) -> DeviceContext:
    gates = tuple(Parity(name=check, check=check, at_most=1e-4, rows_at_most=0.0) for check in checks)
    whole = SimpleNamespace(digest="p", example=(torch.from_numpy(example(4)),), names=("x",))
    return on(job(Workspace.at(tmp_path, "sqlite:///unused"), gates=gates), parent=parent or whole)


def file(tmp_path: Path) -> ModelFile:
    return ModelFile(linear_model(tmp_path / "model.onnx", FEATURES, 3), "f", 0.0)


def trained() -> Any:
    return SimpleNamespace(digest="t", title="tiny", load=lambda _: network())


@pytest.mark.parametrize("check", CHECKS)
def test_a_sound_model_answers_the_same_both_ways(tmp_path: Path, check: ParityCheck) -> None:
    (seen,) = parity(context(tmp_path, check), file(tmp_path), trained(), "test")
    assert (seen.check, seen.rows, seen.differing, seen.failure) == (check, ROWS["test"], 0, None)
    assert seen.largest < 1e-4


def test_an_onnx_upstream_is_held_against_its_own_file_as_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = file(tmp_path)
    other = linear_model(tmp_path / "upstream.onnx", FEATURES, 5)  # five answers a row, where the made file has three
    asked = context(tmp_path, "torch_onnx", parent=OnnxParent(other, "p"))
    levels: list[str] = []
    here = module._Candidate.here

    def watched(*given: Any) -> Any:
        levels.append(given[2])
        return here(*given)

    monkeypatch.setattr(module._Candidate, "here", watched)
    (seen,) = parity(asked, made, trained(), "test")
    assert (seen.rows, seen.differing, seen.failure, levels) == (ROWS["test"], 0, None, ["off"])
    monkeypatch.setattr(module._Candidate, "here", lambda *given: -here(*given))
    (seen,) = parity(asked, ModelFile(made.path, "another", 0.0), trained(), "test")
    assert seen.largest == pytest.approx(2.0)


def test_only_what_gates_ask_for_is_measured(tmp_path: Path) -> None:
    assert parity(context(tmp_path), file(tmp_path), trained(), "test") == ()


def test_two_models_that_differ_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = module._RUNS["batched_single"]
    monkeypatch.setitem(module._RUNS, "batched_single", lambda *asked: (run(*asked)[0], -run(*asked)[1]))
    (seen,) = parity(context(tmp_path, "batched_single"), file(tmp_path), trained(), "test")
    assert seen.largest == pytest.approx(2.0) and seen.differing > 0


def test_a_run_that_fails_is_a_measurement_of_its_own(tmp_path: Path, warned: list[str]) -> None:
    broken = ModelFile(tmp_path / "no.onnx", "broken", 0.0)
    broken.path.write_bytes(b"no graph")
    (seen,) = parity(context(tmp_path, "reloaded_original"), broken, trained(), "test")
    assert seen.failure is not None and "expected an ONNX graph" in seen.failure
    assert len(warned) == 1


def test_values_that_differ_by_rounding_are_one_answer() -> None:
    first = np.array([1.0, 2.0, -4.0])
    assert module._differing(first, first + 1e-6).sum() == 0
    assert module._differing(first, first + np.array([0, 0.01, 0])).sum() == 1
    assert module._differing(np.array([1, 2]), np.array([1, 3])).sum() == 1


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_number_that_is_none_is_no_parity(tmp_path: Path, broken: float, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = np.eye(3)[[0, 1, 2]]
    worse = outputs.copy()
    worse[1, 0] = broken
    monkeypatch.setitem(module._RUNS, "torch_onnx", lambda _: (worse, worse))
    (seen,) = parity(context(tmp_path, "torch_onnx"), file(tmp_path), trained(), "test")
    assert seen.failure == "expected numbers both ways, got NaN or infinity in 1 of 3 rows"
