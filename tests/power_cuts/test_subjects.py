"""Versions found after a cut: one works only where every file of it is whole."""

from pathlib import Path

import pytest

from tests.power_cuts.subjects import SIZES, Version, content, found_in

GRAPH, WEIGHTS = SIZES


def _fill(folder: Path, graph: Version, weights: Version) -> None:
    folder.joinpath(GRAPH).write_bytes(content(graph)[GRAPH])
    folder.joinpath(WEIGHTS).write_bytes(content(weights)[WEIGHTS])


@pytest.mark.parametrize("version", ["A", "B"])
def test_whole_files_of_one_version_work(tmp_path: Path, version: Version) -> None:
    _fill(tmp_path, version, version)
    assert found_in(tmp_path).version == version


def test_files_of_two_versions_do_not_work(tmp_path: Path) -> None:
    _fill(tmp_path, "A", "B")
    assert (found_in(tmp_path).version, found_in(tmp_path).files) == (None, "graph.onnx: A, weights.bin: B")


def test_damage_is_named(tmp_path: Path) -> None:
    _fill(tmp_path, "A", "A")
    tmp_path.joinpath(WEIGHTS).write_bytes(b"")
    assert (found_in(tmp_path).version, found_in(tmp_path).files) == (None, "graph.onnx: A, weights.bin: empty")
    tmp_path.joinpath(WEIGHTS).write_bytes(content("A")[WEIGHTS][:-1])
    tmp_path.joinpath(GRAPH).unlink()
    assert (found_in(tmp_path).version, found_in(tmp_path).files) == (None, "graph.onnx: missing, weights.bin: damaged")
    for name in SIZES:
        tmp_path.joinpath(name).write_bytes(b"same")
    assert found_in(tmp_path).version is None
