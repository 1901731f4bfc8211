"""Edge models: a registered model per upstream model and device, with one version for each release and no other.

A candidate that was judged stays with its run. It gets a version here when it is released, under a release number that
only grows; the aliases name what is deployed, what was before, the reference of the gates, and the anchor.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import mlflow
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from edge_runtime.errors import SessionError
from edge_runtime.model_files import MODEL, check_model
from edge_runtime.onnxruntime_packages import onnxruntime_version
from tasks.errors import RegistryError, SystemFailure, one_line
from tasks.registry.anchors import ANCHOR, ANCHOR_RECORD, Anchor, AnchorState
from tasks.registry.artifacts import Tensors, as_mlflow_model, check_inside, check_unchanged
from tasks.registry.client import MISSING, all_pages, client_for, unavailable
from tasks.registry.edge_versions import (
    FILE_DIGEST,
    HOLD_LIFTED,
    ONNXRUNTIME,
    RELEASE,
    SOURCE_MODEL,
    WAS_DEPLOYED,
    Candidate,
    EdgeVersion,
    Hold,
    Lineage,
    ReleasePage,
    check_owner,
    edge_name,
    own_tags,
    recorded_holds,
    standing_holds,
)
from tasks.registry.runs import Runs

DEPLOYED = "deployed"
PREVIOUS = "previous"
REFERENCE = "reference"
Found = TypeVar("Found")


class EdgeModels:
    """The edge models of one upstream model."""

    def __init__(self, tracking_uri: str, model: str) -> None:
        self.tracking_uri = tracking_uri
        self.client = client_for(tracking_uri)
        self.model = model

    def check_owner(self, device: str) -> None:
        """Raise RegistryError where another model has the name of the edge model for a device class."""
        name = edge_name(self.model, device)
        found = self._found(lambda: self.client.get_registered_model(name))
        if found is not None:
            check_owner(name, self.model, found.tags, lambda: [each.tags for each in self._every_version(name)])

    def reserve(self, device: str) -> None:
        """Register the edge model for a device class, which keeps its name; as `check_owner` where it is there."""
        try:
            self.client.create_registered_model(edge_name(self.model, device), tags={SOURCE_MODEL: self.model})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise unavailable(self.tracking_uri, error) from error
            self.check_owner(device)

    def deployed(self, device: str) -> EdgeVersion | None:
        """Return the release that is deployed on a device class, or None before the first deployment."""
        return self._by_alias(device, DEPLOYED)

    def previous(self, device: str) -> EdgeVersion | None:
        """Return the release that was deployed there before."""
        return self._by_alias(device, PREVIOUS)

    def reference(self, device: str, without: int | None = None) -> EdgeVersion | None:
        """Return what gates compare with: the last release that passed, up to the one that is deployed.

        One that was published against its gates is none. The release `without` is left out: it is the one that is
        being decided, by a run that was killed after it had published.
        """
        deployed = self.deployed(device)
        if deployed is None:
            return None
        known = [each for each in self.releases(device) if each.passed and each.release != without]
        return max(
            (each for each in known if each.release <= deployed.release), key=lambda each: each.release, default=None
        )

    def anchor(self, device: str, without: int | None = None) -> Anchor | None:
        """Return what cumulative margins are held against, None before a release has passed.

        That is the release that a person named, else the one that was named as the first that passed. The release
        `without` is being decided, and is left out unless a person chose it. Raises AnchorLost where the anchor is
        missing, was published against its gates since, or is another one than the alias names.
        """
        return self._anchor_state(device).anchor(without)

    def set_anchor(self, device: str, release: int, *, by: str, when: str, reason: str) -> Anchor:
        """Move the anchor to a release that passed, and keep who moved it, when and why, on its page.

        Raises RegistryError where there is no such release, or where it was published against its gates.
        """
        known = {each.release: each for each in self.releases(device)}
        edge, name = known.get(release), edge_name(self.model, device)
        if edge is None:
            got = f"releases {', '.join(map(str, sorted(known)))}" if known else "no release"
            raise RegistryError(f"{name}: expected release {release} to be there, got {got}; choose one of those")
        if not edge.passed:
            raise RegistryError(
                f"{name}: expected a release that passed its gates as the anchor, got release {release}, which was "
                "published against them; choose another"
            )
        anchor = Anchor(edge, by, when, reason)
        for key, text in anchor.tags.items():
            self.client.set_model_version_tag(edge.name, edge.version, key, text)
        self._name_anchor(anchor)
        return anchor

    def releases(self, device: str) -> list[EdgeVersion]:
        """Return every release of a device class; versions that Edgewright did not register are left out."""
        found = []
        for version in self._versions(edge_name(self.model, device)):
            try:
                found.append(EdgeVersion.of(version))
            except RegistryError:
                continue
        return found

    def origin(self, device: str, edge: EdgeVersion) -> EdgeVersion:
        """Return the release that gates released, whose file a rollback restored: its page tells only of the file."""
        known = {each.release: each for each in self.releases(device)}
        while edge.rollback is not None and edge.rollback.restored < edge.release and edge.rollback.restored in known:
            edge = known[edge.rollback.restored]
        return edge

    def page(self, edge: EdgeVersion) -> ReleasePage:
        """Return the candidate that a release was made of, and what its page says of its file and its verdict."""
        found = self.client.get_model_version(edge.name, edge.version)
        folder = str(found.source).rstrip("/").rpartition("/")[2]
        tags = dict(found.tags)
        candidate = Candidate(edge.lineage, str(found.run_id), folder, edge.file_sha256, tags.get(ONNXRUNTIME, ""))
        return ReleasePage(candidate, found.description or "", own_tags(tags))

    def holds(self, device: str) -> tuple[Hold, ...]:
        """Return the recorded holds of a device class, the newest version first, with those that count no more."""
        model = self._registered_model(device)
        return () if model is None else recorded_holds(model.tags)

    def hold_on(self, device: str, version: str) -> Hold | None:
        """Return the hold that keeps an upstream version from a device class; None where it may be published."""
        held = [hold for hold in self.holds(device) if hold.version == version]
        deployed = self.deployed(device) if held else None
        return next(iter(standing_holds(held, deployed)), None)

    def hold(self, device: str, hold: Hold) -> None:
        """Hold an upstream version; a hold of the same version is replaced."""
        self.client.set_registered_model_tag(edge_name(self.model, device), hold.tag, hold.record)

    def lift(self, device: str, hold: Hold, why: str | None = None) -> None:
        """Remove a hold; `why` is kept on the page of the release that was left."""
        left = next((each for each in self.releases(device) if each.release == hold.release), None)
        if why is not None and left is not None:
            self.client.set_model_version_tag(left.name, left.version, HOLD_LIFTED, why)
        self.client.delete_registered_model_tag(edge_name(self.model, device), hold.tag)

    def describe(self, edge: EdgeVersion, description: str, tags: Mapping[str, str]) -> EdgeVersion:
        """Change the description and the tags of a version's page."""
        return self._describe(self.client.get_model_version(edge.name, edge.version), description, tags)

    def fetch(self, edge: EdgeVersion, folder: Path, named_by: str = "the alias `deployed`") -> Path:
        """Download a release into a folder and return the path of its graph; its weights lie beside it.

        Raises SystemFailure when it is not the model that was published: that says nothing about any candidate.
        `named_by` is what a person moves then.
        """
        what = f"{edge.name} version {edge.version}"
        try:
            uri = self.client.get_model_version_download_uri(edge.name, edge.version)
            path = self._download(uri, folder)
        except (MlflowException, OSError) as error:
            raise SystemFailure(
                f"{what}: expected its file in the registry, got {one_line(error)}; "
                f"restore the artifact store, or move {named_by} to a version that still has its file"
            ) from error
        try:
            check_model(path, edge.file_sha256)
        except SessionError as error:
            raise SystemFailure(
                f"{what}: {error} So it was changed after publication: restore it, or move {named_by} to an intact "
                "version"
            ) from error
        return path

    def keep(
        self, runs: Runs, run: str, file: Path, lineage: Lineage, expected: str, tensors: Tensors = ((), ()),
        beside: Mapping[str, Path] | None = None,
    ) -> Candidate:  # fmt: skip
        """Keep a judged model with its run. Raises SystemFailure unless it is the one that was measured.

        `tensors` are its inputs and outputs, which MLflow shows as the model's signature. `beside` are files that lie
        beside the model, by name, also where it is fetched.
        """
        what = f"{lineage.source_model} version {lineage.source_version}"
        check_unchanged(file, expected, what)
        with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
            # named by content: another file of the same run must not take the place of one that was judged
            folder = f"model-{expected[:12]}"
            wrapped = as_mlflow_model(file, Path(scratch) / "model", tensors, beside or {})
            check_unchanged(wrapped / MODEL, expected, what)
            runs.folder(run, wrapped, folder)
        return Candidate(lineage, run, folder, expected, onnxruntime_version())

    def fetch_candidate(self, candidate: Candidate, folder: Path) -> Path:
        """Download a judged file from its run into a folder.

        Raises RegistryError unless it is that very file, SystemFailure where the artifact store does not give it.
        """
        what = f"run {candidate.run}, {candidate.folder}"
        try:
            path = self._download(self._source(candidate), folder)
        except (MlflowException, OSError) as error:
            raise SystemFailure(
                f"{what}: expected the file that was judged, got {one_line(error)}; restore the artifact store, or "
                "compress the version again"
            ) from error
        try:
            check_model(path, candidate.file_sha256)
        except SessionError as error:
            raise RegistryError(f"{what}: {error} It was changed since: compress the version again") from error
        return path

    def release(
        self, device: str, candidate: Candidate, number: int, description: str, tags: Mapping[str, str]
    ) -> EdgeVersion:
        """Register a candidate as a release and move the aliases to it.

        `previous` moves first, so that a kill in between never loses the way back. Safe to repeat. A
        release whose number is below that of the deployed one is registered and moves no alias.
        """
        edge = self._registered(device, candidate, number, description, tags)
        if edge.passed:
            self._name_first_anchor(device, edge)
        now = self.deployed(device)
        if now is not None and now.release > number:
            return edge
        if edge.passed:
            self.client.set_registered_model_alias(edge.name, REFERENCE, edge.version)
        if now is not None and now.version != edge.version:
            self.client.set_registered_model_alias(edge.name, PREVIOUS, now.version)
        self.client.set_registered_model_alias(edge.name, DEPLOYED, edge.version)
        self.client.set_model_version_tag(edge.name, edge.version, WAS_DEPLOYED, "true")
        return edge

    def _name_first_anchor(self, device: str, edge: EdgeVersion) -> None:
        """Name a release as the anchor where it is the first that passed; complete what was killed while it did."""
        state = self._anchor_state(device)
        is_first = state.record is None and not any(each.passed for each in state.releases if each != edge)
        if is_first or (state.record == Anchor(edge).record and state.alias is None):
            self._name_anchor(Anchor(edge))

    def _name_anchor(self, anchor: Anchor) -> None:
        self.client.set_registered_model_tag(anchor.edge.name, ANCHOR_RECORD, anchor.record)
        self.client.set_registered_model_alias(anchor.edge.name, ANCHOR, anchor.edge.version)

    def _anchor_state(self, device: str) -> AnchorState:
        model = self._registered_model(device)
        record, alias = (None, None) if model is None else (model.tags.get(ANCHOR_RECORD), model.aliases.get(ANCHOR))
        return AnchorState(self.model, device, record, None if alias is None else str(alias), self.releases(device))

    def was_deployed(self, device: str, number: int) -> bool:
        """Tell whether the alias has named a release, whatever a person has moved it to since."""
        return any(
            version.tags.get(RELEASE) == str(number) and WAS_DEPLOYED in version.tags
            for version in self._versions(edge_name(self.model, device))
        )

    def _registered(
        self, device: str, candidate: Candidate, number: int, description: str, tags: Mapping[str, str]
    ) -> EdgeVersion:
        name = edge_name(self.model, device)
        self.reserve(device)
        every = {
            **tags, **candidate.lineage.tags, FILE_DIGEST: candidate.file_sha256, RELEASE: str(number),
            ONNXRUNTIME: candidate.onnxruntime,
        }  # fmt: skip
        for known in self._versions(name):
            if known.tags.get(RELEASE) == str(number) and known.tags.get(FILE_DIGEST) == candidate.file_sha256:
                return self._describe(known, description, every)
        source, run = self._source(candidate), candidate.run
        made = self.client.create_model_version(name, source, run_id=run, tags=every, description=description)
        return EdgeVersion.of(made)

    def _source(self, candidate: Candidate) -> str:
        return f"{self.client.get_run(candidate.run).info.artifact_uri}/{candidate.folder}"

    def _download(self, uri: str, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        found = mlflow.artifacts.download_artifacts(
            artifact_uri=uri, dst_path=str(folder), tracking_uri=self.tracking_uri
        )
        check_inside(uri, Path(found))
        path = Path(found) / MODEL
        if not path.is_file():
            raise FileNotFoundError(f"no {MODEL} in it")
        return path

    def _describe(self, known: ModelVersion, description: str, tags: Mapping[str, str]) -> EdgeVersion:
        self.client.update_model_version(known.name, known.version, description=description)
        for key, value in tags.items():
            self.client.set_model_version_tag(known.name, known.version, key, value)
        return EdgeVersion.of(self.client.get_model_version(known.name, known.version))

    def _by_alias(self, device: str, alias: str) -> EdgeVersion | None:
        model = self._registered_model(device)
        version = None if model is None else model.aliases.get(alias)
        found = None if model is None or version is None else self._version(model.name, version)
        edge = None if found is None else EdgeVersion.of(found)
        return edge if edge is not None and edge.lineage.source_model == self.model else None

    def _registered_model(self, device: str) -> RegisteredModel | None:
        """Return the registered edge model; None too where another model's has its name: it tells nothing of ours."""
        found = self._found(lambda: self.client.get_registered_model(edge_name(self.model, device)))
        return found if found is not None and found.tags.get(SOURCE_MODEL, self.model) == self.model else None

    def _version(self, name: str, version: str) -> ModelVersion | None:
        return self._found(lambda: self.client.get_model_version(name, version))

    def _found(self, ask: Callable[[], Found]) -> Found | None:
        try:
            return ask()
        except MlflowException as error:
            if error.error_code == MISSING:
                return None
            raise unavailable(self.tracking_uri, error) from error  # that is not "nothing deployed yet"

    def _versions(self, name: str) -> list[ModelVersion]:
        return [each for each in self._every_version(name) if each.tags.get(SOURCE_MODEL, self.model) == self.model]

    def _every_version(self, name: str) -> list[ModelVersion]:
        return all_pages(
            lambda token: self.client.search_model_versions(f"name='{name}'", max_results=1000, page_token=token)
        )
