"""The runtime ships alone: no module of it may load what a device does not have."""

import json
import subprocess
import sys
from pathlib import Path

import edge_runtime

_FORBIDDEN = {"torch", "onnx", "pydantic", "pandas", "yaml", "prefect", "mlflow", "scipy", "sklearn"}
_OF_UPDATES = {"tuf", "securesystemslib", "urllib3", "cryptography"}
_KNOW_UPDATES = ("edge_runtime.trust", "edge_runtime.update", "edge_runtime.device", "edge_runtime.reports")
_OF_SERVING = {"starlette", "uvicorn", "httptools", "anyio"}
_SCRIPT = """
import importlib, json, sys
loaded = {}
for name in sys.argv[1:]:
    importlib.import_module(name)
    loaded[name] = sorted({module.partition(".")[0] for module in sys.modules})
print(json.dumps(loaded))
"""


def _loaded_after(names: list[str]) -> dict[str, list[str]]:
    command = [sys.executable, "-c", _SCRIPT, *names]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    loaded: dict[str, list[str]] = json.loads(printed)
    return loaded


def _modules_after(name: str) -> list[str]:
    script = f"import json, sys, {name}; print(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-c", script]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    modules: list[str] = json.loads(printed)
    return modules


def _names() -> list[str]:
    folder = Path(edge_runtime.__file__).parent
    files = [path.relative_to(folder.parent).with_suffix("") for path in sorted(folder.rglob("*.py"))]
    return [".".join(path.parts) for path in files]


def test_no_module_loads_what_a_device_does_not_have() -> None:
    names = _names()
    assert len(names) >= 17

    loaded = _loaded_after(names)

    assert list(loaded) == names
    assert {name: set(modules) & _FORBIDDEN for name, modules in loaded.items() if set(modules) & _FORBIDDEN} == {}
    assert "onnxruntime" in loaded[names[-1]]


def test_the_check_sees_a_forbidden_module() -> None:
    assert "yaml" in _loaded_after(["edge_runtime.files", "yaml"])["yaml"]


def test_what_runs_and_measures_does_not_load_what_updates_need() -> None:
    others = [name for name in _names() if not name.startswith(_KNOW_UPDATES)]
    loaded = _loaded_after([*others, "edge_runtime.trust"])
    assert {"edge_runtime.bundle.reader", "edge_runtime.session", "edge_runtime.measurement.worker"} <= set(others)
    assert {name: set(loaded[name]) & _OF_UPDATES for name in others if set(loaded[name]) & _OF_UPDATES} == {}
    assert set(loaded["edge_runtime.trust"]) >= {"tuf", "securesystemslib"}


def test_only_the_server_loads_what_http_needs() -> None:
    others = [name for name in _names() if not name.startswith("edge_runtime.server")]
    loaded = _loaded_after([*others, "edge_runtime.server"])
    assert "edge_runtime.serving.runtime" in others
    assert {name: set(loaded[name]) & _OF_SERVING for name in others if set(loaded[name]) & _OF_SERVING} == {}
    assert set(loaded["edge_runtime.server"]) >= _OF_SERVING


def test_the_server_loads_nothing_of_updates_and_little_besides() -> None:
    """Its memory is that of every device which serves."""
    loaded = set(_modules_after("edge_runtime.server"))
    assert {"starlette.applications", "uvicorn.server", "httptools"} <= loaded
    heavy = {"tuf", "urllib3", "prometheus_client", "httpx", "pydantic", "jinja2", "yaml", "multiprocessing.pool"}
    assert not heavy & loaded


def test_a_measuring_process_loads_its_worker_once() -> None:
    assert "edge_runtime.measurement.worker" not in _modules_after("edge_runtime.measurement")


def test_a_measuring_process_loads_nothing_that_only_its_parent_needs() -> None:
    """Its memory is part of every figure, and of what a model may take on the device."""
    loaded = set(_modules_after("edge_runtime.measurement.worker"))
    assert {"numpy", "onnxruntime", "edge_runtime.session"} <= loaded
    assert not {"subprocess", "tempfile", "shutil", "edge_runtime.bundle", "edge_runtime.bundle.writer"} & loaded


def test_bundles_are_read_and_written_without_numpy() -> None:
    assert not {"numpy", "onnxruntime"} & set(_loaded_after(["edge_runtime.bundle"])["edge_runtime.bundle"])


def test_the_agent_that_fetches_updates_does_not_load_onnxruntime() -> None:
    """It would be a fifth of the agent's memory; trials run in processes of their own."""
    loaded = set(_loaded_after(["edge_runtime.__main__", "edge_runtime.device"])["edge_runtime.device"])
    assert {"tuf", "urllib3"} <= loaded and "onnxruntime" not in loaded
