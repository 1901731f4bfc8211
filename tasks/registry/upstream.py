"""Upstream models: registering one is all that its team does."""

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from tasks.errors import RegistryError, SystemFailure, one_line
from tasks.registry.answered import Answered, answered_by
from tasks.registry.artifacts import check_inside, file_inside
from tasks.registry.client import MISSING, all_pages, client_for, experiment_id, unavailable

READY = "READY"
ADDRESS = "MLFLOW_TRACKING_URI"


@dataclass(frozen=True)
class RegisteredModel:
    """A version of a registered model, on local disk: a program, a pickled module, an ONNX file, or none of them."""

    model: str
    version: str
    program: Path | None
    pickled: Path | None
    graph: Path | None = None


class Upstream:
    """Registered upstream versions: read, downloaded and tagged."""

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri
        self.client = client_for(tracking_uri)

    def versions(self, model: str) -> list[str]:
        """Return all versions of a model, oldest first.

        Raises RegistryError when the model does not exist, RegistryUnavailable when that is not known.
        """
        return [str(version.version) for version in self._versions(model)]

    def check(self, model: str, version: str) -> None:
        """Raise RegistryError unless this version exists and is ready."""
        found = {str(known.version): known.status for known in self._versions(model)}
        if version not in found:
            known = f"versions {', '.join(found)}" if found else "no version of it"
            raise RegistryError(
                f"model `{model}` version {version}: expected a registered version, got {known} in the registry; "
                "correct the version or register it"
            )
        if found[version] != READY:
            raise RegistryError(
                f"model `{model}` version {version}: expected status {READY}, got {found[version]}; "
                "wait for its registration to end, or register it again"
            )

    def identity(self, model: str, version: str) -> str:
        """Return the text that distinguishes this version from one of the same number in another or a new registry."""
        try:
            found = self.client.get_model_version(model, version)
        except MlflowException as error:
            raise unavailable(self.tracking_uri, error) from error
        return identity_of(found)

    def tags(self, model: str, version: str) -> dict[str, str]:
        """Return the tags of a version's page."""
        try:
            return dict(self.client.get_model_version(model, version).tags)
        except MlflowException as error:
            raise unavailable(self.tracking_uri, error) from error

    def answered(self, model: str, version: str, recipe: str) -> Answered | None:
        """Return what a version was answered with under a recipe; None where it has no such record."""
        found = self.client.get_model_version(model, version)
        return answered_by(model, version, found.tags).get(recipe)

    def fetch(self, model: str, version: str) -> RegisteredModel:
        """Download a version; nothing of it is executed.

        Raises RegistryError for other flavours, SystemFailure where the artifact store does not give its files.
        """
        self.check(model, version)
        what = f"model `{model}` version {version}"
        folder = self._downloaded(what, model, version)
        check_inside(what, folder)
        flavors = _flavors(what, folder)
        if "pytorch" not in flavors and "onnx" not in flavors:
            raise RegistryError(
                f"{what}: expected MLflow's pytorch or onnx flavour, got "
                f"{', '.join(sorted(flavors))}; log it with mlflow.pytorch.log_model or mlflow.onnx.log_model"
            )
        if "pytorch" not in flavors:
            graph = file_inside(what, folder, flavors["onnx"].get("data", "model.onnx"))
            return RegisteredModel(model, version, None, None, graph if graph.is_file() else None)
        data = file_inside(what, folder, flavors["pytorch"].get("model_data", "data"))
        program, pickled = data / "model.pt2", data / "model.pth"
        return RegisteredModel(
            model, version, program if program.is_file() else None, pickled if pickled.is_file() else None
        )

    def tag(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Tag the upstream version's page."""
        for key, value in tags.items():
            self.client.set_model_version_tag(model, version, key, value)

    def tell(self, told: Answered, tags: Mapping[str, str] | None = None) -> None:
        """Tell the version's page its answer under a recipe, after other tags of it."""
        self.tag(told.model, told.version, {**(tags or {}), **dict([told.tag])})

    def _downloaded(self, what: str, model: str, version: str) -> Path:
        try:
            uri = self.client.get_model_version_download_uri(model, version)
            return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, tracking_uri=self.tracking_uri))
        except Exception as error:  # each kind of store has errors of its own
            raise SystemFailure(
                f"{what}: expected its files in the registry at {self.tracking_uri}, got "
                f"{one_line(error)}; restore the artifact store, or register the model again"
            ) from error

    def _versions(self, model: str) -> list[ModelVersion]:
        try:
            self.client.get_registered_model(model)
            found = all_pages(
                lambda token: self.client.search_model_versions(f"name='{model}'", max_results=1000, page_token=token)
            )
        except MlflowException as error:
            if error.error_code != MISSING:
                raise unavailable(self.tracking_uri, error) from error
            raise RegistryError(
                f"model `{model}`: expected it in the registry at {self.tracking_uri}, got no model of that name; "
                "register it in MLflow or correct the recipe's `model`"
            ) from error
        return sorted(found, key=lambda version: int(version.version))


def identity_of(version: ModelVersion) -> str:
    """Return the text that distinguishes a version from another one that ever had its number."""
    return f"{version.name} {version.version} {version.source} {version.run_id} {version.creation_timestamp}"


def _flavors(what: str, folder: Path) -> dict[str, dict[str, Any]]:
    try:
        return {name: dict(settings) for name, settings in Model.load(str(folder)).flavors.items()}
    except Exception as error:  # a damaged file raises any of a dozen types
        raise RegistryError(
            f"{what}: expected a file MLmodel that MLflow reads, got {one_line(error)}; register the model again"
        ) from error


def register_upstream(
    tracking_uri: str,
    name: str,
    model: Any,
    example: np.ndarray | tuple[np.ndarray, ...],
    params: Mapping[str, Any],
    tags: Mapping[str, str] | None = None,
) -> str:
    """Log and register a torch module as an upstream team does, in MLflow's default form; returns the version.

    `example` is an array, or a tuple with one for each input. It has at least 2 rows, because MLflow's exporter treats
    a batch of one as a constant. The version has its `tags` from the moment that it is there.
    """
    rows = example if isinstance(example, tuple) else (example,)
    several = len(rows) > 1
    client = client_for(tracking_uri)
    experiment = experiment_id(client, f"{name}-upstream")
    before, variable = mlflow.get_tracking_uri(), os.environ.get(ADDRESS)
    mlflow.set_tracking_uri(tracking_uri)  # which sets the variable too
    try:
        with mlflow.start_run(experiment_id=experiment):
            mlflow.log_params(dict(params))
            info = mlflow.pytorch.log_model(
                model,
                name="model",
                input_example=list(rows) if several else rows[0],
                signature=_signature(model, rows),
                pip_requirements=["torch==2.13.0"],
            )
        version = mlflow.register_model(info.model_uri, name, tags=dict(tags or {}))
    finally:
        mlflow.set_tracking_uri(before)
        os.environ.pop(ADDRESS, None)
        if variable is not None:
            os.environ[ADDRESS] = variable
    return str(version.version)


def _signature(model: Any, rows: Sequence[np.ndarray]) -> ModelSignature:
    """Return a signature of the inputs, which have names where there are several.

    MLflow infers one only for a model with one input that returns one tensor.
    """
    if len(rows) == 1:
        return ModelSignature(inputs=Schema([TensorSpec(rows[0].dtype, (-1, *rows[0].shape[1:]))]))
    names = inspect.signature(model.forward).parameters
    specs: list[Any] = [
        TensorSpec(array.dtype, (-1, *array.shape[1:]), name) for name, array in zip(names, rows, strict=False)
    ]
    return ModelSignature(inputs=Schema(specs))
