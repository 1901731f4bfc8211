"""Registered versions made by hand: quicker than logging a model, and as odd as a test needs them."""

from collections.abc import Iterable
from pathlib import Path

import yaml
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from tasks.registry.client import client_for
from tasks.registry.runs import ANSWER, STAGE, UNDECIDED, VERSION, Runs


def add_version(tracking_uri: str, model: str, source: Path | str = "/nowhere") -> str:
    """Register a folder as the next version of a model; returns the version."""
    client = client_for(tracking_uri)
    if not client.search_registered_models(f"name='{model}'"):
        client.create_registered_model(model)
    return str(client.create_model_version(model, str(source)).version)


def add_like(client: MlflowClient, model: str, like: ModelVersion) -> str:
    """Register what a version holds once more, as the next version of a model; returns the version."""
    if not client.search_registered_models(f"name='{model}'"):
        client.create_registered_model(model)
    logged = str(like.source).removeprefix("models:/")
    made = client.create_model_version(model, str(like.source), run_id=like.run_id, model_id=logged)
    return str(made.version)


def answered_versions(runs: Runs) -> set[int]:
    """Return the versions of a model that have any answer, whatever the recipe was."""
    tags = [run.data.tags for run in runs.search({STAGE: "compress"})]
    return {int(each[VERSION]) for each in tags if each.get(ANSWER, UNDECIDED) != UNDECIDED}


def model_folder(folder: Path, flavors: Iterable[str], files: dict[str, bytes]) -> Path:
    """A folder as MLflow stores a model: an MLmodel file that names flavours, and data."""
    described = {name: {"model_data": "data"} for name in flavors}
    (folder / "data").mkdir(parents=True)
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": described, "model_uuid": "0" * 32}))
    for name, content in files.items():
        (folder / "data" / name).write_bytes(content)
    return folder
