"""A view of the registry at one moment: versions, aliases, releases and answers of many models, read in pages."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from tasks.registry.answered import Answered, answered_by
from tasks.registry.client import all_pages, client_for, is_made, unavailable
from tasks.registry.edge_models import DEPLOYED
from tasks.registry.edge_versions import (
    APPROVED_UNTIL,
    RELEASE,
    Rollback,
    edge_name,
    is_number,
    recorded_holds,
    standing_holds,
    upstream_of,
)
from tasks.registry.runs import ANSWER, KEY, MODEL, STAGE, UNDECIDED, VERSION
from tasks.registry.upstream import identity_of

SOURCE_VERSION = "edgewright.source_version"
RECIPE = "edgewright.recipe"
PAGE = 1000


@dataclass(frozen=True)
class DeployedRelease:
    """The release that is deployed on a device class, and the upstream version that it was made from.

    `approved_until` is the last day of its approval where it was published against its gates. `rollback` is a person's,
    where it was published by one: holds say then what may be published, and nothing else does. `recipe` is the name of
    the recipe that it came of.
    """

    release: int
    source_version: str
    approved_until: str | None = None
    rollback: Rollback | None = None
    recipe: str = ""


@dataclass(frozen=True)
class RegistryView:
    """Versions of models, oldest first, and what there is of each: identities, aliases, answers and releases.

    `answers` are by model, version and recipe. `told` are the versions of a model that an older release of Edgewright
    answered, which kept no such record. `deployed`, `released` and `held` are by the name of an edge model: its release
    that is deployed, the upstream versions that ever were, and those that are held back; `owners` are the upstream
    models that edge models are of, as two models and their devices may give one name. A model that nobody registered
    has no versions.
    """

    versions: Mapping[str, tuple[str, ...]]
    aliases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    identities: Mapping[tuple[str, str], str] = field(default_factory=dict)
    answers: Mapping[tuple[str, str], Mapping[str, Answered]] = field(default_factory=dict)
    told: Mapping[str, frozenset[str]] = field(default_factory=dict)
    deployed: Mapping[str, DeployedRelease] = field(default_factory=dict)
    released: Mapping[str, frozenset[str]] = field(default_factory=dict)
    held: Mapping[str, frozenset[str]] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, tracking_uri: str, one: str | None = None) -> "RegistryView":
        """Read the registry, or what there is of one model. Raises RegistryUnavailable.

        The calls to MLflow grow with pages of 1,000 entries, not with models or devices. An embedded store that
        nobody has written to is not made.
        """
        if not is_made(tracking_uri):
            return cls({})
        client = client_for(tracking_uri)
        models_of = "" if one is None else f"name LIKE '{one}%'"  # its edge models begin with its name
        try:
            registered = all_pages(
                lambda token: client.search_registered_models(models_of, max_results=PAGE, page_token=token)
            )
            versions = all_pages(
                lambda token: client.search_model_versions(models_of, max_results=PAGE, page_token=token)
            )
            answers = {(each.name, str(each.version)): _answered(each) for each in versions}
            told = _told(client, versions, answers)
        except MlflowException as error:
            raise unavailable(tracking_uri, error) from error
        deployed = _deployed(registered, versions)
        return cls(
            versions=_versions(versions),
            aliases={each.name: {alias: str(to) for alias, to in each.aliases.items()} for each in registered},
            identities={(each.name, str(each.version)): identity_of(each) for each in versions},
            answers=answers,
            told=told,
            deployed=deployed,
            released=_released(versions),
            held=_held(registered, deployed),
            owners=_owners(registered, versions),
        )

    def answered(self, model: str, version: str, recipe: str) -> Answered | None:
        """Return what a version was answered with under a recipe; None where nobody tried."""
        return self.answers.get((model, version), {}).get(recipe)

    def newest_answered(self, model: str) -> int:
        """Return the newest version that has an answer under any recipe; 0 where none has."""
        known = [version for version in self.versions.get(model, ()) if self._is_answered(model, version)]
        return max(map(int, known), default=0)

    def deployed_on(self, model: str, device: str) -> DeployedRelease | None:
        """Return what is deployed on a device class; None before the first release."""
        return self.deployed.get(self._own(model, device))

    def held_on(self, model: str, device: str) -> frozenset[str]:
        """Return the upstream versions that are held back on a device class."""
        return self.held.get(self._own(model, device), frozenset())

    def was_released(self, model: str, device: str, version: str) -> bool:
        """Tell whether an upstream version was ever released on a device class."""
        return version in self.released.get(self._own(model, device), ())

    def _own(self, model: str, device: str) -> str:
        """Return the name of an edge model; none, under which nothing is, where that is another model's."""
        name = edge_name(model, device)
        return name if self.owners.get(name, model) == model else ""

    def _is_answered(self, model: str, version: str) -> bool:
        decided = any(each.is_decided for each in self.answers.get((model, version), {}).values())
        return decided or version in self.told.get(model, ())


def _answered(version: ModelVersion) -> dict[str, Answered]:
    return answered_by(version.name, str(version.version), version.tags)


def _told(
    client: MlflowClient, versions: Sequence[ModelVersion], answers: Mapping[tuple[str, str], Mapping[str, Answered]]
) -> dict[str, frozenset[str]]:
    """Return the versions that an older release answered, by the runs of the models that have no newer record."""
    known = {model for (model, _), own in answers.items() if any(each.is_decided for each in own.values())}
    models = {each.name for each in versions if ANSWER in each.tags and each.name not in known}
    if not models:
        return {}
    experiments = all_pages(
        lambda token: client.search_experiments(
            filter_string="name LIKE 'edgewright-%'", max_results=PAGE, page_token=token
        )
    )
    names = {f"edgewright-{model}" for model in models}
    places = [each.experiment_id for each in experiments if each.name in names]
    runs = all_pages(
        lambda token: client.search_runs(places, f"tags.`{STAGE}` = 'compress'", max_results=PAGE, page_token=token)
    ) if places else []  # fmt: skip
    found = defaultdict[str, set[str]](set)
    for tags in (run.data.tags for run in runs):
        if tags.get(ANSWER, UNDECIDED) != UNDECIDED and KEY in tags:
            found[tags.get(MODEL, "")].add(tags.get(VERSION, ""))
    return {model: frozenset(own) for model, own in found.items()}


def _versions(found: Iterable[ModelVersion]) -> dict[str, tuple[str, ...]]:
    numbers = defaultdict[str, list[int]](list)
    for version in found:
        numbers[version.name].append(int(version.version))
    return {model: tuple(map(str, sorted(known))) for model, known in numbers.items()}


def _owners(models: Iterable[RegisteredModel], versions: Iterable[ModelVersion]) -> dict[str, str]:
    """Return the upstream models of edge models, by name; one that nothing tells of is left out."""
    tags = defaultdict[str, list[Mapping[str, str]]](list)
    for version in versions:
        tags[version.name].append(version.tags)
    found = ((each.name, upstream_of(each.tags, tags[each.name])) for each in models)
    return {name: owner for name, owner in found if owner is not None}


def _deployed(models: Iterable[RegisteredModel], versions: Iterable[ModelVersion]) -> dict[str, DeployedRelease]:
    tags = {(each.name, str(each.version)): each.tags for each in versions}
    named = ((each.name, str(each.aliases[DEPLOYED])) for each in models if DEPLOYED in each.aliases)
    found = ((name, tags.get((name, version), {})) for name, version in named)
    return {
        name: DeployedRelease(
            int(own[RELEASE]), own[SOURCE_VERSION], own.get(APPROVED_UNTIL), Rollback.of(own), own.get(RECIPE, "")
        )
        for name, own in found
        if is_number(own.get(RELEASE)) and is_number(own.get(SOURCE_VERSION))
    }


def _released(versions: Iterable[ModelVersion]) -> dict[str, frozenset[str]]:
    made = defaultdict[str, set[str]](set)
    for version in versions:
        if SOURCE_VERSION in version.tags:
            made[version.name].add(version.tags[SOURCE_VERSION])
    return {name: frozenset(known) for name, known in made.items()}


def _held(models: Iterable[RegisteredModel], deployed: Mapping[str, DeployedRelease]) -> dict[str, frozenset[str]]:
    holds = {each.name: recorded_holds(each.tags) for each in models}
    return {
        name: frozenset(hold.version for hold in standing_holds(found, deployed.get(name)))
        for name, found in holds.items()
        if found
    }
