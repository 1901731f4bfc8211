"""Snapshots: a pruned model on disk as a history and its remaining weights, never as a pickle."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from edge_runtime.files import write_atomic
from model_compression.errors import PruningError, SnapshotError, cause_of
from model_compression.pruning.rounds import History, replay

HISTORY = "history.json"
WEIGHTS = "weights.safetensors"


def save_snapshot(folder: Path, model: nn.Module, history: History) -> None:
    """Write the weights and the pruning history into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    write_atomic(folder / WEIGHTS, save(weights))
    write_atomic(folder / HISTORY, json.dumps(history).encode())


def read_history(folder: Path) -> History:
    """Read the history of a snapshot. Raises SnapshotError where the file is missing or damaged."""
    try:
        history: History = json.loads((folder / HISTORY).read_text())
    except (OSError, ValueError) as error:
        raise _unusable(folder, error) from error
    if not _is_history(history):
        raise _unusable(folder, ValueError(f"{HISTORY} holds no list of rounds"))
    return history


def load_snapshot(folder: Path, build: Callable[[], nn.Module], example: tuple[Tensor, ...]) -> nn.Module:
    """Rebuild a snapshot: remove its history from a fresh parent of `build`, then load its weights strictly.

    Raises SnapshotError when the files are damaged or do not belong to this parent.
    """
    history, model = read_history(folder), build()
    try:
        replay(model, example, history)
        model.load_state_dict(load_file(folder / WEIGHTS), strict=True)
    except (OSError, ValueError, RuntimeError, AttributeError, PruningError, SafetensorError) as error:
        raise _unusable(folder, error) from error
    return model.eval()


def load_weights(model: nn.Module, file: Path) -> nn.Module:
    """Load the weights of a snapshot into a module of the same structure, in place; returns the module.

    Raises SnapshotError when the file is damaged or of another structure; the module is then unusable.
    """
    try:
        model.load_state_dict(load_file(file), strict=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise SnapshotError(f"{file}: expected the weights of this structure, got {cause_of(error)}") from error
    return model


def _unusable(folder: Path, error: Exception) -> SnapshotError:
    return SnapshotError(
        f"{folder}: expected a snapshot of this parent, got {cause_of(error)}; "
        "delete the folder and run again, it will be computed anew"
    )


def _is_history(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(removed, dict) and _is_round(removed) for removed in value)


def _is_round(removed: dict[str, Any]) -> bool:
    by_layer = [*removed.get("heads", {}).values(), *removed.get("channels", {}).values()]
    names = removed.get("layers", [])
    return (
        set(removed) <= {"vocabulary", "layers", "heads", "channels"}
        and isinstance(names, list)
        and all(isinstance(name, str) for name in names)
        and all(_is_indices(indices) for indices in by_layer)
    )


def _is_indices(value: Any) -> bool:
    return isinstance(value, list) and all(type(index) is int for index in value)
