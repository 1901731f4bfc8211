"""The user's own code: what a workload stands on is seen wherever it lies, and nothing else is."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments.custom_metrics import custom_metrics_digest, written_metrics_digest
from deployments.user_code import code_digest, question_digest, user_sources
from deployments.workload import Workload
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
MADE = {
    "factory.py": (
        "from deployments.workload import Workload\n\n\n"
        "class Base(Workload):\n    def split(self, name):\n        return None\n\n"
        "    def loss(self, outputs, targets):\n        return None\n\n\n"
        "def make(threshold):\n    class Made(Base):\n        def predictions(self, outputs):\n"
        "            return outputs > threshold\n\n    return Made\n\n\n"
        "def wrap(function):\n    def inner(rows):\n        return function(rows)\n\n    return inner\n\n\n"
        "def first(rows):\n    return 1.0\n\n\ndef second(rows):\n    return 2.0\n\n\n"
        "def curry(share):\n    def metric(rows):\n        return share * len(rows)\n\n    return metric\n"
    ),
    "chosen.py": (
        "import json\nfrom pathlib import Path\n\n"
        "from factory import Base, curry, first, make, second, wrap\n\n"
        "Made = make(0.5)\nAlias = Base\n\n\n"
        "class Named(Base):\n    labels = tuple(json.loads((Path(__file__).parent / 'names.json').read_text()))\n\n\n"
        "@wrap\ndef wrapped(rows):\n    return 3.0\n\n\nchosen = first\ncurried = curry(1.0)\n"
    ),
    "again.py": "from chosen import Made, chosen\n",
    "names.json": '["a", "b"]',
}
"""A user's own code that makes and chooses what a recipe names."""
OWN = ("mine", "elsewhere", "factory", "chosen", "again")
CHOICES = {
    "the argument of a class factory": ("chosen:Made", "chosen.py", "make(0.5)", "make(0.9)"),
    "the body of a class factory": ("chosen:Made", "factory.py", "outputs > threshold", "outputs < threshold"),
    "the argument, behind another module": ("again:Made", "chosen.py", "make(0.5)", "make(0.9)"),
    "a module that sets an attribute": ("again:Made", "again.py", "chosen\n", "chosen\nMade.task = 'binary'\n"),
    "a module that changes a function": ("again:Made", "again.py", "chosen\n", "chosen\nMade.score = None\n"),
    "a file that is read at import": ("chosen:Named", "names.json", '"b"', '"c"'),
    "a metric below a bare decorator": ("chosen:wrapped", "chosen.py", "return 3.0", "return 4.0"),
    "the bare decorator": ("chosen:wrapped", "factory.py", "return function(rows)", "return 0.0"),
    "a metric's other name": ("chosen:chosen", "chosen.py", "chosen = first", "chosen = second"),
    "a metric's other name, behind another module": ("again:chosen", "chosen.py", "chosen = first", "chosen = second"),
    "the argument of a metric's closure": ("chosen:curried", "chosen.py", "curry(1.0)", "curry(0.0)"),
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
    forget()


def forget() -> None:
    """Forget the user's modules, as another process would."""
    for name in [name for name in sys.modules if name.partition(".")[0] in OWN]:
        del sys.modules[name]
    importlib.invalidate_caches()


def made(name: str) -> Workload:
    workload: Workload = getattr(importlib.import_module("mine.work"), name)()
    return workload


@pytest.mark.usefixtures("folder")
def test_imports_are_followed_wherever_they_stand_and_libraries_are_not() -> None:
    assert set(user_sources("mine.work")) == STOOD_ON


def digests(folder: Path) -> dict[str, Callable[[], str]]:
    del folder
    return {
        "workload": lambda: code_digest(made("One"), "mine.work:One"),
        "metric": lambda: custom_metrics_digest({"mine.work:metric": importlib.import_module("mine.work").metric}),
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
    assert code_digest(made("One"), "mine.work:One") != code_digest(made("Two"), "mine.work:Two")


def digest_of_named(reference: str) -> str:
    """The digest of a workload or a metric as a new process has it."""
    forget()
    module, _, name = reference.partition(":")
    thing = getattr(importlib.import_module(module), name)
    return code_digest(thing(), reference) if isinstance(thing, type) else custom_metrics_digest({reference: thing})


@pytest.mark.parametrize("choice", CHOICES)
def test_what_a_recipe_names_counts_with_all_that_makes_and_chooses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: str
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in MADE.items():
        (tmp_path / name).write_text(text)
    reference, changed, old, new = CHOICES[choice]
    before = digest_of_named(reference)
    assert digest_of_named(reference) == before
    text = (tmp_path / changed).read_text()
    assert old in text
    (tmp_path / changed).write_text(text.replace(old, new))
    assert digest_of_named(reference) != before
    forget()


def test_a_shipped_workload_stands_on_itself_and_not_on_the_rooms() -> None:
    assert set(user_sources(Digits.__module__)) == {"deployments.workloads.digits"}
    assert set(user_sources("deployments.workload")) == {"deployments.workload"}


def test_what_cannot_be_parsed_or_found_is_left_out(folder: Path) -> None:
    (folder / "mine" / "near.py").write_text("import nowhere.at_all\nfrom . import missing\n")
    assert "nowhere" not in user_sources("mine.work")


WRITTEN = {
    "site-packages/library/__init__.py": "",
    "site-packages/library/bases.py": "class Rows:\n    pass\n\n\ndef score(rows):\n    return 1.0\n",
    "own.py": (
        "from library.bases import Rows\n\nfrom deployments.workload import Workload\n\n\n"
        "class Mine(Rows, Workload):\n    def split(self, name):\n        return None\n\n"
        "    def loss(self, outputs, targets):\n        return None\n"
    ),
}


@pytest.fixture
def beside_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's module on the path, beside an installed library."""
    for name, text in WRITTEN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for folder in (tmp_path, tmp_path / "site-packages"):
        monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("own", "library")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("changed", "of_code", "of_question"),
    [("own.py", True, True), ("site-packages/library/bases.py", True, False)],
)
def test_a_question_is_what_people_wrote_and_a_library_is_not(
    beside_a_library: Path, changed: str, of_code: bool, of_question: bool
) -> None:
    workload = importlib.import_module("own").Mine()

    def digests() -> tuple[str, str]:
        return code_digest(workload, "own:Mine"), question_digest(workload, "own:Mine")

    before = digests()
    path = beside_a_library / changed
    path.write_text(path.read_text() + "# a comment\n")
    assert [new != old for new, old in zip(digests(), before, strict=True)] == [of_code, of_question]


def test_a_metric_of_a_library_is_no_question_and_one_of_the_workloads_own_package_is(beside_a_library: Path) -> None:
    named = {"library.bases:score": importlib.import_module("library.bases").score}
    for package, counts in (("own", False), ("library", True)):
        before = written_metrics_digest(named, package)
        path = beside_a_library / "site-packages" / "library" / "bases.py"
        path.write_text(path.read_text() + "# a comment\n")
        assert (written_metrics_digest(named, package) != before) is counts


def test_what_edgewright_itself_says_is_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    from deployments import user_code

    monkeypatch.setattr(user_code, "_digest", lambda _reference, _things, sources: " ".join(sources))
    asked = question_digest(Digits(), "deployments.workloads.digits:Digits")
    monkeypatch.setattr(user_code, "_digest", lambda *_: "deployments.workloads.digits")
    assert asked == question_digest(Digits(), "deployments.workloads.digits:Digits")


def test_a_base_of_an_installed_package_counts_by_its_version(
    beside_a_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deployments import user_code

    workload = importlib.import_module("own").Mine()
    monkeypatch.setattr(user_code, "_distributions", lambda: {"library": ["torch"]})
    before = code_digest(workload, "own:Mine")
    path = beside_a_library / "site-packages" / "library" / "bases.py"
    path.write_text(path.read_text() + "# a comment\n")
    assert code_digest(workload, "own:Mine") == before
    monkeypatch.setattr("importlib.metadata.version", lambda _: "another")
    assert code_digest(workload, "own:Mine") != before
