"""Variants of the tiny recipe and its device, keys of further recipes, and the flows without Prefect's engine."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow, Task

import flows.compress
import flows.reconcile

TINY = Path(__file__).parent
Variant = Callable[..., str]

QAT: dict[str, Any] = {
    "kind": "qat",
    "fine_tune": {
        "epochs": 1,
        "batch_size": 32,
        "learning_rate": 1e-3,
        "weight_decay": 0,
        "temperature": 2,
        "distillation_weight": 0.5,
        "seed": 0,
    },
}


def write_variant(
    folder: Path, name: str, recipe: Mapping[str, Any] | None = None, device: Mapping[str, Any] | None = None
) -> str:
    """Write a recipe for one device, both of this name, with some keys changed; returns its path."""
    profile = _read("devices") | {"name": name} | dict(device or {})
    content = _read("recipes") | {"name": name, "devices": [name]} | dict(recipe or {})
    _write(folder / "devices" / f"{name}.yaml", profile)
    return str(_write(folder / "recipes" / f"{name}.yaml", content))


def distil(**changes: Any) -> dict[str, Any]:
    """Return a recipe's `distil`, for convolutional students of 8 to 64 channels, with some keys changed."""
    fine_tune = QAT["fine_tune"] | {"epochs": 8, "learning_rate": 1e-2}
    return {"family": "depthwise_cnn", "widths": [8, 16, 32, 64], "depths": [1], "fine_tune": fine_tune} | changes


def take_off_decorators(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the decorators off everything that the flows call."""
    for module in (flows.compress, flows.reconcile):
        for name, value in list(vars(module).items()):
            if isinstance(value, Flow | Task):
                monkeypatch.setattr(module, name, value.fn)


def _read(kind: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((TINY / kind / "tiny.yaml").read_text())
    return content


def _write(path: Path, content: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(content)))
    return path
