"""The runtime's wheel, installed in an environment with what docker/edge.Dockerfile's image holds, runs there."""

import json
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

import edge_runtime
from tests.edge_runtime.models import weights

FOLDER = Path(edge_runtime.__file__).parent
VERSION = "7.8.9"
_DOCKER = FOLDER.with_name("docker")
_UNTRACKED = shutil.ignore_patterns("__pycache__", "*.egg-info")
_OF_UPDATE = ("tuf", "securesystemslib", "urllib3")
_OF_SERVE = ("starlette", "uvicorn", "anyio", "click", "h11", "httptools", "idna", "typing_extensions")
_OF_EXTRAS = (*_OF_UPDATE, *_OF_SERVE)
_LOAD_ALL = """
import importlib, pkgutil, sys
import edge_runtime
names = [each.name for each in pkgutil.walk_packages(edge_runtime.__path__, "edge_runtime.")]
for name in names:
    importlib.import_module(name)
print(*names)
"""


def _pins() -> dict[str, str]:
    lines = (_DOCKER / "edge-requirements.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def _run(*command: str | Path, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of these sources, built in a repository of git whose newest tag is VERSION."""
    root = tmp_path_factory.mktemp("sources")
    shutil.copytree(FOLDER, root / FOLDER.name, ignore=_UNTRACKED)
    git = ("git", "-c", "user.name=anybody", "-c", "user.email=anybody@example.org")
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message=all"), ("tag", f"v{VERSION}")):
        _run(*git, *words, cwd=root)
    pip = (sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--quiet", "--no-deps", "--no-index")
    _run(*pip, "--no-build-isolation", "--wheel-dir", root / "dist", root / FOLDER.name, cwd=root)
    (built,) = (root / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def device(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the wheel, the two packages of the image, and no other package."""
    folder = tmp_path_factory.mktemp("device")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--disable-pip-version-check", "--quiet")
    _run(*pip, "--no-deps", "--no-index", wheel, cwd=folder)
    (site,) = folder.glob("lib/python3*/site-packages")
    for package in ("numpy", "onnxruntime"):
        _link(package, site)
    return python


def _link(package: str, site: Path) -> None:
    """Let an environment have a package that is installed here, with what its wheel put beside it."""
    installed = metadata.distribution(package)
    for top in {Path(file).parts[0] for file in installed.files or () if ".." not in Path(file).parts}:
        if not (site / top).exists() and top != "__pycache__":
            (site / top).symlink_to(Path(str(installed.locate_file(top))))


def _python(device: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = (device, "-I", *arguments)  # -I: nothing of this machine's variables or folders
    return subprocess.run(command, cwd=device.parent, capture_output=True, text=True, timeout=60, check=False)


def test_the_wheel_holds_the_folder_and_nothing_else(wheel: Path, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / FOLDER.name, ignore=_UNTRACKED)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    held = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == files - {"edge_runtime/pyproject.toml", "edge_runtime/LICENSE"}


def test_the_wheel_has_the_version_of_the_newest_tag_and_asks_for_two_packages(wheel: Path) -> None:
    (told,) = metadata.distributions(path=[str(wheel)])
    assert (told.metadata["Name"], told.version) == ("edgewright-runtime", VERSION)
    always = {re.split("[<>=]", name)[0] for name in told.requires or () if "extra ==" not in name}
    assert always == {"numpy", "onnxruntime"}
    assert told.read_text("licenses/LICENSE") == (FOLDER.parent / "LICENSE").read_text()


def test_the_environment_holds_nothing_but_the_image(device: Path) -> None:
    for absent in ("torch", "onnx", "yaml", "flatbuffers", "google.protobuf", "flows", "pip", "tuf"):
        assert "No module named" in _python(device, "-c", f"import {absent}").stderr


def test_the_runtime_knows_its_version(device: Path) -> None:
    told = _python(device, "-c", "import edge_runtime; print(edge_runtime.__version__)")
    assert (told.stdout, told.stderr) == (f"{VERSION}\n", "")


def test_a_bundle_is_verified_and_run(device: Path, bundle: Path, tmp_path: Path) -> None:
    verified = _python(device, "-m", "edge_runtime", "verify", bundle)
    assert (verified.returncode, verified.stderr) == (0, "")
    assert verified.stdout.startswith("intact: linear")
    rows = np.ones((2, 8), np.float32)
    np.save(tmp_path / "rows.npy", rows)
    predicted = _python(device, "-m", "edge_runtime", "predict", bundle, tmp_path / "rows.npy")
    np.testing.assert_allclose(json.loads(predicted.stdout)["y"], rows @ weights(8, 3), rtol=1e-5, atol=1e-6)


@contextmanager
def _with_extra(device: Path) -> Iterator[None]:
    """Let the environment have the packages of the extras for a while."""
    (site,) = device.parents[1].glob("lib/python3*/site-packages")
    linked = [path for path in site.iterdir() if path.is_symlink()]
    try:
        for package in _OF_EXTRAS:
            _link(package, site)
        yield
    finally:
        for path in site.iterdir():
            if path.is_symlink() and path not in linked:
                path.unlink()


def test_every_module_loads_where_the_extras_are_installed(device: Path) -> None:
    with _with_extra(device):
        loaded = _python(device, "-c", _LOAD_ALL)
    assert (loaded.returncode, loaded.stderr) == (0, "")
    assert {"edge_runtime.measurement.worker", "edge_runtime.server.serving_process"} <= set(loaded.stdout.split())


def test_serving_says_which_extra_it_needs(device: Path, bundle: Path) -> None:
    without = _python(device, "-m", "edge_runtime", "serve", "--bundle", bundle)
    assert without.returncode == 2 and "pip install 'edgewright-runtime[serve]'" in without.stderr


@pytest.mark.parametrize("kind", ["systemd", "mender"])
def test_the_wheel_writes_the_files_for_the_devices_services(device: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "device.toml").write_text(
        'device = "gateway"\nmodels = ["camera"]\nurl = "/usb"\nstate = "/var/lib/edgewright"\nroot = "/root.json"\n'
    )
    options = ("--config", tmp_path / "device.toml", "--root", tmp_path / "image")
    without = _python(device, "-m", "edge_runtime", "setup", kind, *options)
    assert without.returncode == 2 and "pip install 'edgewright-runtime[update]'" in without.stderr
    with _with_extra(device):
        written = _python(device, "-m", "edge_runtime", "setup", kind, *options)
    assert (written.returncode, written.stderr) == (0, "")
    files = [path for path in (tmp_path / "image").rglob("*") if path.is_file()]
    assert files and any(f"{device} -P -m edge_runtime" in path.read_text() for path in files)


def test_the_image_pins_what_the_tests_ran_with() -> None:
    assert _pins() == {name: metadata.version(name) for name in ("numpy", "onnxruntime")}
