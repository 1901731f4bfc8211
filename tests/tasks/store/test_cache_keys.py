"""Cache keys: changes that give a stage another key, and changes that do not."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.store import cache_keys as digests
from tasks.store.cache_keys import code_digests, digest_of, libraries, sources_of, stage_key


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable package whose source may be changed."""
    folder = tmp_path / "changing"
    (folder / "inner").mkdir(parents=True)
    for name in ("__init__.py", "one.py", "inner/__init__.py", "inner/two.py"):
        (folder / name).write_text(f"# {name}\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    digests._code_digest.cache_clear()
    yield folder
    digests._code_digest.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "changing"]:
        del sys.modules[name]


def fresh_digest(module: str) -> str:
    digests._code_digest.cache_clear()
    return code_digests([module])[0]


def test_a_digest_does_not_follow_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of({"a": [1, 2]}) != digest_of({"a": [2, 1]})


def test_a_packages_digest_follows_every_module_of_it(package: Path) -> None:
    first = fresh_digest("changing")
    assert fresh_digest("changing") == first
    (package / "inner" / "two.py").write_text("# other\n")
    second = fresh_digest("changing")
    (package / "inner" / "two.py").rename(package / "inner" / "three.py")
    assert len({first, second, fresh_digest("changing")}) == 3


def test_a_modules_digest_follows_that_module_alone(package: Path) -> None:
    first = fresh_digest("changing.one")
    (package / "inner" / "two.py").write_text("# other\n")
    assert fresh_digest("changing.one") == first
    (package / "one.py").write_text("# other\n")
    assert fresh_digest("changing.one") != first


def test_code_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"tasks\.nowhere: expected an importable module as a stage's code"):
        code_digests(["tasks.nowhere"])


def test_another_name_input_code_or_library_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    key = stage_key("prune", {"ratio": 0.2}, ["tasks.store.cache_keys"])
    assert stage_key("prune", {"ratio": 0.2}, ["tasks.store.cache_keys"]) == key
    others = {
        stage_key("ptq", {"ratio": 0.2}, ["tasks.store.cache_keys"]),
        stage_key("prune", {"ratio": 0.3}, ["tasks.store.cache_keys"]),
        stage_key("prune", {"ratio": 0.2}, ["tasks.errors"]),
    }
    monkeypatch.setattr(digests, "_libraries", lambda: (("torch", "0.1"),))
    others.add(stage_key("prune", {"ratio": 0.2}, ["tasks.store.cache_keys"]))
    assert len(others | {key}) == 5


def test_the_libraries_that_compute_are_counted() -> None:
    assert {"torch", "onnxruntime", "torchao", "numpy"} <= libraries().keys()
    assert all(libraries().values())


def test_a_module_of_the_algorithms_counts_with_what_it_imports_and_no_more() -> None:
    pruning = sources_of("model_compression.pruning.rounds")
    assert {"model_compression.pruning.importance", "model_compression.pruning.indexed_channels"} <= pruning.keys()
    assert not [module for module in pruning if ".quantization" in module or module.startswith("tasks")]
    ptq = sources_of("model_compression.quantization.static")
    assert "model_compression.quantization.ranges" in ptq
    assert not [module for module in ptq if module.endswith((".qat", ".int4")) or ".pruning" in module]


def test_what_a_package_hands_on_counts_as_the_module_that_defines_it() -> None:
    sources = sources_of("model_compression.pruning.vocabulary")
    assert "model_compression.training.batching" in sources
    assert "model_compression.training" not in sources  # its other modules would count with it


def test_a_module_of_the_tasks_counts_alone() -> None:
    assert list(sources_of("tasks.job")) == ["tasks.job"]
