"""Families declared from their graphs."""

from pathlib import Path

import pytest

from edge_runtime.errors import BundleError
from edge_runtime.families import family_of
from tests.edge_runtime.made_families import ONE_THREAD, defects


def test_a_family_is_declared_from_its_graphs(tmp_path: Path) -> None:
    path, heads = defects(tmp_path).paths()
    family = family_of(path, heads, ONE_THREAD)
    assert [(each.name, each.graph, each.outputs) for each in family.heads] == [
        ("faults", "head.faults.onnx", ("faults",)),
        ("kinds", "head.kinds.onnx", ("kinds",)),
    ]
    assert family.files["model.onnx"] == path and family.files["head.kinds.onnx"] == heads["kinds"]
    assert len(family.files) == 6  # and the weights of each
    assert [spec.name for spec in family.outputs] == ["faults", "kinds"]
    with pytest.raises(BundleError, match="needs a head"):
        family_of(path, {}, ONE_THREAD)
