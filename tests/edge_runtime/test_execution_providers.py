"""Tests of plugins of ONNX Runtime: they are found by their packages, and loaded only where a session asks for one."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from edge_runtime import execution_providers
from edge_runtime.errors import SessionError
from edge_runtime.session import EdgeModel
from edge_runtime.settings import SessionSettings

CPU = "CPUExecutionProvider"
ROWS = np.random.default_rng(1).standard_normal((3, 8), dtype=np.float32)
MOON = SessionSettings(threads=1, execution_provider="MoonExecutionProvider")
PLUGIN = """
def get_ep_names():
    return ["MoonExecutionProvider", "CPUExecutionProvider"]

def get_library_path():
    return {library!r}
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of a plugin on the path, whose library is none."""
    folder = tmp_path / "onnxruntime_ep_moon"
    folder.mkdir()
    (folder / "__init__.py").write_text(PLUGIN.format(library=str(folder / "libmoon.so")))
    monkeypatch.syspath_prepend(tmp_path)
    execution_providers._load_plugin_of.cache_clear()
    yield folder
    execution_providers._load_plugin_of.cache_clear()
    sys.modules.pop(folder.name, None)


def test_a_plugin_whose_library_does_not_load_is_named(model: Path, plugin: Path) -> None:
    (plugin / "libmoon.so").write_bytes(b"no library")
    with pytest.raises(SessionError, match=r"The plugin onnxruntime_ep_moon of ONNX Runtime does not load: .*libmoon"):
        EdgeModel.load(model, MOON)


@pytest.mark.usefixtures("plugin")
def test_a_plugin_with_other_providers_is_listed_with_what_is_here(model: Path) -> None:
    sun = SessionSettings(threads=1, execution_provider="SunExecutionProvider")
    with pytest.raises(SessionError, match=f"SunExecutionProvider is not in .*{CPU}, onnxruntime_ep_moon"):
        EdgeModel.load(model, sun)


def test_a_plugin_that_does_not_load_is_in_no_others_way(
    model: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = plugin.parent / "onnxruntime_ep_earth"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('no libearth')")
    monkeypatch.setattr(ort, "register_execution_provider_library", lambda *_: None)
    with pytest.raises(SessionError, match="The plugin of MoonExecutionProvider is here, and finds no device"):
        EdgeModel.load(model, MOON)
    with pytest.raises(SessionError, match="onnxruntime_ep_earth of ONNX Runtime does not load: no libearth"):
        EdgeModel.load(model, SessionSettings(threads=1, execution_provider="SunExecutionProvider"))


def test_a_plugin_without_a_device_for_this_machine_is_told(
    model: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(ort, "register_execution_provider_library", lambda *words: asked.append(words))
    for _ in range(2):
        with pytest.raises(SessionError, match="The plugin of MoonExecutionProvider is here, and finds no device"):
            EdgeModel.load(model, MOON)
    assert asked == [("onnxruntime_ep_moon", str(plugin / "libmoon.so"))], "it is loaded once in a process"


@pytest.mark.usefixtures("plugin")
def test_a_session_runs_on_the_device_that_a_plugin_offers(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device is that of the built-in provider, which ONNX Runtime offers in the form of plugins too."""
    settings, arrays = SessionSettings(threads=1), {"x": ROWS}
    expected = EdgeModel.load(model, settings).predict(arrays)
    monkeypatch.setattr(ort, "register_execution_provider_library", lambda *_: None)
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["AzureExecutionProvider"])
    found = EdgeModel.load(model, settings).predict(arrays)
    assert np.array_equal(found[0], expected[0])


def test_openvino_answers_as_the_cpu_does_or_says_that_it_has_no_device_here(model: Path) -> None:
    pytest.importorskip("onnxruntime_ep_openvino", reason="the plugin onnxruntime-ep-openvino is not installed")
    settings, arrays = SessionSettings(threads=1, execution_provider="OpenVINOExecutionProvider"), {"x": ROWS}
    expected = EdgeModel.load(model, SessionSettings(threads=1)).predict(arrays)
    try:
        loaded = EdgeModel.load(model, settings)
    except SessionError as error:
        assert "finds no device on this machine" in str(error)  # on a CPU that is not Intel's
        return
    np.testing.assert_allclose(loaded.predict(arrays)[0], expected[0], rtol=1e-3, atol=1e-4)
