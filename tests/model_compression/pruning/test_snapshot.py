"""Snapshots on disk: loaded as they were saved; damaged or foreign ones are refused."""

import copy
import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from model_compression.errors import SnapshotError
from model_compression.intake import rebuild
from model_compression.pruning import History, load_weights, replay
from model_compression.pruning.snapshot import HISTORY, WEIGHTS, load_snapshot, read_history, save_snapshot
from tests.model_compression.architectures import ARCHITECTURES, exported
from tests.model_compression.toys import prune

EXAMPLE = (ARCHITECTURES["cnn"].rows,)


def build() -> nn.Module:
    return rebuild(exported("cnn")[1])


@functools.cache
def _pruned() -> tuple[nn.Module, History]:
    model = build()
    history = prune(model, *EXAMPLE)
    return model, history + prune(model, *EXAMPLE)


@pytest.fixture
def pruned() -> tuple[nn.Module, History]:
    return copy.deepcopy(_pruned())


@pytest.fixture
def folder(tmp_path: Path, pruned: tuple[nn.Module, History]) -> Path:
    save_snapshot(tmp_path / "deep" / "snapshot", *pruned)
    return tmp_path / "deep" / "snapshot"


def test_a_loaded_snapshot_answers_bit_by_bit_as_the_saved_model(
    folder: Path, pruned: tuple[nn.Module, History]
) -> None:
    model, history = pruned
    loaded = load_snapshot(folder, build, EXAMPLE)
    assert not loaded.training
    assert torch.equal(loaded(*EXAMPLE), model.eval()(*EXAMPLE))
    assert read_history(folder) == history


OTHER_PROCESS = """
import sys, torch
from pathlib import Path
from model_compression.intake import rebuild
from model_compression.pruning.snapshot import load_snapshot
program, folder, rows, outputs = map(Path, sys.argv[1:])
rows = torch.load(rows)
model = load_snapshot(folder, lambda: rebuild(torch.export.load(program)), (rows,))
torch.save(model(rows).detach(), outputs)
"""


def test_it_is_loaded_alike_by_another_process(folder: Path, tmp_path: Path, pruned: tuple[nn.Module, History]) -> None:
    program, rows, outputs = (tmp_path / name for name in ("program.pt2", "rows.pt", "outputs.pt"))
    torch.export.save(exported("cnn")[1], program)
    torch.save(EXAMPLE[0], rows)
    subprocess.run([sys.executable, "-c", OTHER_PROCESS, program, folder, rows, outputs], check=True, timeout=120)
    torch.testing.assert_close(torch.load(outputs), pruned[0].eval()(*EXAMPLE).detach())


def test_the_parent_itself_is_a_snapshot_without_history(tmp_path: Path) -> None:
    save_snapshot(tmp_path, build(), [])
    assert torch.equal(load_snapshot(tmp_path, build, EXAMPLE)(*EXAMPLE), build()(*EXAMPLE))


def test_nothing_is_pickled_and_nothing_else_is_left(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [HISTORY, WEIGHTS]
    header = int.from_bytes((folder / WEIGHTS).read_bytes()[:8], "little")
    assert json.loads((folder / WEIGHTS).read_bytes()[8 : 8 + header])["head.bias"]["dtype"] == "F32"
    json.loads((folder / HISTORY).read_text())


def test_a_snapshot_is_replaced_by_the_next_one(folder: Path, pruned: tuple[nn.Module, History]) -> None:
    model, history = pruned
    history = history + prune(model, *EXAMPLE)
    save_snapshot(folder, model, history)
    assert torch.equal(load_snapshot(folder, build, EXAMPLE)(*EXAMPLE), model.eval()(*EXAMPLE))


def edit_history(change: Callable[[History], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        history = read_history(folder)
        replacement = change(history)
        (folder / HISTORY).write_text(json.dumps(history if replacement is None else replacement))

    return edit


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no history": lambda folder: (folder / HISTORY).unlink(),
    "no weights": lambda folder: (folder / WEIGHTS).unlink(),
    "history cut off": lambda folder: (folder / HISTORY).write_text((folder / HISTORY).read_text()[:-9]),
    "history of another form": edit_history(lambda _: [["features.0", True, [1]]]),
    "channels that are no numbers": edit_history(lambda _: [{"features.4": ["1"]}]),
    "an unknown layer": edit_history(lambda history: history[0].update({"stem.9": [1]})),
    "channels that it does not have": edit_history(lambda history: history[0].update({"features.4": [99]})),
    "a round less": edit_history(lambda history: history[:-1]),
    "weights cut off": lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100]),
    "weights that are none": lambda folder: (folder / WEIGHTS).write_bytes(b"\x80\x04K\x01."),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_a_snapshot_error_that_names_folder_and_remedy(folder: Path, kind: str) -> None:
    DAMAGE[kind](folder)
    with pytest.raises(SnapshotError, match="delete the folder") as caught:
        load_snapshot(folder, build, EXAMPLE)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("kind", ["no history", "history cut off", "history of another form"])
def test_a_damaged_history_is_refused_when_read_alone(folder: Path, kind: str) -> None:
    DAMAGE[kind](folder)
    with pytest.raises(SnapshotError):
        read_history(folder)


def test_its_weights_go_into_another_parent_of_its_structure(folder: Path, pruned: tuple[nn.Module, History]) -> None:
    model, history = pruned
    other = build()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    smaller = load_weights(replay(other, EXAMPLE, history), folder / WEIGHTS)
    assert torch.equal(smaller.eval()(*EXAMPLE), model.eval()(*EXAMPLE))


@pytest.mark.parametrize("kind", ["no weights", "weights cut off", "weights that are none"])
def test_damaged_weights_are_refused_when_loaded_alone(
    folder: Path, pruned: tuple[nn.Module, History], kind: str
) -> None:
    DAMAGE[kind](folder)
    with pytest.raises(SnapshotError, match="expected the weights of this structure"):
        load_weights(copy.deepcopy(pruned[0]), folder / WEIGHTS)


def test_another_parent_is_refused(folder: Path) -> None:
    def other() -> nn.Module:
        return rebuild(exported("resnet")[1])

    with pytest.raises(SnapshotError, match="snapshot of this parent"):
        load_snapshot(folder, other, (ARCHITECTURES["resnet"].rows,))


def test_an_error_of_the_parent_itself_is_not_blamed_on_the_snapshot(folder: Path) -> None:
    def broken() -> nn.Module:
        raise RuntimeError("no program")

    with pytest.raises(RuntimeError, match="no program"):
        load_snapshot(folder, broken, EXAMPLE)
