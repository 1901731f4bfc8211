"""The user's own code: what a workload stands on is seen wherever it lies, and nothing else is."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments.custom_metrics import custom_metrics_digest
from deployments.user_code import user_sources
from deployments.workload import Workload, code_digest
from deployments.workloads.digits import Digits

FILES = {
    "mine/__init__.py": "",
    "mine/work.py": (
        "import json\n\nimport numpy as np\n\nfrom mine.near import NEAR\nfrom mine import beside\n"
        "from deployments.workload import Workload\n\n\n"
        "class One(Workload):\n    def split(self, name):\n        from .inner.deep import DEEP\n"
        "        return DEEP\n\n    def loss(self, outputs, targets):\n        return NEAR, beside, np, json\n\n\n"
        "class Two(One):\n    pass\n\n\ndef metric(rows):\n    return NEAR\n"
    ),
    "mine/near.py": "import elsewhere\n\nNEAR = elsewhere\n",
    "mine/beside.py": "",
    "mine/unused.py": "",
    "mine/inner/__init__.py": "",
    "mine/inner/deep.py": "from .. import beside\n\nDEEP = 1\n",
    "elsewhere.py": "import elsewhere  # itself\n",
}
STOOD_ON = {"mine", "mine.work", "mine.near", "mine.beside", "mine.inner", "mine.inner.deep", "elsewhere"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder on the path."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("mine", "elsewhere")]:
        del sys.modules[name]


def made(name: str) -> Workload:
    workload: Workload = getattr(importlib.import_module("mine.work"), name)()
    return workload


@pytest.mark.usefixtures("folder")
def test_imports_are_followed_wherever_they_stand_and_libraries_are_not() -> None:
    assert set(user_sources("mine.work")) == STOOD_ON


def digests(folder: Path) -> dict[str, Callable[[], str]]:
    del folder
    return {
        "workload": lambda: code_digest(made("One")),
        "metric": lambda: custom_metrics_digest([importlib.import_module("mine.work").metric]),
    }


@pytest.mark.parametrize("of", ["workload", "metric"])
@pytest.mark.parametrize("changed", sorted(FILES))
def test_a_file_counts_exactly_where_it_is_stood_on(folder: Path, of: str, changed: str) -> None:
    digest = digests(folder)[of]
    before = digest()
    path = folder / changed
    path.write_text(path.read_text() + "# changed\n")
    assert (digest() != before) is (changed != "mine/unused.py")


@pytest.mark.usefixtures("folder")
def test_two_classes_of_one_file_are_two_workloads() -> None:
    assert code_digest(made("One")) != code_digest(made("Two"))


def test_a_shipped_workload_stands_on_itself_and_not_on_the_rooms() -> None:
    assert set(user_sources(Digits.__module__)) == {"deployments.workloads.digits"}
    assert set(user_sources("deployments.workload")) == {"deployments.workload"}


def test_what_cannot_be_parsed_or_found_is_left_out(folder: Path) -> None:
    (folder / "mine" / "near.py").write_text("import nowhere.at_all\nfrom . import missing\n")
    assert "nowhere" not in user_sources("mine.work")
