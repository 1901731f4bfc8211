"""The example changes in docs/changes still apply to this tree, touch few files, and work."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHANGES = sorted((ROOT / "docs" / "changes").glob("*.patch"))
MOST_FILES = 4
OF_EVERY_KIND = (
    "tests/test_layout.py",
    "tests/deployments/test_recipe.py",
    "tests/quality_gates/gates/test_kind.py",
)
"""Quick tests that a new kind of anything must pass, although no change touches them."""
MYPY_CACHE = ROOT / ".mypy_cache" / "changes"


def _run(folder: Path, *command: str) -> str:
    """Run a command in a copy of the tree, which nothing outside it answers for; returns its output, fails with it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "PYTEST_", "COV"))}
    environment |= {"GIT_CEILING_DIRECTORIES": str(folder.parent), "PYTHONPATH": str(folder)}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1"}  # sources change back and forth within the same second
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


def _python(folder: Path, *arguments: str) -> str:
    return _run(folder, sys.executable, "-m", *arguments)


def _copy_of(root: Path, folder: Path) -> Path:
    """Copy the files that git tracks as they lie in a working tree, uncommitted changes included."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        source, copied = root / name, folder / name
        if source.is_file():
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copied)
    return folder


def _touched(folder: Path, patch: Path) -> list[str]:
    """Return the paths that a patch changes, adds, moves or removes."""
    listed = _run(folder, "git", "apply", "--numstat", "-z", str(patch))
    return [line.split("\t")[2] for line in listed.split("\0") if line]


def _apply(folder: Path, patch: Path) -> None:
    _run(folder, "git", "apply", "--check", str(patch))
    _run(folder, "git", "apply", str(patch))


def _tests_among(paths: Sequence[str]) -> list[str]:
    return [path for path in paths if path.startswith("tests/") and Path(path).name.startswith("test_")]


def _tests_of(folder: Path, touched: Sequence[str]) -> list[str]:
    """Return the touched tests, and those that import a touched helper."""
    tests = _tests_among(touched)
    helpers = [path for path in touched if path.startswith("tests/") and path not in tests and path.endswith(".py")]
    for helper in helpers:
        package, name = ".".join(Path(helper).parent.parts), Path(helper).stem
        imported = re.compile(rf"^from {re.escape(package)}(\.{name} import | import .*\b{name}\b)", re.MULTILINE)
        found = (path for path in folder.glob("tests/**/test_*.py") if imported.search(path.read_text()))
        tests += [str(path.relative_to(folder)) for path in sorted(found)]
    return list(dict.fromkeys(tests))


def _sources(folder: Path, touched: Sequence[str]) -> list[str]:
    return [path for path in touched if path.endswith(".py") and (folder / path).exists()]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the working tree, which each test leaves as it was."""
    return _copy_of(ROOT, tmp_path_factory.mktemp("changes") / "tree")


@pytest.fixture(params=CHANGES, ids=lambda patch: str(patch.stem))
def patch(request: pytest.FixtureRequest) -> Path:
    """Each example change in turn."""
    return Path(request.param)


@pytest.fixture
def changed(tree: Path, patch: Path) -> Iterator[Path]:
    """The copy of the tree with the change, which is taken back afterwards."""
    _apply(tree, patch)
    yield tree
    _run(tree, "git", "apply", "--reverse", str(patch))


def test_a_change_applies_and_touches_few_files_and_a_test(tree: Path, patch: Path) -> None:
    _run(tree, "git", "apply", "--check", str(patch))
    touched = _touched(tree, patch)
    assert len(touched) <= MOST_FILES, touched
    assert _tests_among(touched)


def test_a_change_works(changed: Path, patch: Path) -> None:
    touched = _touched(changed, patch)
    sources = _sources(changed, touched)
    _python(changed, "ruff", "check", "--no-cache", *sources)
    _python(changed, "ruff", "format", "--no-cache", "--check", *sources)
    _python(changed, "tests.prose")
    tests = dict.fromkeys([*OF_EVERY_KIND, *_tests_of(changed, touched)])
    _python(changed, "pytest", "-x", "-p", "no:cacheprovider", *tests)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_types_of_a_change_hold(changed: Path, patch: Path) -> None:
    _python(changed, "mypy", f"--cache-dir={MYPY_CACHE}", *_sources(changed, _touched(changed, patch)))


def _git_diff(before: Path, after: Path) -> str:
    """Return the patch from one folder to another with paths as in a repository."""
    command = ["git", "diff", "--no-index", "--no-color", before.name, after.name]
    written = subprocess.run(command, cwd=before.parent, capture_output=True, text=True, check=False).stdout
    for name in (before.name, after.name):
        written = written.replace(f"a/{name}/", "a/").replace(f"b/{name}/", "b/")
    return written


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A patch that edits tests/test_own.py, which is empty in `before`, and adds new.py."""
    for name, text in (("before", ""), ("after", "def test_own() -> None: ...\n")):
        (tmp_path / name / "tests").mkdir(parents=True)
        (tmp_path / name / "tests" / "test_own.py").write_text(f"# own\n{text}")
    (tmp_path / "after" / "new.py").write_text("NEW = 1\n")
    patch = tmp_path / "own.patch"
    patch.write_text(_git_diff(tmp_path / "before", tmp_path / "after"))
    return patch


def test_new_and_changed_files_are_counted_and_written(own: Path) -> None:
    before = own.with_name("before")
    touched = _touched(before, own)
    assert sorted(touched) == ["new.py", "tests/test_own.py"]
    assert _tests_among(touched) == ["tests/test_own.py"]
    _apply(before, own)
    assert (before / "new.py").read_text() == "NEW = 1\n"
    assert (before / "tests" / "test_own.py").read_text() == (own.parent / "after/tests/test_own.py").read_text()


def test_tests_that_import_a_touched_helper_run_too(tmp_path: Path) -> None:
    (tmp_path / "tests" / "room").mkdir(parents=True)
    for name, text in {
        "test_one": "from tests.room.helper import made\n",
        "test_two": "from tests.room import helper, other\n",
        "test_three": "from tests.room.helpers import made\nfrom tests.room import other\n",
    }.items():
        (tmp_path / "tests" / "room" / f"{name}.py").write_text(text)
    touched = ["room/module.py", "tests/room/test_new.py", "tests/room/helper.py"]
    assert _tests_of(tmp_path, touched) == [f"tests/room/test_{name}.py" for name in ("new", "one", "two")]


def test_a_change_that_no_longer_applies_is_noticed(own: Path) -> None:
    before = own.with_name("before")
    (before / "tests" / "test_own.py").write_text("# other\n")
    with pytest.raises(AssertionError, match=r"tests/test_own\.py: patch does not apply"):
        _apply(before, own)


def test_a_copy_holds_what_lies_there_and_not_what_git_ignores(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for command in (["init", "-q"], ["add", "kept.py", "gone.py"]):
        for name in ("kept.py", "gone.py", "ignored.py"):
            (root / name).write_text("committed\n")
        subprocess.run(["git", *command], cwd=root, check=True)
    (root / "kept.py").write_text("edited\n")
    (root / "gone.py").unlink()
    copied = _copy_of(root, tmp_path / "copied")
    assert {path.name: path.read_text() for path in copied.iterdir()} == {"kept.py": "edited\n"}
