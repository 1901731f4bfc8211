"""`edgewright plan` over 1,000 pairs of a model and a device: all of them new, and all of them answered."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from deployments.recipe import read_recipe
from flows.plan import make_plan
from flows.plan.read_workloads import ReadWorkloads
from tasks.registry import RegistryView
from tasks.registry.answered import Answered, AnsweredDevice
from tasks.workspace import Workspace
from tests.benchmarks.record import Figure
from tests.benchmarks.triggers.commands import taken
from tests.end_to_end.tiny.variants import write_variant
from tests.tasks.registry.versions import add_version

MODELS, DEVICES = 100, 10


def figures(root: Path) -> list[Figure]:
    """Return the times of both plans, and how many calls of MLflow a plan makes."""
    workspace = Workspace.at(root / "home")
    (workspace.home / "mlflow").mkdir(parents=True)
    recipes = _recipes(root, [f"device-{number}" for number in range(DEVICES)])
    for model in recipes:
        add_version(workspace.tracking_uri, model)
    named = [word for path in recipes.values() for word in ("--recipe", path)]
    new, said = taken(workspace.home, "plan", *named, tracking_uri=workspace.tracking_uri)
    _expect(f"{MODELS:,} runs on {MODELS * DEVICES:,} devices", said)
    _answer(recipes, workspace)
    with _calls() as calls:
        make_plan([Path(path) for path in recipes.values()], workspace)
    nothing, said = taken(workspace.home, "plan", *named, tracking_uri=workspace.tracking_uri)
    _expect("Nothing to do", said)
    return [
        Figure("edgewright plan over 1,000 pairs of model and device, all new", new, 10, "s", "at_most"),
        Figure("the same, all answered: nothing to do", nothing, 5, "s", "at_most"),
        Figure("calls to MLflow of that plan, for 1,000 pairs on one page each", float(calls.total()), 10, "",
               "at_most"),
    ]  # fmt: skip


def _recipes(root: Path, devices: list[str]) -> dict[str, str]:
    """Write the recipes, each for all devices; return their paths by model."""
    for device in devices:
        write_variant(root, device)
    models = [f"model-{number}" for number in range(MODELS)]
    return {model: write_variant(root, model, {"model": model, "devices": devices}) for model in models}


def _answer(recipes: dict[str, str], workspace: Workspace) -> None:
    """Record on each version that its devices refused it, under the keys that answers have now."""
    view = RegistryView.read(workspace.tracking_uri)
    client, read = (
        MlflowClient(workspace.tracking_uri, registry_uri=workspace.tracking_uri),
        ReadWorkloads(view, workspace),
    )
    for model, path in recipes.items():
        recipe = read_recipe(Path(path))
        job = read.job(recipe, "1")
        devices = {
            name: AnsweredDevice("refused", keys.key, keys.question, parts=keys.parts)
            for name, keys in job.keys.items()
        }
        now = int(time.time() * 1000)
        told = Answered(model, "1", recipe.name, "a run", "refused", now, job.answer_key, 0, now, devices)
        client.set_model_version_tag(model, "1", *told.tag)


@contextmanager
def _calls() -> Iterator[Counter[str]]:
    """Count the calls of MLflow's client until the block ends."""
    calls = Counter[str]()

    def counted(name: str, method: Any) -> Any:
        @wraps(method)
        def call(*arguments: Any, **named: Any) -> Any:
            calls[name] += 1
            return method(*arguments, **named)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in vars(MlflowClient) if name.startswith(("search_", "get_"))]:
            patch.setattr(MlflowClient, name, counted(name, getattr(MlflowClient, name)))
        yield calls


def _expect(words: str, said: str) -> None:
    if words not in " ".join(said.split()):
        raise RuntimeError(f"expected the plan to say {words!r}, got {said[-500:]!r}")
