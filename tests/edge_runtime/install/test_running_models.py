"""Running models of a device, the way back by hand, and what the status says."""

import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest

from edge_runtime.errors import BundleRefused, InstallError, SessionError
from edge_runtime.install import Limits, roll_back, running, statuses
from edge_runtime.install.state import read_state
from tests.edge_runtime.install.carried import MODEL, expected, rows
from tests.edge_runtime.install.conftest import Site


def test_nothing_runs_before_anything_is_installed(site: Site) -> None:
    with pytest.raises(InstallError, match="got nothing installed"):
        running(site.store, MODEL)
    assert statuses(site.store) == []


def test_the_way_back_is_to_the_bundle_before_and_only_once(site: Site) -> None:
    first, second = site.carry(1), site.carry(2)
    site.install(first)
    site.install(second)
    assert roll_back(site.store, MODEL, "it is blind at night", Limits()).digest == first.digest
    assert running(site.store, MODEL).bundle.digest == first.digest
    with pytest.raises(InstallError, match="expected a bundle of camera to go back to, got none"):
        roll_back(site.store, MODEL, "again", Limits())
    with pytest.raises(BundleRefused, match="It was rolled back by hand: it is blind at night"):
        site.install(second)
    assert site.install(second, again=True).changed
    assert read_state(site.store.root, MODEL).previous == first.digest


def test_a_bundle_that_is_damaged_or_wrong_by_now_is_no_way_back(site: Site) -> None:
    first, second = site.carry(1), site.carry(2)
    site.install(first)
    site.install(second)
    with pytest.raises(BundleRefused, match="is too slow on this device"):
        roll_back(site.store, MODEL, "slow", Limits(latency_ms=1e-9))
    assert running(site.store, MODEL).bundle.digest == second.digest
    site.store.identified(MODEL, first.digest).entry_path.unlink()
    with pytest.raises(InstallError, match="The bundle to go back to is damaged, nothing is changed"):
        roll_back(site.store, MODEL, "blind", Limits())
    assert running(site.store, MODEL).bundle.digest == second.digest


def test_the_status_names_what_runs_what_ran_before_and_what_is_held_back(site: Site) -> None:
    first, second, third = site.carry(1), site.carry(2), site.carry(3)
    for each in (first, second, third):
        site.install(each)
    roll_back(site.store, MODEL, "it is blind", Limits())
    (status,) = statuses(site.store)
    assert status.current is not None and status.current.manifest.version == "2"
    assert status.previous is None and status.state.refused[0].digest == third.digest
    shutil.rmtree(site.store.root / "targets")
    (status,) = statuses(site.store)
    assert status.current is None and status.state.current == second.digest


def test_a_provider_that_is_gone_falls_back_to_the_portable_graph(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.install(site.carry(1))
    found = running(site.store, MODEL)
    answers = expected({"model.onnx": found.bundle.entry_path}, rows())
    for chosen in (
        replace(found, session=replace(found.session, execution_provider="NoSuchExecutionProvider")),
        replace(found, graph=found.graph.with_name("gone.onnx")),
    ):
        caplog.clear()
        with caplog.at_level(logging.ERROR):
            np.testing.assert_allclose(chosen.load().predict({"x": rows()})[0], answers, rtol=1e-5, atol=1e-5)
        assert "camera: the portable graph is used" in caplog.text


def test_a_provider_that_answers_otherwise_by_now_is_not_used(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The built-in provider stands in for one of a plugin, whose answers are compared when it is loaded."""
    site.install(site.carry(1))
    other = site.carry(2)
    found = running(site.store, MODEL)
    wrong = site.store.identified(MODEL, found.bundle.digest).entry_path.parent / "wrong.onnx"
    shutil.copy(site.folder / "made" / "model-2" / "model.onnx", wrong)
    monkeypatch.setattr("edge_runtime.install.running_models.CPU", "AnotherExecutionProvider")
    with caplog.at_level(logging.ERROR):
        loaded = replace(found, graph=wrong).load()
    assert "it answers wrongly here: the output y misses the expected answer" in caplog.text
    answers = expected({"model.onnx": found.bundle.entry_path}, rows())
    np.testing.assert_allclose(loaded.predict({"x": rows()})[0], answers, rtol=1e-5, atol=1e-5)
    assert other.digest != found.bundle.digest


def test_a_portable_graph_that_does_not_load_has_no_fallback(site: Site) -> None:
    site.install(site.carry(1))
    found = running(site.store, MODEL)
    found.graph.chmod(0o644)
    found.graph.write_bytes(b"no graph")
    with pytest.raises(SessionError, match="does not load"):
        found.load()
