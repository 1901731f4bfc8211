"""A target in which somebody else lays things: nothing there is waited for or followed."""

import os
import shutil
from pathlib import Path

import pytest

from tasks.delivery import FolderDestination
from tests.edge_runtime.bundle.linear import described
from tests.edge_runtime.models import linear_model


@pytest.fixture
def destination(tmp_path: Path) -> FolderDestination:
    return FolderDestination(tmp_path / "target")


@pytest.fixture
def bundle(destination: FolderDestination, tmp_path: Path) -> Path:
    """A bundle of release 1, whose claim was given up."""
    files = {"model.onnx": linear_model(tmp_path / "model.onnx")}
    destination.claim("m", "bench", 1, "k")
    return Path(destination.write(described(files, model="m", device="bench", lineage={"release": "1"}), files))


@pytest.mark.timeout(60)
def test_a_manifest_that_is_a_fifo_or_a_link_is_no_bundle(destination: FolderDestination, bundle: Path) -> None:
    waiting, linked = (bundle.with_name(f"{digit * 64}.manifest.json") for digit in "01")
    os.mkfifo(waiting)
    linked.symlink_to(bundle)
    assert destination.bundles("m", "bench") == [str(bundle)]
    assert destination.supersede(str(bundle)) == []
    assert waiting.is_fifo() and linked.is_symlink()


@pytest.mark.parametrize("place", ["targets/m/bench", "targets/m", "targets"])
def test_no_link_to_a_folder_elsewhere_is_followed(
    destination: FolderDestination, bundle: Path, tmp_path: Path, place: str
) -> None:
    destination.settle("m", "bench", 1, "abandoned", {})
    shutil.copytree(tmp_path / "target", tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "target" / place)
    (tmp_path / "target" / place).symlink_to(tmp_path / "elsewhere" / place)
    assert bundle.is_file()
    assert destination.bundles("m", "bench") == [] and not destination.holds("m", "bench", 1)
    assert destination.sweep("m", "bench") == []
    assert bundle.is_file()


def test_a_target_that_is_a_link_itself_is_as_good(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (found,) = FolderDestination(tmp_path / "link").bundles("m", "bench")
    assert Path(found).samefile(bundle)
