"""Both images, built from the shipped Dockerfiles and run as their user. compose is not run: that needs an engine."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from flows.environment import QUIET
from tests.docker.dockerfiles import DOCKER, ROOT
from tests.docker.engineless import Built, Engine, missing
from tests.edge_runtime.bundle.linear import write
from tests.edge_runtime.models import linear_model, weights

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3000),
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Buildah with the base that both Dockerfiles name; all that it made, gigabytes, is removed at the end."""
    engine = Engine(tmp_path_factory.mktemp("images"))
    engine.make_base()
    yield engine
    engine.buildah("rm", "--all")
    engine.buildah("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def edge(engine: Engine) -> Built:
    return engine.build("edge")


@pytest.fixture(scope="module")
def pipeline(engine: Engine) -> Built:
    return engine.build("pipeline")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a linear model, as a pipeline writes it."""
    folder = tmp_path_factory.mktemp("published")
    folder.parent.chmod(0o755)
    folder.chmod(0o755)
    return write(folder / "target", linear_model(folder / "linear.onnx"))


def inside(bundle: Path) -> str:
    """The bundle's path where its folder of bundles is mounted at /bundles."""
    return f"/bundles/{bundle.relative_to(bundle.parents[3])}"


def test_the_edge_image_verifies_a_bundle(edge: Built, bundle: Path) -> None:
    done = edge.run("verify", inside(bundle), bundles=bundle.parents[3])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("intact: linear version 3 for gateway") and bundle.name[:64] in done.stdout


def test_the_edge_image_runs_a_bundle(edge: Built, bundle: Path, tmp_path: Path) -> None:
    rows = np.ones((2, 8), np.float32)
    np.save(tmp_path / "rows.npy", rows)
    tmp_path.chmod(0o755)
    done = edge.run("predict", inside(bundle), "/rows/rows.npy", bundles=bundle.parents[3], rows=tmp_path)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(json.loads(done.stdout)["y"], rows @ weights(8, 3), rtol=1e-5, atol=1e-6)


def test_the_edge_image_refuses_a_damaged_bundle(edge: Built, bundle: Path, tmp_path: Path) -> None:
    root = shutil.copytree(bundle.parents[3], tmp_path / "damaged")
    (blob,) = (root / "blobs").iterdir()
    content = blob.read_bytes()
    blob.chmod(0o644)
    blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    tmp_path.chmod(0o755)
    done = edge.run("verify", inside(bundle), bundles=root)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr


def test_the_pipeline_image_shows_its_commands(pipeline: Built) -> None:
    done = pipeline.run("edgewright", "--help")
    assert done.returncode == 0, done.stderr
    assert "compress" in done.stdout and "watch" in done.stdout


def test_the_pipeline_image_checks_a_shipped_recipe(pipeline: Built) -> None:
    done = pipeline.run("edgewright", "recipes", "check", "digits")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "digits" in done.stdout


def test_the_pipeline_image_has_the_commands_of_its_services(pipeline: Built) -> None:
    worker = pipeline.config["Cmd"]
    assert worker[:3] == ["prefect", "worker", "start"]
    for words in (worker, ["prefect", "server", "start"], ["mlflow", "server"], ["edgewright", "watch"]):
        done = pipeline.run(*words[:3], "--help")
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["edge", "pipeline"])
def test_an_image_runs_as_its_own_user(name: str, request: pytest.FixtureRequest) -> None:
    image: Built = request.getfixturevalue(name)
    assert image.config["User"] == "10001"
    assert image.execute("id", "-u").stdout == "10001\n"
    assert image.execute("sh", "-c", "find /opt /usr /etc -xdev -writable -not -type l -print").stdout == ""


@pytest.mark.parametrize("name", ["edge", "pipeline"])
def test_an_image_holds_neither_this_machine_nor_its_settings(name: str, request: pytest.FixtureRequest) -> None:
    image: Built = request.getfixturevalue(name)
    assert image.execute("cat", "/etc/pip.conf").stdout == ""
    assert not [variable for variable in image.config["Env"] if variable.startswith(("PIP_", "SSL_"))]
    assert {f"{key}={value}" for key, value in QUIET.items() if key.startswith("ORT_")} <= set(image.config["Env"])


def test_the_pipeline_image_writes_where_its_volumes_are(pipeline: Built) -> None:
    for folder in ("edgewright", "mlflow", "prefect"):
        assert pipeline.execute("touch", f"/var/lib/{folder}/written").returncode == 0
    assert pipeline.execute("touch", "/opt/edgewright/written").returncode != 0


def test_the_images_hold_the_code_and_not_the_checkout(edge: Built, pipeline: Built) -> None:
    code = pipeline.execute("ls", "-A", "/opt/edgewright").stdout.split()
    assert {"flows", "tasks", "edge_runtime"} <= set(code)
    assert not {".git", "tests", "docker", "docs"} & set(code)
    assert edge.execute("ls", "-A", "/opt").stdout.split() == []  # only what pip installed from the wheel
    assert (DOCKER / "edge.Dockerfile").is_relative_to(ROOT)
