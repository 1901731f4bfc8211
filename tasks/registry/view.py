"""A view of the registry at one moment: versions, aliases, releases and answers of many models, read in pages."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from tasks.registry.client import all_pages, client_for, unavailable
from tasks.registry.edge_models import DEPLOYED, edge_name
from tasks.registry.edge_versions import RELEASE, Rollback, recorded_holds, standing_holds
from tasks.registry.runs import ANSWER, KEY, MODEL, STAGE, UNDECIDED, VERSION

RECIPE_DIGEST = "edgewright.recipe_digest"
SOURCE_VERSION = "edgewright.source_version"
PAGE = 1000


@dataclass(frozen=True)
class VersionAnswer:
    """The newest answer to a version under one recipe, and the time (ms) at which its run ended."""

    version: str
    answer: str
    recipe_digest: str
    run: str
    ended: int


@dataclass(frozen=True)
class DeployedRelease:
    """The release that is deployed on a device class, and the upstream version that it was made from.

    `by_rollback` tells that a person rolled back to it: holds say then what may be published, and nothing else does.
    """

    release: int
    source_version: str
    by_rollback: bool = False


@dataclass(frozen=True)
class RegistryView:
    """Versions of models, oldest first; what their aliases name; their answers, oldest first.

    `deployed`, `released` and `held` are by the name of an edge model: its release that is deployed, the upstream
    versions that ever were, and those that are held back. A model that nobody registered has no versions.
    """

    versions: Mapping[str, tuple[str, ...]]
    aliases: Mapping[str, Mapping[str, str]]
    answers: Mapping[str, tuple[VersionAnswer, ...]]
    deployed: Mapping[str, DeployedRelease] = field(default_factory=dict)
    released: Mapping[str, frozenset[str]] = field(default_factory=dict)
    held: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, tracking_uri: str, one: str | None = None) -> "RegistryView":
        """Read the registry, or what there is of one model. Raises RegistryUnavailable.

        The calls to MLflow grow with pages of 1,000 entries, not with models or devices.
        """
        client = client_for(tracking_uri)
        models_of = "" if one is None else f"name LIKE '{one}%'"  # its edge models begin with its name
        runs_of = "name LIKE 'edgewright-%'" if one is None else f"name = 'edgewright-{one}'"
        try:
            registered = all_pages(
                lambda token: client.search_registered_models(models_of, max_results=PAGE, page_token=token)
            )
            versions = all_pages(
                lambda token: client.search_model_versions(models_of, max_results=PAGE, page_token=token)
            )
            experiments = all_pages(
                lambda token: client.search_experiments(filter_string=runs_of, max_results=PAGE, page_token=token)
            )
            places = [each.experiment_id for each in experiments]
            runs = all_pages(
                lambda token: client.search_runs(places, f"tags.`{STAGE}` = 'compress'", max_results=PAGE,
                                                 page_token=token)
            ) if places else []  # fmt: skip
        except MlflowException as error:
            raise unavailable(tracking_uri, error) from error
        deployed = _deployed(registered, versions)
        return cls(
            _versions(versions),
            {each.name: {alias: str(version) for alias, version in each.aliases.items()} for each in registered},
            _answers(runs),
            deployed,
            _released(versions),
            _held(registered, deployed),
        )

    def deployed_on(self, model: str, device: str) -> DeployedRelease | None:
        """Return what is deployed on a device class; None before the first release."""
        return self.deployed.get(edge_name(model, device))

    def held_on(self, model: str, device: str) -> frozenset[str]:
        """Return the upstream versions that are held back on a device class."""
        return self.held.get(edge_name(model, device), frozenset())

    def was_released(self, model: str, device: str, version: str) -> bool:
        """Tell whether an upstream version was ever released on a device class."""
        return version in self.released.get(edge_name(model, device), ())


def _versions(found: Iterable[ModelVersion]) -> dict[str, tuple[str, ...]]:
    numbers = defaultdict[str, list[int]](list)
    for version in found:
        numbers[version.name].append(int(version.version))
    return {model: tuple(map(str, sorted(known))) for model, known in numbers.items()}


def _answers(runs: Iterable[Run]) -> dict[str, tuple[VersionAnswer, ...]]:
    answers = defaultdict[str, list[VersionAnswer]](list)
    for run in sorted(runs, key=lambda each: (each.info.end_time or 0, each.info.run_id)):
        tags = run.data.tags
        if tags.get(ANSWER, UNDECIDED) == UNDECIDED or not tags.get(VERSION, "").isdecimal() or KEY not in tags:
            continue
        answers[tags.get(MODEL, "")].append(
            VersionAnswer(
                tags[VERSION], tags[ANSWER], tags.get(RECIPE_DIGEST, ""), str(run.info.run_id), run.info.end_time or 0
            )
        )
    return {model: tuple(known) for model, known in answers.items()}


def _deployed(models: Iterable[RegisteredModel], versions: Iterable[ModelVersion]) -> dict[str, DeployedRelease]:
    tags = {(each.name, str(each.version)): each.tags for each in versions}
    named = ((each.name, str(each.aliases[DEPLOYED])) for each in models if DEPLOYED in each.aliases)
    found = ((name, tags.get((name, version), {})) for name, version in named)
    return {
        name: DeployedRelease(int(own[RELEASE]), own[SOURCE_VERSION], Rollback.of(own) is not None)
        for name, own in found
        if own.get(RELEASE, "").isdecimal() and own.get(SOURCE_VERSION, "").isdecimal()
    }


def _released(versions: Iterable[ModelVersion]) -> dict[str, frozenset[str]]:
    made = defaultdict[str, set[str]](set)
    for version in versions:
        if SOURCE_VERSION in version.tags:
            made[version.name].add(version.tags[SOURCE_VERSION])
    return {name: frozenset(known) for name, known in made.items()}


def _held(models: Iterable[RegisteredModel], deployed: Mapping[str, DeployedRelease]) -> dict[str, frozenset[str]]:
    holds = {each.name: recorded_holds(each.tags) for each in models}
    versions = {name: own.source_version for name, own in deployed.items()}
    return {
        name: frozenset(hold.version for hold in standing_holds(found, versions.get(name)))
        for name, found in holds.items()
        if found
    }
