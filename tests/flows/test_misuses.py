"""More than 40 misuses of the command line: each ends with one sentence and the right exit code, and no traceback."""

import os
import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import pytest
import yaml

import flows.cli
from tasks.workspace import Workspace
from tests.end_to_end.tiny import upstream
from tests.end_to_end.tiny.variants import TINY
from tests.flows.conftest import Variant
from tests.tasks.registry.versions import add_version, model_folder

WORKLOADS = "tests.flows.misused_workloads"
TINY_RECIPE = str(TINY / "recipes" / "tiny.yaml")


@dataclass(frozen=True)
class Place:
    """The surroundings of one misuse: a folder, a registry with version 1 of `tiny`, the environment."""

    folder: Path
    registry: Path
    variant: Variant
    monkeypatch: pytest.MonkeyPatch

    def file(self, content: bytes | str) -> str:
        """A file with this content that is given as a recipe."""
        path = self.folder / "odd.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def env(self, **variables: str) -> "Place":
        """Set variables."""
        for name, value in variables.items():
            self.monkeypatch.setenv(name, value)
        return self

    def changed(self, old: str, new: str) -> str:
        """The tiny recipe with one text replaced."""
        text = (TINY / "recipes" / "tiny.yaml").read_text().replace("devices: [tiny]", "devices: [camera]")
        assert old in text
        return self.file(text.replace(old, new))

    def own_registry(self) -> Path:
        """A registry of this test's own, as a copy; returns its folder."""
        shutil.copytree(self.registry, self.folder / "mlflow")
        self.env(MLFLOW_TRACKING_URI=f"sqlite:///{self.folder}/mlflow/mlflow.db")
        return self.folder / "mlflow"


Command: TypeAlias = Callable[[Place], list[str]]


def check(recipe: str) -> list[str]:
    return ["recipes", "check", recipe]


def compress(recipe: str = TINY_RECIPE, model: str = "tiny", version: str = "1") -> list[str]:
    return ["compress", model, version, "--recipe", recipe]


def approve(subject: str, device: str = "tiny") -> list[str]:
    return ["approve", subject, "--device", device, "--name", "Ada", "--reason", "a trial", "--until", "2999-01-01"]


def fifo(place: Place) -> list[str]:
    os.mkfifo(place.folder / "pipe")
    return check(str(place.folder / "pipe"))


def closed_port() -> str:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


def unreachable(place: Place) -> list[str]:
    place.env(MLFLOW_TRACKING_URI=closed_port(), MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    return compress()


def damaged_registry(place: Place) -> list[str]:
    (place.folder / "damaged.db").write_bytes(b"no database" * 1000)
    place.env(MLFLOW_TRACKING_URI=f"sqlite:///{place.folder}/damaged.db")
    return compress()


def other_flavour(place: Place) -> list[str]:
    place.own_registry()
    folder = model_folder(place.folder / "model", ("sklearn",), {"model.pkl": b"pickle"})
    add_version(os.environ["MLFLOW_TRACKING_URI"], "tiny", folder)
    return compress(version="2")


def pickled(place: Place) -> list[str]:
    place.own_registry()
    folder = model_folder(place.folder / "model", ("pytorch",), {"model.pth": b"pickle"})
    add_version(os.environ["MLFLOW_TRACKING_URI"], "tiny", folder)
    return compress(version="2")


def lost_files(place: Place) -> list[str]:
    place.own_registry()
    add_version(os.environ["MLFLOW_TRACKING_URI"], "tiny", place.folder / "gone")
    return compress(version="2")


def leads_out(place: Place) -> list[str]:
    place.own_registry()
    folder = model_folder(place.folder / "model", ("onnx",), {})
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": {"onnx": {"data": "../../secret.onnx"}}}))
    add_version(os.environ["MLFLOW_TRACKING_URI"], "tiny", folder)
    return compress(version="2")


def unanswered(place: Place) -> list[str]:
    place.own_registry()
    add_version(os.environ["MLFLOW_TRACKING_URI"], "unanswered")
    return ["report", "unanswered"]


def in_the_way(place: Place, variable: str) -> list[str]:
    (place.folder / "file").write_text("in the way")
    place.own_registry()
    place.env(**{variable: str(place.folder / "file")})
    place.monkeypatch.setattr(flows.cli, "HOME", place.folder / "logs-go-here")
    return compress()


def full_artifact_store(place: Place) -> list[str]:
    place.own_registry()
    (place.folder / "mlflow" / "artifacts").rename(place.folder / "moved")
    (place.folder / "mlflow" / "artifacts").write_text("in the way")
    return compress()


def workload(reference: str) -> Command:
    return lambda place: check(place.changed("tests.end_to_end.tiny.workload:Tiny", reference))


def compressed(name: str) -> Command:
    """Return a command that compresses with one of the misused workloads, for a device that needs pruning."""

    def command(place: Place) -> list[str]:
        place.own_registry()
        return compress(place.variant("misused", {"workload": f"{WORKLOADS}:{name}"}))

    return command


def recipe_of(content: bytes | str) -> Command:
    return lambda place: check(place.file(content))


def recipe_with(old: str, new: str) -> Command:
    return lambda place: check(place.changed(old, new))


def address(uri: str) -> Command:
    return lambda place: compress() if place.env(MLFLOW_TRACKING_URI=uri) else []


def always(*command: str) -> Command:
    return lambda _: list(command)


def growing_aliases() -> str:
    names = [chr(ord("a") + index) for index in range(20)]
    lines = (f"{new}: &{new} [*{old}, *{old}]" for old, new in pairwise(names))
    return "\n".join(["a: &a [1, 1]", *lines])


MISUSES: Mapping[str, tuple[int, str, Command]] = {
    # The recipe.
    "a recipe that is not there": (2, "got no such file; check the path", always(*check("no/such.yaml"))),
    "a folder as a recipe": (2, "got a directory; check the file", lambda place: check(str(place.folder))),
    "a pipe as a recipe": (2, "got a pipe or a device; check the file", fifo),
    "a picture as a recipe": (2, "expected a readable YAML file, got 'utf-8' codec", recipe_of(b"\x89PNG\r\n")),
    "an empty recipe": (2, "got an empty file; start from a shipped example", recipe_of("")),
    "two documents": (2, "got another document in line 2, column 1", recipe_of("a: 1\n---\nb: 2\n")),
    "5,000 brackets": (2, "got lists and keys nested deeper than 50 levels", recipe_of("[" * 5000)),
    "aliases that grow": (2, "got more than 10,000 values, aliases written out", recipe_of(growing_aliases())),
    "a date as a name": (2, "got the date `2024-01-01` in line", recipe_with("name: tiny", "name: 2024-01-01")),
    "a Python object": (2, "got a value of the type `python/", recipe_with("name: tiny", "name: !!python/name:os.sep")),
    "a key that nobody reads": (2, "key `colour` is not known", recipe_with("name: tiny", "name: tiny\ncolour: red")),
    "a device that nobody knows": (2, "`toaster`: expected toaster.yaml in", recipe_with("[camera]", "[toaster]")),
    # The workload.
    "a workload without a class": (2, "expected package.module:Class", workload("tests.end_to_end.tiny.workload")),
    "a workload that is not there": (2, "expected module no.such.module to import", workload("no.such.module:Tiny")),
    "a workload that is a number": (2, "expected NO_WORKLOAD to be a subclass", workload(f"{WORKLOADS}:NO_WORKLOAD")),
    "data that is not there": (2, "got FileNotFoundError: no such file: /data", workload(f"{WORKLOADS}:Raising")),
    "a split that is none": (2, "split `train`: expected a Split of a tuple of", workload(f"{WORKLOADS}:NoSplit")),
    "a split that ends the process": (
        2,
        "split `train`: expected its rows, got SystemExit: 0; correct Workload.split",
        workload(f"{WORKLOADS}:Leaving"),
    ),
    "a loss that ends the process": (2, "got SystemExit: 0; correct Workload.loss", compressed("LeavingInTraining")),
    "answers that end the process": (
        2,
        "got SystemExit: 0; correct Workload.predictions",
        compressed("LeavingWithAnswers"),
    ),
    "data that memory does not hold": (3, "got MemoryError: cannot allocate", workload(f"{WORKLOADS}:OutOfMemory")),
    # The model.
    "a model of another recipe": (2, "key `model`: expected nobody, which is to be", always(*compress(model="nobody"))),
    "a version that is not there": (2, "expected a registered version, got versions", always(*compress(version="99"))),
    "a version that is no number": (2, "version newest: expected a registered", always(*compress(version="newest"))),
    "a model of another flavour": (2, "expected MLflow's pytorch or onnx flavour, got sklearn", other_flavour),
    "a pickled model": (2, "got a pickled module, which runs its author's code when loaded", pickled),
    "a model whose files are gone": (3, "expected its files in the registry at", lost_files),
    "a model that points out of its folder": (2, "expected MLmodel to name a file inside the model's", leads_out),
    # The registry and the system.
    "an address of another kind": (
        2,
        "got 'postgresql://host/db'; correct it",
        address("postgresql://a:s3cr3t-x@host/db"),
    ),
    "an address with half a login": (2, "or half a login; put user and password into", address("http://s3cr3t-x@host")),
    "a registry that is down": (3, "error: MLflow at http://127.0.0.1:", unreachable),
    "a registry that is damaged": (3, "file is not a database", damaged_registry),
    "a file where the home should be": (3, "its traceback is in", lambda place: in_the_way(place, "EDGEWRIGHT_HOME")),
    "a file where bundles should be": (
        3,
        "expected a folder that can be listed",
        lambda place: in_the_way(place, "EDGEWRIGHT_TARGET"),
    ),
    "a registry that keeps no files": (3, "its traceback is in", full_artifact_store),
    # What is asked for.
    "a report of nobody": (2, "model `nobody`: expected it in the registry", always("report", "nobody")),
    "a report without an answer": (2, "expected a version that has an answer, got none", unanswered),
    "the history of nobody": (2, "model `nobody`: expected it in the registry", always("history", "nobody")),
    "an approval without a version": (2, "expected MODEL/VERSION, got 'tiny'", always(*approve("tiny"))),
    "an approval where nothing was refused": (2, "version 1 on toaster", always(*approve("tiny/1", device="toaster"))),
    "a plan for a recipe that is not there": (2, "got no such file", always("gates", "plan", "no/such.yaml")),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose registry has version 1 of `tiny`, which nobody compressed yet."""
    workspace = Workspace.at(tmp_path_factory.mktemp("misused"))
    upstream.register(workspace.tracking_uri)
    return workspace


@pytest.fixture
def place(tmp_path: Path, home: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("EDGEWRIGHT_HOME", str(home.home))
    monkeypatch.setenv("EDGEWRIGHT_TARGET", str(tmp_path / "target"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", home.tracking_uri)
    monkeypatch.setattr(flows.cli, "HOME", tmp_path / "home")
    monkeypatch.setattr(flows.cli, "prepare", lambda _: None)
    monkeypatch.setattr(flows.cli, "start_prefect", lambda: lambda: None)
    return Place(tmp_path, Path(home.tracking_uri.removeprefix("sqlite:///")).parent, variant, monkeypatch)


def end_of(command: list[str], place: Place, capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run the command line in this process; return its exit code and all that it wrote to the terminal."""
    place.monkeypatch.setattr("sys.argv", ["edgewright", *command])
    with pytest.raises(SystemExit) as ended:
        flows.cli.main()
    written = capfd.readouterr()
    return int(ended.value.code or 0), written.out + written.err


@pytest.mark.timeout(120)
@pytest.mark.parametrize("misuse", MISUSES)
def test_a_misuse_is_one_sentence_and_an_exit_code(
    misuse: str, place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    code, says, command = MISUSES[misuse]
    ended, written = end_of(command(place), place, capfd)
    assert ended == code, written
    [sentence] = [line for line in written.splitlines() if line.startswith("error:")]
    assert says in sentence
    assert "Traceback" not in written and "s3cr3t-x" not in written
