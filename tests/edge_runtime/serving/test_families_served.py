"""Families while they serve: a head's update swaps that head alone, and a batch runs what its requests want."""

import asyncio
import gc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.bundle import Golden, Measured
from edge_runtime.errors import BadRequest, SessionError
from edge_runtime.families import family_of
from edge_runtime.files import sha256_of
from edge_runtime.install import (
    DeviceStore,
    FolderSource,
    InstallSettings,
    Limits,
    Tuning,
    choices,
    install,
    running,
)
from edge_runtime.measurement.memory import resident_mb
from edge_runtime.serving import Runtime, ServingSettings
from edge_runtime.serving.loaded_version import LoadedVersion, load_version
from edge_runtime.serving.model_sources import BundleSource, StoreSource
from edge_runtime.serving.pending_requests import Batch, PendingRequest
from edge_runtime.session import EdgeModel
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.install.carried import DEVICE, MODEL, rows
from tests.edge_runtime.made_families import ONE_THREAD, MadeFamily, backbone, bundle_at, defects, head
from tests.edge_runtime.processes import wait_until

GAINS = Measured({"peak_rss_mb": 100.0}, {"1": 1.0, "8": 1.5})
SWAPS, MB = 30, 1 << 20


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sha256 of every graph that is loaded."""
    noted: list[str] = []
    load = EdgeModel.load

    def noting(path: Path, settings: SessionSettings) -> EdgeModel:
        noted.append(sha256_of(path))
        return load(path, settings)

    monkeypatch.setattr(EdgeModel, "load", noting)
    return noted


def manifest(family: MadeFamily, version: int, **changes: Any) -> Path:
    return bundle_at(family.carry(family.folder.parent / "carried", version, measured=GAINS, **changes)).path


def test_a_request_gets_the_heads_that_it_asks_for(tmp_path: Path) -> None:
    family = defects(tmp_path / "one")
    with Runtime.of_bundle(manifest(family, 1)) as runtime:
        assert [spec.name for spec in runtime.description(MODEL).outputs] == ["faults", "kinds"]
        assert runtime.description(MODEL).batched
        for names in (["kinds"], ["kinds", "faults"], ["kinds", "kinds"], None):
            answer = runtime.predict(MODEL, {"x": rows(3, 5)}, outputs=names)
            right = family.right(rows(3, 5), names or ())
            assert list(answer) == list(right)
            for name in right:
                np.testing.assert_allclose(answer[name], right[name], atol=1e-4)
        with pytest.raises(BadRequest, match=r"unknown \['features'\]"):
            runtime.predict(MODEL, {"x": rows(3)}, outputs=["features"])


def test_an_update_of_a_head_loads_that_head_alone(tmp_path: Path, loads: list[str]) -> None:
    first, second = defects(tmp_path / "one"), defects(tmp_path / "two", kinds=99)
    paths = [manifest(first, 1), manifest(second, 2)]
    loads.clear()
    with Runtime.of_bundle(paths[0]) as runtime:
        assert len(loads) == 3
        runtime.replace(paths[1])
        changed = sha256_of(second.folder / "head-kinds" / "portable" / "model.onnx")
        assert loads[3:] == [changed]
        assert runtime.description(MODEL).version == "2"
        answer = runtime.predict(MODEL, {"x": rows(3, 5)})
        for name, right in second.right(rows(3, 5)).items():
            np.testing.assert_allclose(answer[name], right, atol=1e-4)


def test_an_installed_update_of_a_head_is_swapped_alone(
    tmp_path: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choices, "NEAR", 1e9)  # the tuned graphs, however fast they are
    store, settings = DeviceStore(tmp_path / "device", DEVICE), InstallSettings(Limits(time_s=60), Tuning())
    second = defects(tmp_path / "two", kinds=99)
    carried = [
        family.carry(tmp_path / "carried", at) for at, family in enumerate((defects(tmp_path / "one"), second), 1)
    ]
    install(store, MODEL, carried[0].data, FolderSource(carried[0].root), settings)
    loads.clear()
    with Runtime([StoreSource(store, MODEL)], ServingSettings(poll_s=0.01)) as runtime:
        assert len(loads) == 3
        install(store, MODEL, carried[1].data, FolderSource(carried[1].root), settings)
        wait_until(lambda: runtime.description(MODEL).version == "2")
        found = running(store, MODEL)
        assert found.heads[1].path.is_relative_to(store.tuned_folder(carried[1].digest))
        assert loads[3:] == [sha256_of(found.heads[1].path)]
        answer = runtime.predict(MODEL, {"x": rows(3, 5)}, outputs=["kinds"])
        np.testing.assert_allclose(answer["kinds"], second.right(rows(3, 5))["kinds"], atol=1e-3)


def test_a_head_that_answers_wrongly_leaves_the_old_ones_serving(tmp_path: Path) -> None:
    family, wrong = defects(tmp_path / "one"), defects(tmp_path / "two", kinds=99)
    declared = family_of(*wrong.paths(), ONE_THREAD)
    path = bundle_at(family.carry_files(tmp_path / "carried", 2, declared, dict(declared.files))).path
    with Runtime.of_bundle(manifest(family, 1)) as runtime:
        with pytest.raises(SessionError, match="the output kinds of the head kinds misses"):
            runtime.replace(path)
        answer = runtime.predict(MODEL, {"x": rows(3, 5)})
        np.testing.assert_allclose(answer["kinds"], family.right(rows(3, 5))["kinds"], atol=1e-4)


def test_swaps_of_heads_leave_no_memory_behind(tmp_path: Path, loads: list[str]) -> None:
    wide = {"faults": 3, "kinds": 4}
    families = [
        MadeFamily(tmp_path / name, {key: head(key, seed + at, features=MB // 64) for key, seed in wide.items()},
                   backbone(features=MB // 64))
        for at, name in enumerate(("one", "two"))
    ]  # fmt: skip
    paths = [manifest(family, at) for at, family in enumerate(families)]
    with Runtime.of_bundle(paths[0]) as runtime:
        for at in range(4):
            runtime.replace(paths[1 - at % 2])
        loads.clear()
        gc.collect()
        before = resident_mb()
        for at in range(SWAPS):
            runtime.replace(paths[1 - at % 2])
            runtime.predict(MODEL, {"x": rows(1)}, outputs=["kinds"])
        gc.collect()
        assert len(loads) == 2 * SWAPS  # the heads of each, and never the backbone
        assert backbone_of(families[0]) not in loads
        heads_mb = 2 * (MB // 64) * 20 * 4 / MB
        assert resident_mb() - before < 4 + 3 * heads_mb < SWAPS * heads_mb / 3
        assert runtime.statistics()[0].swaps == 4 + SWAPS


def backbone_of(family: MadeFamily) -> str:
    return sha256_of(family.folder / "backbone" / "portable" / "model.onnx")


def test_requests_for_different_heads_run_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    family = defects(tmp_path / "one")
    version = load_version(BundleSource(manifest(family, 1)).read())
    assert version.plan.joins
    ran: list[tuple[str, int]] = []
    predict = EdgeModel.predict

    def noting(
        self: EdgeModel, arrays: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None
    ) -> list[np.ndarray]:
        ran.append((self.outputs[0].name, len(next(iter(arrays.values())))))
        return predict(self, arrays, outputs)

    monkeypatch.setattr(EdgeModel, "predict", noting)
    wanted: list[tuple[int, list[str] | None]] = [(1, ["kinds"]), (2, ["faults"]), (1, ["kinds"]), (2, ["faults"])]
    answers = asyncio.run(together(version, wanted))
    assert ran == [("features", 6), ("faults", 4), ("kinds", 2)]
    for at, (count, names) in enumerate(wanted):
        right = family.right(rows(count, at), names or ())
        assert set(answers[at]) == set(right)
        for name in right:
            np.testing.assert_allclose(answers[at][name], right[name], atol=1e-4)
            assert answers[at][name].flags.owndata  # a part of the batch would keep all of it


async def together(
    version: LoadedVersion, wanted: Sequence[tuple[int, list[str] | None]]
) -> list[dict[str, np.ndarray]]:
    """Run requests in one batch, request `at` with rows of seed `at`."""
    requests = [
        PendingRequest(version, {"x": rows(count, at)}, names, 60.0) for at, (count, names) in enumerate(wanted)
    ]
    ran = Batch(version, tuple(requests), 0.0).run()
    assert len(ran.calls) == 1
    return [answer for answer in ran.answers if isinstance(answer, dict)]


def test_a_head_with_fixed_rows_runs_alone(tmp_path: Path) -> None:
    family = MadeFamily(tmp_path / "one", {"faults": head("faults", 1), "kinds": head("kinds", 2, rows=1)})
    one_by_one = Golden("golden.npz", 8, 1, {"faults": 1e-3, "kinds": 1e-3})
    version = load_version(BundleSource(manifest(family, 1, golden=one_by_one)).read())
    assert not version.description.batched and version.plan.most_rows == 1
