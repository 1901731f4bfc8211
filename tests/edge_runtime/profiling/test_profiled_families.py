"""The profile of a family: all of its graphs count, in time, memory and operators."""

from pathlib import Path

from edge_runtime.install import portable
from edge_runtime.model_files import model_bytes
from edge_runtime.profiling import profile_model
from tests.edge_runtime.made_families import bundle_at, defects


def test_a_profile_counts_every_graph(tmp_path: Path) -> None:
    bundle = bundle_at(defects(tmp_path / "made").carry(tmp_path / "carried", 1))
    profile = profile_model(bundle, portable(bundle), processes=1, sizes=(1,))
    assert profile.answers is None
    assert profile.weights_in_files == 3
    assert profile.memory.weights_mb == model_bytes(bundle.entry_path, bundle.heads) / (1 << 20)
    products = [each for each in profile.operators if "MatMul" in each.operator]
    assert sum(each.nodes for each in products) == 3
