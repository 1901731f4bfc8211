"""Tests of the version of ONNX Runtime: the library's own, also where it is not loaded or told otherwise."""

import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from edge_runtime.onnxruntime_packages import onnxruntime_version

ASKED = """
import sys
from edge_runtime.onnxruntime_packages import onnxruntime_version
print(onnxruntime_version(), "onnxruntime" in sys.modules)
"""


def asked(folder: Path | None = None) -> list[str]:
    """Return the version that a new process finds, and whether it has loaded the library for that."""
    where = "" if folder is None else f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    ended = subprocess.run([sys.executable, "-c", where + ASKED], capture_output=True, text=True, check=True)
    return ended.stdout.split()


def test_the_version_is_that_of_the_library() -> None:
    assert onnxruntime_version() == onnxruntime.__version__


def test_a_process_that_did_not_load_the_library_knows_its_version_and_does_not_load_it() -> None:
    assert asked() == [onnxruntime.__version__, "False"]


@pytest.mark.parametrize(
    ("source", "loads"),
    [('__version__ = "9.8.7"\nraise RuntimeError("it was loaded")\n', "False"),
     ('__version__: str = "9" + ".8.7"\n', "True")],
    ids=["written", "computed"],
)  # fmt: skip
def test_the_first_package_on_the_path_counts_and_is_loaded_only_where_its_source_does_not_tell(
    tmp_path: Path, source: str, loads: str
) -> None:
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").write_text(source)
    assert asked(tmp_path) == ["9.8.7", loads]
