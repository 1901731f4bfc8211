"""The profile of a bundle: real processes, figures that the pipeline keeps, operators after fusion, and text."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.bundle import Bundle, read_bundle
from edge_runtime.errors import MeasurementFailed
from edge_runtime.install import FailedChoice, HowItRuns, MeasuredChoice, portable
from edge_runtime.measurement import Figures
from edge_runtime.model_files import model_digest, model_files
from edge_runtime.profiling import ModelProfile, profile_lines, profile_model
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.install.carried import carry, rows, small_model
from tests.edge_runtime.profiling.sharing_model import external_model


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose weights are files beside its graph."""
    folder = tmp_path_factory.mktemp("bundle")
    carried = carry(folder / "carried", folder / "scratch", 1, files=model_files(external_model(folder / "model")))
    (manifest,) = carried.root.rglob("*.manifest.json")
    return read_bundle(manifest)


@pytest.fixture(scope="module")
def profile(bundle: Bundle) -> ModelProfile:
    return profile_model(bundle, portable(bundle), processes=2, sizes=(1, 4))


def test_a_profile_is_what_the_pipelines_stage_keeps(bundle: Bundle, profile: ModelProfile) -> None:
    plain = json.loads(json.dumps(profile.to_plain()))
    assert plain["measure"]["sha256"] == model_digest(bundle.entry_path)
    assert Figures(**plain["measure"]["figures"]) == profile.measured.figures
    assert [each["batch_size"] for each in plain["measure"]["batches"]] == [4]
    assert set(plain["measured"]["batch_ms"]) == {"1", "4"} and plain["batching_gain"] >= 1
    assert plain["answers"] == {"right": True, "missed": None}
    assert profile.first_answer_ms > 0


def test_a_profile_tells_shared_memory_from_that_of_each_process(profile: ModelProfile) -> None:
    files, libraries, own = profile.memory.kinds
    assert profile.weights_in_files == 1 and profile.memory.weights_mb > 8
    assert own.shared_mb == 0 < own.resident_mb and libraries.shared_mb > 0
    assert files.resident_mb >= 0
    assert profile.memory.private_mb > profile.memory.empty_private_mb > 0


def test_a_profile_has_the_operators_that_ran_after_fusion(profile: ModelProfile) -> None:
    names = {each.operator for each in profile.operators}
    assert "FusedGemm" in names and "Relu" not in names
    assert sum(each.share for each in profile.operators) == pytest.approx(1)


def test_people_read_what_runs_and_why(bundle: Bundle, profile: ModelProfile) -> None:
    one = SessionSettings(threads=1)
    tried = (
        MeasuredChoice("portable", one, 1.5, 4.0, 30.0),
        MeasuredChoice("portable", replace(one, prepack=False), 1.6, 9.0, 2.0),
        FailedChoice("portable", replace(one, execution_provider="MoonExecutionProvider"), "it is not here"),
        FailedChoice("tuned", None, "no tuned graph was made"),
    )
    runs = HowItRuns(bundle.entry_path, one, tried=tried)
    text = "\n".join(profile_lines(replace(profile, runs=runs, answers="the output y is off")))
    assert "It runs the portable graph with 1 thread, CPUExecutionProvider." in text
    assert "Left out: the portable graph with 1 thread, MoonExecutionProvider: it is not here" in text
    assert "Answers are WRONG: the output y is off." in text
    assert "without a model: " in text and "memory of its own" in text and "FusedGemm" in text
    assert "weights as the file has them" in text


@pytest.mark.parametrize(
    ("energy", "told"),
    [
        ((None, None), []),
        ((1.25, None), ["Energy of the machine while it answers a row: 1.25 mJ in the CPU."]),
        ((1.25, 0.25), ["Energy of the machine while it answers a row: 1.25 mJ in the CPU, and 0.25 mJ in memory."]),
    ],
)
def test_energy_is_told_where_a_counter_does(
    profile: ModelProfile, energy: tuple[float | None, float | None], told: list[str]
) -> None:
    figures = replace(profile.measured.figures, energy_mj=energy[0], memory_energy_mj=energy[1])
    seen = replace(profile, measured=replace(profile.measured, figures=figures))
    assert [line for line in profile_lines(seen) if "nergy" in line] == told
    assert sum("energy" in name for name in seen.to_plain()["measure"]["figures"]) == 2 - energy.count(None)


def test_a_model_that_answers_wrongly_is_profiled_and_told(tmp_path: Path) -> None:
    files = small_model(tmp_path / "model", 1)
    carried = carry(tmp_path / "carried", tmp_path / "scratch", 1, files=files, answers=rows()[:, :8] + 100)
    (manifest,) = carried.root.rglob("*.manifest.json")
    bundle = read_bundle(manifest)
    found = profile_model(bundle, portable(bundle), processes=1, sizes=())
    assert found.answers is not None and "misses the expected answer" in found.answers
    assert [each.batch_size for each in found.batches] == [1]
    text = "\n".join(profile_lines(found))
    assert "MiB without a model.\n" in text and "The weights are inside" not in text  # they are small


def test_a_model_that_does_not_load_here_has_no_profile(bundle: Bundle) -> None:
    session = SessionSettings(threads=1, execution_provider="NoSuchExecutionProvider")
    with pytest.raises(MeasurementFailed, match="NoSuchExecutionProvider"):
        profile_model(bundle, HowItRuns(bundle.entry_path, session))
