"""Families on a device: a declaration that does not fit is refused, and an update of a head leaves the backbone."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from edge_runtime.backbone import BackboneModel
from edge_runtime.bundle import TensorSpec
from edge_runtime.errors import BundleRefused
from edge_runtime.families import family_of
from edge_runtime.install import InstallSettings, Limits, Tuning, choices, how_it_runs, running
from edge_runtime.model_files import weights_of
from tests.edge_runtime.install.carried import MODEL, Carried, rows
from tests.edge_runtime.install.conftest import QUICK, Site
from tests.edge_runtime.made_families import CLASSES, ONE_THREAD, GraphFile, backbone, defects, head

TUNED = InstallSettings(limits=Limits(time_s=60), tuning=Tuning())


def carried(site: Site, version: int, *, kinds: int = 12) -> Carried:
    return defects(site.folder / f"made-{version}", kinds=kinds).carry(site.folder / "carried", version)


def answers_rightly(site: Site, kinds: int) -> None:
    model = running(site.store, MODEL).load()
    family = defects(site.folder, kinds=kinds)
    for answer, right in zip(model.predict({"x": rows(3, 7)}), family.right(rows(3, 7)).values(), strict=True):
        np.testing.assert_allclose(answer, right, atol=1e-3)


def test_a_family_is_installed_and_runs(site: Site) -> None:
    assert site.install(carried(site, 1)).changed
    found = running(site.store, MODEL)
    assert [each.name for each in found.heads] == ["faults", "kinds"]
    assert isinstance(found.load(), BackboneModel)
    answers_rightly(site, 12)


def lying(site: Site, graph: GraphFile) -> Carried:
    """Write a bundle whose head `kinds` is replaced by another graph, as no family_of would make it."""
    other = graph.write(site.folder / "other")
    honest = defects(site.folder / "honest")
    written = family_of(*honest.paths(), ONE_THREAD)
    files = dict(written.files) | {"head.kinds.onnx": other}
    files |= {each.name: each for each in weights_of(other)}
    return honest.carry_files(site.folder / "carried", 2, written, files)


MISFITS = {
    "what nobody gives": (head("kinds", 2, reads="other"), "reads other, which the backbone does not give"),
    "another dtype": (head("kinds", 2, dtype=TensorProto.DOUBLE), "reads features in float64"),
    "another shape": (head("kinds", 2, width=20), "reads features in the shape"),
    "nesting": (head("kinds", 2, reads="faults", width=CLASSES), "which the head faults gives: heads are not nested"),
    "another output": (head("sorts", 2), r"gives the outputs \['sorts'\]"),
    "another answer": (head("kinds", 2), "the output kinds of the head kinds misses the expected answer"),
    "wider answers": (head("kinds", 2, wide=17), r"kinds has float32 in the shape \(8, 17\), and its manifest says"),
}


@pytest.mark.parametrize(("graph", "sentence"), MISFITS.values(), ids=MISFITS)
def test_a_head_that_does_not_fit_is_refused(site: Site, graph: GraphFile, sentence: str) -> None:
    with pytest.raises(BundleRefused, match=sentence):
        site.install(lying(site, graph))


def test_what_ran_before_a_refused_family_goes_on(site: Site) -> None:
    before = site.install(site.carry(1)).bundle.digest
    wrong = lying(site, head("kinds", 2, reads="other"))
    for said in ("reads other", "is not tried again: .* reads other"):
        with pytest.raises(BundleRefused, match=said):
            site.install(wrong)
    assert running(site.store, MODEL).bundle.digest == before


def test_a_backbone_that_reads_a_head_is_refused(site: Site) -> None:
    circle = defects(site.folder / "made", backbone=backbone())
    turned = replace(circle, backbone=replace(circle.backbone, reads="kinds"))
    with pytest.raises(BundleRefused, match=r"takes exactly the inputs \['kinds'\]"):
        site.install(turned.carry(site.folder / "carried", 1, inputs=(TensorSpec("x", "float32", (None, 64)),)))


def test_an_update_of_a_head_keeps_the_tuned_backbone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "NEAR", 1e9)  # the tuned graph, however fast it is
    site.install(carried(site, 1), TUNED)
    first = running(site.store, MODEL)
    assert how_it_runs(site.store, first.bundle).kind == "tuned"
    inode = first.graph.stat().st_ino
    monkeypatch.setattr(choices, "NEAR", 0.0)  # by its times it would not be chosen again
    site.install(carried(site, 2, kinds=99), TUNED)
    second = running(site.store, MODEL)
    assert second.bundle.digest != first.bundle.digest and second.session == first.session
    assert second.graph.stat().st_ino == inode  # its pages are those that running processes have mapped
    assert second.heads[1].path.read_bytes() != first.heads[1].path.read_bytes()
    answers_rightly(site, 99)


def test_a_choice_that_the_device_allows_no_more_is_not_taken_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choices, "NEAR", 1e9)
    site.install(carried(site, 1), TUNED)
    assert how_it_runs(site.store, running(site.store, MODEL).bundle).kind == "tuned"
    site.install(carried(site, 2, kinds=99), QUICK)
    found = running(site.store, MODEL)
    assert found.graph == found.bundle.entry_path
    answers_rightly(site, 99)


def test_a_damaged_tuned_head_is_not_run(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "NEAR", 1e9)
    site.install(carried(site, 1), TUNED)
    graph = running(site.store, MODEL).heads[0].path
    assert site.store.root / "tuned" in graph.parents
    graph.chmod(0o644)
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    found = running(site.store, MODEL)
    assert found.graph == found.bundle.entry_path and found.heads == found.bundle.heads
    answers_rightly(site, 12)


def test_a_new_backbone_is_chosen_anew(site: Site) -> None:
    site.install(carried(site, 1), TUNED)
    other = defects(site.folder / "other", backbone=backbone(seed=5)).carry(site.folder / "carried", 2)
    site.install(other, TUNED)
    record = json.loads((Path(site.store.tuned_folder(other.digest)) / "tuned.json").read_text())
    assert {each["graph"] for each in record["tried"]} == {"portable", "tuned"}
