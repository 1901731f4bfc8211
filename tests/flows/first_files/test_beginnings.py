"""The way from a registered model and a folder of arrays to files that pass the checks and give a first report."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import flows.compress
from deployments.device import read_device
from deployments.errors import ConfigurationError
from deployments.recipe import read_recipe
from deployments.workload import load_workload, read_splits
from edge_runtime.cpu import this_instruction_set
from flows.first_files import FirstFiles, Wishes, begin
from flows.first_files.writing import importable
from model_compression.errors import IntakeError
from quality_gates.gates import without_floor
from tasks.registry import register_upstream
from tasks.workspace import Workspace
from tests.end_to_end.tiny.upstream import MODEL
from tests.end_to_end.tiny.workload import Tiny
from tests.flows import boxes, masks
from tests.flows import output_kinds as kinds

BYTES = 255


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the modules of other tests' folders: a command imports one, and ends."""
    for name in [name for name, module in sys.modules.items() if "init-" in str(getattr(module, "__file__", ""))]:
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("init-")


def images(place: Path, names: tuple[str, ...] = ("train", "validation", "test")) -> Path:
    """Save the tiny workload's rows as bytes with the channel last, as cameras write them."""
    for name in names:
        split = Tiny().split(name)  # type: ignore[arg-type]
        pictures = np.moveaxis(np.round(split.inputs[0] * BYTES).astype(np.uint8), 1, -1)
        site = np.where(np.arange(len(split)) % 2, "north", "south")
        np.savez(place / f"{name}.npz", images=pictures, labels=split.targets, site=site)
    return place


def wishes(place: Path, rows: Path | None, **changes: Any) -> Wishes:
    nothing = dict.fromkeys(
        ("version", "workload", "targets", "task", "instruction_set", "threads", "memory_mb", "latency_ms")
    )
    given = {"model": MODEL, "folder": place / "edge", "rows": rows, "critical": (), "device": "reader", "size_kb": 60}
    return Wishes(**(nothing | given | changes))  # type: ignore[arg-type]


def taken(_question: str, suggested: str) -> str:
    return suggested


def begun(world: Workspace, asked: Wishes) -> tuple[FirstFiles, str]:
    said: list[str] = []
    return begin(asked, world, taken, said.append), "\n".join(said)


def test_a_folder_of_arrays_becomes_files_that_pass_the_checks(world: Workspace, place: Path) -> None:
    files, said = begun(world, wishes(place, images(place)))
    assert [path.relative_to(place / "edge") for path in files.written] == [
        Path("devices/reader.yaml"), Path("tiny.py"), Path("recipes/tiny.yaml")
    ]  # fmt: skip
    assert "images with channels first, values from 0 to 1" in said and "slices site; task classification" in said
    assert files.recipe is not None and "a loss of " in files.tried and 0.5 < (files.accuracy or 0) <= 1
    with importable(place / "edge"):
        recipe = read_recipe(files.recipe)
        splits = read_splits(load_workload(recipe.workload))
    truth = Tiny().split("test")
    assert np.allclose(splits["test"].inputs[0], truth.inputs[0], atol=1 / BYTES)
    assert np.array_equal(splits["test"].targets, truth.targets)
    assert list(splits["test"].slices.columns) == ["site", "label"]
    assert len(splits["calibration"]) == len(splits["train"]) == 200
    assert recipe.devices[0].instruction_set == this_instruction_set() or recipe.accept_unproven_instruction_set
    assert len(recipe.critical_slices) == 1 and not without_floor(recipe.gates)


def test_the_files_lead_to_a_first_report(world: Workspace, place: Path) -> None:
    files, _ = begun(world, wishes(place, images(place)))
    with importable(place / "edge"):
        outcome = flows.compress.compress(MODEL, files.version, str(files.recipe), world)
    assert outcome.error is None and [line.device for line in outcome.devices] == ["reader"]
    assert outcome.devices[0].reasons or outcome.answer == "published"


def test_splits_that_are_missing_are_cut_from_the_train_rows(world: Workspace, place: Path) -> None:
    files, _ = begun(world, wishes(place, images(place, ("train",))))
    assert files.recipe is not None
    with importable(place / "edge"):
        splits = read_splits(load_workload(read_recipe(files.recipe).workload))
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 120, "calibration": 120, "validation": 40, "test": 40
    }  # fmt: skip


def test_rows_that_two_splits_share_are_left_out_and_told(world: Workspace, place: Path) -> None:
    rows = images(place)
    test, train = (dict(np.load(rows / f"{name}.npz")) for name in ("test", "train"))
    both = {name: np.concatenate([train[name], test[name][:7]]) for name in train}
    np.savez(rows / "train.npz", **both)  # type: ignore[arg-type]
    files, said = begun(world, wishes(place, rows))
    assert "leaves such rows out" in said and files.recipe is not None
    with importable(place / "edge"):
        splits = read_splits(load_workload(read_recipe(files.recipe).workload))
    assert len(splits["train"]) == 200


def test_words_as_right_answers_become_numbers_with_labels(world: Workspace, place: Path) -> None:
    rows = images(place)
    words = np.array([f"digit {number}" for number in range(10)])
    for path in rows.glob("*.npz"):
        arrays = dict(np.load(path))
        np.savez(path, **(arrays | {"labels": words[arrays["labels"]]}))
    files, _ = begun(world, wishes(place, rows, critical=("label=digit 8",)))
    assert files.recipe is not None
    with importable(place / "edge"):
        recipe = read_recipe(files.recipe)
        workload = load_workload(recipe.workload)
    assert workload.labels == tuple(words)
    assert [str(each) for each in recipe.critical_slices] == ["label = digit 8"]


@pytest.mark.parametrize(
    ("workload", "columns", "task"),
    [(kinds.Binary, 1, "binary"), (kinds.Labels, 3, "multi_label"), (kinds.Values, 1, "regression")],
)
def test_the_task_follows_from_answers_and_targets(
    world: Workspace, place: Path, workload: Any, columns: int, task: str
) -> None:
    name = f"begun-{task.replace('_', '-')}"
    kinds.register(world, name, kinds.trained(workload(), columns))
    for split in ("train", "validation", "test"):
        rows = workload().split(split)
        np.save(place / f"{split}_x.npy", rows.inputs[0])
        np.save(place / f"{split}_y.npy", rows.targets)
    files, said = begun(world, wishes(place, place, model=name, version="1"))
    assert f"task {task}." in said and files.recipe is not None
    metrics = {getattr(gate, "metric", None) for gate in read_recipe(files.recipe).gates}
    assert metrics == {"mae" if task == "regression" else "accuracy"}


@pytest.mark.parametrize("kind", ["masks", "one logit", "boxes"])
def test_masks_and_boxes_are_known_by_their_arrays(world: Workspace, place: Path, kind: str) -> None:
    name, named = f"begun-{kind.replace(' ', '-')}", "boxes" if kind == "boxes" else "masks"
    workload = boxes.Spots() if kind == "boxes" else masks.Squares()
    if kind == "boxes":
        boxes.register(world, name, boxes.trained(30))
    else:
        masks.register(world, name, masks.trained(1 if kind == "one logit" else 2, 20))
    for split in ("train", "validation", "test"):
        rows = workload.split(split)
        np.save(place / f"{split}_images.npy", rows.inputs[0])
        np.save(place / f"{split}_{named}.npy", rows.targets)
    files, said = begun(world, wishes(place, place, model=name, version="1"))
    assert f"task {'detection' if kind == 'boxes' else 'segmentation'}." in said and "a mean score of " in said
    assert files.recipe is not None and "a loss of " in files.tried
    with importable(place / "edge"):
        recipe = read_recipe(files.recipe)
        made = load_workload(recipe.workload)
    assert (made.ignore_index, made.pixels_per_cell) == (workload.ignore_index, workload.pixels_per_cell)
    assert {getattr(gate, "metric", None) for gate in recipe.gates} == {"mean_score"}
    assert not without_floor(recipe.gates) and "loss" not in made.written


def test_a_workload_that_is_there_gets_a_recipe_alone(world: Workspace, place: Path) -> None:
    asked = wishes(place, None, workload="tests.end_to_end.tiny.workload:Tiny", critical=("label=8",))
    files, _ = begun(world, asked)
    assert {path.suffix for path in files.written} == {".yaml"} and files.recipe is not None
    assert read_recipe(files.recipe).workload == "tests.end_to_end.tiny.workload:Tiny"


def test_without_rows_there_is_a_skeleton_that_says_what_the_model_takes(world: Workspace, place: Path) -> None:
    files, _ = begun(world, wishes(place, None))
    (path,) = files.written
    assert files.recipe is None and "float32 (rows, 1, 8, 8)" in path.read_text()
    compile(path.read_text(), str(path), "exec")


def test_of_several_outputs_the_one_that_is_named_is_written_down(world: Workspace, place: Path) -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = kinds.trained(kinds.Binary(), 1)

        def forward(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return rows.sum(1), self.network(rows)

    kinds.register(world, "both", Both().eval())
    with pytest.raises(IntakeError, match=r"got 2: output_0, output_1; .*--output NAME"):
        begun(world, wishes(place, None, model="both", version="1"))
    files, _ = begun(world, wishes(place, None, model="both", version="1", output="output_1"))
    assert '    output = "output_1"\n' in files.written[0].read_text()


def test_a_shipped_profile_is_named_and_not_written(world: Workspace, place: Path) -> None:
    files, _ = begun(world, wishes(place, images(place), device="camera"))
    assert files.recipe is not None and not (place / "edge" / "devices").exists()
    assert read_recipe(files.recipe).devices == (read_device("camera"),)


@pytest.mark.parametrize("name", ["tiny.py", "recipes/tiny.yaml"])
def test_nothing_is_written_over(world: Workspace, place: Path, name: str) -> None:
    path = place / "edge" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(ConfigurationError, match="none is ever written over"):
        begun(world, wishes(place, images(place)))
    assert path.read_text() == "mine" and sum(each.is_file() for each in (place / "edge").rglob("*")) == 1


def test_arrays_that_do_not_fit_are_one_sentence_and_nothing_is_written(world: Workspace, place: Path) -> None:
    np.savez(place / "train.npz", images=np.zeros((20, 9, 9), np.float32), labels=np.arange(20) % 10)
    with pytest.raises(ConfigurationError, match=r"expected an array for the input .* got no such array in images"):
        begun(world, wishes(place, place))
    assert not (place / "edge").exists()


def test_rows_that_were_prepared_in_another_way_are_told(world: Workspace, place: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    name = "begun-guessing"
    register_upstream(world.tracking_uri, name, model.eval(), np.zeros((2, 1, 8, 8), np.float32), {})
    _, said = begun(world, wishes(place, images(place), model=name))
    assert "hardly more than a guess" in said
