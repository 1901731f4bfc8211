"""Workloads are people's own code: whatever is wrong with it is said in one sentence."""

import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deployments.errors import ConfigurationError
from deployments.user_code import code_digest
from deployments.workload import Split, load_workload, read_splits
from edge_runtime.errors import EdgewrightError
from tests.deployments.example_rows import Rows

GOOD = """
import numpy as np
import pandas as pd
from deployments.workload import Split, Workload

class Rows(Workload):
    def split(self, name):
        return Split((np.ones((2, 3), np.float32),), np.zeros(2, np.int64), pd.DataFrame({"label": [0, 0]}))

    def loss(self, outputs, targets):
        return outputs.mean()
"""
WriteModule = Callable[..., str]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteModule:
    """Write a module that can be imported; returns its name, which is another one for every test."""

    def write(text: str, name: str = f"workload_{tmp_path.name}".replace("-", "_")) -> str:
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        return name

    monkeypatch.syspath_prepend(tmp_path)
    return write


def test_a_workload_is_imported_and_made(module: WriteModule) -> None:
    workload = load_workload(f"{module(GOOD)}:Rows")
    assert {len(split) for split in read_splits(workload).values()} == {2}


@pytest.mark.parametrize(
    ("text", "class_name", "says"),
    [
        ("def broken(:\n", "Rows", ("got SyntaxError: invalid syntax", "line 1); correct the module")),
        (
            "import edgeright_nowhere\n",
            "Rows",
            ("No module named 'edgeright_nowhere'; install edgeright_nowhere, which",),
        ),
        ("1 / 0\n", "Rows", ("got ZeroDivisionError: division by zero; correct the module",)),
        ("raise SystemExit(3)\n", "Rows", ("got SystemExit: 3; correct the module",)),
        (
            GOOD,
            "Lines",
            ("expected Lines to be a subclass of deployments.workload.Workload, got nothing of that name",),
        ),
        ("class Rows: ...\n", "Rows", ("got <class 'workload_", "correct the recipe's `workload` or the module")),
        ("Rows = 3\n", "Rows", ("got 3; correct",)),
        (GOOD.replace("def loss", "def lost"), "Rows", ("expected the methods split and loss, got none for loss",)),
        (f"{GOOD}\nclass Both(Workload): ...\n", "Both", ("got none for loss, split; write it",)),
        (
            GOOD.replace("    def split", "    def __init__(self, path):\n        pass\n\n    def split"),
            "Rows",
            ("expected Rows() to make one without arguments, got TypeError:", "'path'; correct its __init__"),
        ),
        (
            GOOD.replace("    def split", "    def __init__(self):\n        open('/nowhere/rows')\n\n    def split"),
            "Rows",
            ("got FileNotFoundError:", "/nowhere/rows"),
        ),
    ],
    ids=lambda value: value.strip().splitlines()[0][:24] if isinstance(value, str) else "",
)
def test_what_cannot_be_loaded_is_said(module: WriteModule, text: str, class_name: str, says: tuple[str, ...]) -> None:
    reference = f"{module(text)}:{class_name}"
    with pytest.raises(ConfigurationError) as caught:
        load_workload(reference)
    assert str(caught.value).startswith(f"workload `{reference}`: expected ")
    for words in says:
        assert words in str(caught.value)


@pytest.mark.parametrize("reference", ["edgeright_nowhere:Rows", "edgeright_nowhere.inner:Rows", "tests.nowhere:Rows"])
def test_a_missing_module_asks_for_the_path(reference: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"ModuleNotFoundError: No module named '.*nowhere'; put its folder on"
    ):
        load_workload(reference)


def test_a_workload_that_says_itself_what_is_wrong_is_passed_on(module: WriteModule) -> None:
    raising = "    def __init__(self):\n        raise ConfigurationError('expected the data, got none; fetch it')\n\n"
    text = "from deployments.errors import ConfigurationError\n" + GOOD.replace(
        "    def split", f"{raising}    def split"
    )
    name = module(text)
    with pytest.raises(ConfigurationError) as caught:
        load_workload(f"{name}:Rows")
    assert str(caught.value) == f"workload `{name}:Rows`: expected the data, got none; fetch it"


def test_a_split_that_raises_is_named() -> None:
    says = r"example_rows:Rows`: split `validation`: expected its rows, got KeyError: 'site'; correct Workload\.split"
    with pytest.raises(ConfigurationError, match=says):
        read_splits(Rows(KeyError("site")))


def test_a_split_that_says_itself_what_is_wrong_is_passed_on() -> None:
    with pytest.raises(ConfigurationError, match="split `validation`: expected a disk, got none"):
        read_splits(Rows(EdgewrightError("expected a disk, got none")))


def test_an_unfit_split_is_named_with_its_workload() -> None:
    with pytest.raises(
        ConfigurationError, match=r"workload `tests\.deployments\.example_rows:Rows`: split `test`: exp"
    ):
        read_splits(Rows(test_rows=3))


def test_the_default_score_is_arg_max_equality() -> None:
    outputs = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    assert Rows().predictions(outputs).tolist() == [1, 0, 1]
    assert Rows().score(outputs, np.array([1, 1, 1])).tolist() == [1.0, 0.0, 1.0]


def test_only_images_are_shown_as_pictures() -> None:
    flat = Rows().split("test")
    images = Split((np.zeros((4, 3, 5, 5), dtype=np.float32),), flat.targets, flat.slices)
    picture = Rows().picture(images, 2)
    assert picture is not None
    assert picture.shape == (3, 5, 5)
    assert Rows().picture(flat, 2) is None
    assert Rows().text(flat, 2) is None


def test_a_workload_needs_no_architecture() -> None:
    assert Rows().build_model() is None


def test_the_code_digest_follows_the_source_of_a_workload_and_of_its_bases(module: WriteModule) -> None:
    own = "from digest_base import Rows as Base\nclass Rows(Base): ...\n"
    module(GOOD, "digest_base")
    reference = f"{module(own, 'digest_own')}:Rows"
    workload = load_workload(reference)
    first = code_digest(workload, reference)
    assert code_digest(workload, reference) == first
    module(f"{GOOD}# another score\n", "digest_base")
    second = code_digest(workload, reference)
    module(f"{own}# another loss\n", "digest_own")
    assert len({first, second, code_digest(workload, reference)}) == 3


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("task", "binary"), ("labels", ("no", "yes")), ("preprocessing", {"mean": [0.5]}), ("group", "site")],
)
def test_the_code_digest_follows_what_a_workload_says_of_itself(attribute: str, value: object) -> None:
    """The value can come from a file or be set by another module, so no source file tells it."""
    workload = Rows()
    before = code_digest(workload, "a:b")
    setattr(workload, attribute, value)
    assert code_digest(workload, "a:b") != before
