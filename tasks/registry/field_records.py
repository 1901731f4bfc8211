"""Records of what runs in the field: a run for each device, and the counts on the pages of releases.

Reports are told here and nowhere else in the registry. No gate, no search and no alias reads them: what is *in the
field* is neither what is deployed nor what gates compare with.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from mlflow.entities import Metric, Run, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from tasks.errors import RegistryError, one_line
from tasks.registry.client import all_pages, client_for, experiment_id, unavailable
from tasks.registry.edge_versions import FIELD_TAGS, RELEASE, SOURCE_MODEL, edge_name, is_number
from tasks.registry.runs import NOTE, allowed_name

EXPERIMENT = "edgewright.field"  # those of models are named edgewright-MODEL
DEVICE_ID = f"{FIELD_TAGS}device"
NUMBER = f"{FIELD_TAGS}number"
ON_DEVICES = f"{FIELD_TAGS}devices"
HEARD = f"{FIELD_TAGS}heard"
ABOUT = (
    "A run for each device that a person enrolled. The step of a metric is the number of the device's report, its time "
    "that of the device's own clock. Nothing here decides anything: gates compare with other releases."
)
_MOST_METRICS, _MOST_TAGS, _LONGEST_TAG = 1000, 100, 5000
_NOT_TAKEN = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")
Item = TypeVar("Item")


@dataclass(frozen=True)
class FieldRelease:
    """A release of a model on a device class, as devices report it."""

    model: str
    profile: str
    release: str


@dataclass(frozen=True)
class FieldCount:
    """The number of devices that run a release, and when one of them was last heard, by our clock."""

    devices: int
    heard: str


@dataclass(frozen=True)
class FieldFigures:
    """Figures and words of one report; `made_ms` is the time of the device's clock, in milliseconds since 1970."""

    number: int
    made_ms: int
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


class FieldRecords:
    """The experiment of the field."""

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri
        self.client = client_for(tracking_uri)
        self.experiment = experiment_id(self.client, EXPERIMENT)
        self._runs: dict[str, str] = {}

    def write(self, device: str, name: str, figures: FieldFigures) -> None:
        """Write a report into the run of its device, made where it is missing; safe to repeat.

        Its tags tell of the report with the highest number. Raises RegistryError where MLflow does not take the
        content, RegistryUnavailable.
        """
        try:
            run = self._run(device, name)
            known = self.client.get_run(run).data.tags
            metrics = [
                Metric(allowed_name(key), value, max(0, figures.made_ms), figures.number)
                for key, value in figures.metrics.items()
            ]
            tags = [RunTag(allowed_name(key), text[:_LONGEST_TAG]) for key, text in figures.tags.items()]
            for part in _parts(metrics, _MOST_METRICS):
                self.client.log_batch(run, metrics=part)
            if _is_newest(known, figures.number):
                self._retag(run, known, [*tags, RunTag(NUMBER, str(figures.number))])
        except MlflowException as error:
            if error.error_code in _NOT_TAKEN:
                raise RegistryError(f"expected figures that MLflow takes, got {one_line(error)}") from error
            raise unavailable(self.tracking_uri, error) from error

    def count(self, counts: Mapping[FieldRelease, FieldCount]) -> list[FieldRelease]:
        """Write onto each release's page on how many devices it runs; return those that the registry does not know.

        A release that no device runs any more is told to be on 0; when it was last heard stays. Raises
        RegistryUnavailable.
        """
        try:
            told = {_place(version): version for version in self._versions(f"tags.`{ON_DEVICES}` LIKE '%'")}
            unknown: list[FieldRelease] = []
            found: dict[tuple[str, str], tuple[ModelVersion, FieldCount]] = {}
            for release, count in counts.items():
                versions = self._of(release)
                unknown += [] if versions else [release]
                found |= {_place(version): (version, count) for version in versions}
            for place, version in told.items():
                if place not in found:
                    self._tell(version, {ON_DEVICES: "0"})
            for version, count in found.values():
                heard = max(count.heard, version.tags.get(HEARD, ""))  # of a device that has left it since, too
                self._tell(version, {ON_DEVICES: str(count.devices), HEARD: heard})
            return unknown
        except MlflowException as error:
            raise unavailable(self.tracking_uri, error) from error

    def _retag(self, run: str, known: Mapping[str, str], tags: Sequence[RunTag]) -> None:
        """Replace the words about a device; those about a model that it has no more are removed."""
        for part in _parts(tags, _MOST_TAGS):
            self.client.log_batch(run, tags=part)
        for key in known.keys() - {DEVICE_ID, *(tag.key for tag in tags)}:
            if key.startswith(FIELD_TAGS):
                self.client.delete_tag(run, key)

    def _run(self, device: str, name: str) -> str:
        """Return the run of a device, under the name that it is enrolled with; of two, the earlier one counts."""
        if device in self._runs:
            return self._runs[device]
        condition = f"tags.`{DEVICE_ID}` = '{device}'"
        found: list[Run] = all_pages(
            lambda token: self.client.search_runs([self.experiment], condition, max_results=1000, page_token=token)
        )
        run = min(found, key=lambda each: (each.info.start_time, each.info.run_id), default=None) or self._begun(
            device, name
        )
        if run.info.run_name != name:
            self.client.update_run(run.info.run_id, name=name)
        if run.info.status != "FINISHED":  # nobody works on a record; a kill may have left it open
            self.client.set_terminated(run.info.run_id)
        self._runs[device] = str(run.info.run_id)
        return self._runs[device]

    def _begun(self, device: str, name: str) -> Run:
        if NOTE not in self.client.get_experiment(self.experiment).tags:  # a person's own words stay
            self.client.set_experiment_tag(self.experiment, NOTE, ABOUT)
        now = int(time.time() * 1000)
        return self.client.create_run(self.experiment, start_time=now, run_name=name, tags={DEVICE_ID: device})

    def _of(self, release: FieldRelease) -> list[ModelVersion]:
        """Return the versions of the registered model that are a release; none where it has another owner."""
        name = edge_name(release.model, release.profile)
        return [
            version
            for version in self._versions(f"name = '{name}'")
            if version.tags.get(RELEASE) == release.release
            and version.tags.get(SOURCE_MODEL, release.model) == release.model
        ]

    def _versions(self, condition: str) -> list[ModelVersion]:
        return all_pages(lambda token: self.client.search_model_versions(condition, max_results=1000, page_token=token))

    def _tell(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        for key, text in tags.items():
            if version.tags.get(key) != text:
                self.client.set_model_version_tag(version.name, version.version, key, text)


def _is_newest(known: Mapping[str, str], number: int) -> bool:
    """Tell whether a run's tags tell of no report with a higher number."""
    told = known.get(NUMBER)
    return not is_number(told) or int(told) <= number


def _place(version: ModelVersion) -> tuple[str, str]:
    return version.name, str(version.version)


def _parts(items: Sequence[Item], most: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while part := list(islice(rest, most)):
        yield part
