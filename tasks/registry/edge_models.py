"""Edge models: a registered model per upstream model and device, whose aliases name the version that is deployed."""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import mlflow
import onnx
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from edge_runtime.errors import SessionError
from edge_runtime.model_files import MODEL, check_model, model_digest, model_files
from edge_runtime.session import RUNTIME
from tasks.errors import RegistryError, SystemFailure, one_line
from tasks.registry.client import MISSING, all_pages, client_for, unavailable
from tasks.registry.runs import Runs

DEPLOYED = "deployed"
PREVIOUS = "previous"
FILE_DIGEST = "edgewright.file_sha256"
ONNXRUNTIME = "edgewright.onnxruntime"
SOURCE_MODEL = "edgewright.source_model"
APPROVED_UNTIL = "edgewright.approved_until"


@dataclass(frozen=True)
class Lineage:
    """The origin of an edge model: the upstream version, the recipe, and the key of the run that made it."""

    source_version: str
    source_model: str
    recipe: str
    recipe_digest: str
    run_key: str

    @property
    def tags(self) -> dict[str, str]:
        """The lineage as tags of a registered version."""
        return {f"edgewright.{name}": value for name, value in asdict(self).items()}

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> "Lineage":
        """Read the tags of a registered version. Raises KeyError for a tag that is missing."""
        return cls(**{field.name: tags[f"edgewright.{field.name}"] for field in fields(cls)})


@dataclass(frozen=True)
class EdgeVersion:
    """A version of an edge model.

    `file_sha256` is the digest of the model, `onnxruntime` the version that measured it, None for one that an older
    release registered. `approved_until` is the last day of its approval, where it was published against its gates.
    """

    name: str
    version: str
    lineage: Lineage
    file_sha256: str
    approved_until: str | None = None
    onnxruntime: str | None = None

    @property
    def source_version(self) -> str:
        """The upstream version that it was made from."""
        return self.lineage.source_version

    @property
    def run_key(self) -> str:
        """The key of the run that made it."""
        return self.lineage.run_key


class EdgeModels:
    """The edge models of one upstream model."""

    def __init__(self, tracking_uri: str, model: str) -> None:
        self.tracking_uri = tracking_uri
        self.client = client_for(tracking_uri)
        self.model = model

    def deployed(self, device: str) -> EdgeVersion | None:
        """Return the version that is deployed on a device class, or None before the first deployment."""
        return self._by_alias(device, DEPLOYED)

    def previous(self, device: str) -> EdgeVersion | None:
        """Return the version that was deployed there before."""
        return self._by_alias(device, PREVIOUS)

    def version(self, device: str, number: str) -> EdgeVersion:
        """Return a registered candidate; raises RegistryError where it is not there."""
        name = edge_name(self.model, device)
        try:
            return _edge_version(self.client.get_model_version(name, number))
        except MlflowException as error:
            if error.error_code != MISSING:
                raise unavailable(self.tracking_uri, error) from error
            raise RegistryError(
                f"{name} version {number}: expected the candidate that was judged, got no such version; it was deleted "
                "from the registry: compress the version again"
            ) from error

    def describe(self, edge: EdgeVersion, description: str, tags: Mapping[str, str]) -> EdgeVersion:
        """Change the description and the tags of a version's page."""
        return self._describe(self.client.get_model_version(edge.name, edge.version), description, tags)

    def fetch(self, edge: EdgeVersion) -> Path:
        """Download an edge model and return the path of its graph; its weights lie beside it.

        Raises RegistryError when it is not the model that was registered.
        """
        what = f"{edge.name} version {edge.version}"
        try:
            uri = self.client.get_model_version_download_uri(edge.name, edge.version)
            folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, tracking_uri=self.tracking_uri))
            path = (folder / MODEL).resolve(strict=True)
        except (MlflowException, OSError) as error:
            raise RegistryError(
                f"{what}: expected its file in the registry, got {one_line(error)}; restore the artifact store, or "
                "move the alias `deployed` to a version that still has its file"
            ) from error
        try:
            check_model(path, edge.file_sha256)
        except SessionError as error:
            raise RegistryError(
                f"{what}: {error} So it was changed after publication: restore it, or move the alias `deployed` to an "
                "intact version"
            ) from error
        return path

    def register(
        self,
        device: str,
        run: str,
        file: Path,
        description: str,
        tags: Mapping[str, str],
        runs: Runs,
        measured: str | None = None,
    ) -> EdgeVersion:
        """Register a candidate with its file, tags and description; one that was registered before is returned.

        Raises SystemFailure unless the file still has the digest `measured`, where one was measured.
        """
        name = edge_name(self.model, device)
        digest = _unchanged(name, file, measured)
        self._ensure(name)
        for known in self._versions(name):
            if known.run_id == run and known.tags.get(FILE_DIGEST) == digest:
                return self._describe(known, description, tags)
        with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
            # named by content: another file of the same run must not take the place of one that is deployed
            source = runs.folder(run, _as_mlflow_model(file, digest, Path(scratch) / "model"), f"model-{digest[:12]}")
        tags = {**tags, FILE_DIGEST: digest, ONNXRUNTIME: RUNTIME}
        made = self.client.create_model_version(name, source, run_id=run, tags=dict(tags), description=description)
        return _edge_version(made)

    def deploy(self, edge: EdgeVersion, device: str) -> None:
        """Move the aliases: `previous` first, so that a kill in between never loses the way back.

        A second file of the same run leaves `previous` where it is: the run was held against that version.
        """
        now = self.deployed(device)
        if now is not None and now.version != edge.version and now.run_key != edge.run_key:
            self.client.set_registered_model_alias(edge.name, PREVIOUS, now.version)
        self.client.set_registered_model_alias(edge.name, DEPLOYED, edge.version)

    def _describe(self, known: ModelVersion, description: str, tags: Mapping[str, str]) -> EdgeVersion:
        self.client.update_model_version(known.name, known.version, description=description)
        for key, value in tags.items():
            self.client.set_model_version_tag(known.name, known.version, key, value)
        return _edge_version(self.client.get_model_version(known.name, known.version))

    def _by_alias(self, device: str, alias: str) -> EdgeVersion | None:
        name = edge_name(self.model, device)
        try:
            version = self.client.get_registered_model(name).aliases.get(alias)
            return None if version is None else _edge_version(self.client.get_model_version(name, version))
        except MlflowException as error:
            if error.error_code == MISSING:
                return None
            raise unavailable(self.tracking_uri, error) from error  # that is not "nothing deployed yet"

    def _versions(self, name: str) -> list[ModelVersion]:
        return all_pages(
            lambda token: self.client.search_model_versions(f"name='{name}'", max_results=1000, page_token=token)
        )

    def _ensure(self, name: str) -> None:
        try:
            self.client.create_registered_model(name, tags={SOURCE_MODEL: self.model})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise unavailable(self.tracking_uri, error) from error
            self._check_owner(name)

    def _check_owner(self, name: str) -> None:
        owner = self.client.get_registered_model(name).tags.get(SOURCE_MODEL)
        if owner != self.model:
            got = f"one of `{owner}`" if owner else "a model that Edgewright did not make"
            raise RegistryError(
                f"registered model {name}: expected the edge model of `{self.model}`, got {got}; "
                "rename the device profile, or the other model in MLflow"
            )


def edge_name(model: str, device: str) -> str:
    """Return the name of the registered model for a device class."""
    return f"{model}-{device}"


def _as_mlflow_model(file: Path, digest: str, folder: Path) -> Path:
    """Wrap a model as MLflow's onnx flavour; its files stay byte for byte those that ship."""
    mlflow.onnx.save_model(
        onnx.load(file), str(folder), pip_requirements=["onnx", "onnxruntime"], save_as_external_data=False
    )
    for name, path in model_files(file).items():
        shutil.copyfile(path, folder / name)  # no link: onnx reads no weights that have another name
    _unchanged(folder.name, folder / MODEL, digest)
    return folder


def _unchanged(name: str, file: Path, measured: str | None) -> str:
    """Return a model's digest. Raises SystemFailure unless it is the one that was measured."""
    try:
        found = model_digest(file)
        check_model(file, measured or found)
    except SessionError as error:
        raise SystemFailure(
            f"{name}: expected to register the model that was measured, got another. {error} Look at the disk and "
            "compress the version again"
        ) from error
    return found


def _edge_version(version: ModelVersion) -> EdgeVersion:
    try:
        return EdgeVersion(
            version.name,
            str(version.version),
            Lineage.of(version.tags),
            version.tags[FILE_DIGEST],
            version.tags.get(APPROVED_UNTIL),
            version.tags.get(ONNXRUNTIME),
        )
    except KeyError as error:
        raise RegistryError(
            f"{version.name} version {version.version}: expected the tag {error} of an edge model that Edgewright "
            "registered, got none; move its alias to a version that has it"
        ) from error
