"""Values of the registry about edge models: origin, judged candidate, release, rollback and hold."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Protocol, TypeGuard

from mlflow.entities.model_registry import ModelVersion

from tasks.errors import RegistryError

FILE_DIGEST = "edgewright.file_sha256"
ONNXRUNTIME = "edgewright.onnxruntime"
SOURCE_MODEL = "edgewright.source_model"
APPROVED_UNTIL = "edgewright.approved_until"
RELEASE = "edgewright.release"
WAS_DEPLOYED = "edgewright.was_deployed"
VERDICT = "edgewright.verdict"
PASSED = "pass"
ANSWERS = "edgewright.answers"
NOT_ANSWERED = "none"
OF_WORKLOAD = ("task", "labels", "preprocessing")
"""Keys of the manifest in which a workload describes itself."""
NOT_RECORDED = "not recorded"  # of a version that an older release registered
ANCHOR_TAGS = "edgewright.anchor_"
"""Beginning of the names of the tags that say who moved the anchor to a release."""
HOLD = "edgewright.hold."
"""Beginning of the name of a hold's tag; the upstream version follows."""
HOLD_LIFTED = "edgewright.hold_lifted"
FIELD_TAGS = "edgewright.field."
"""Beginning of the names of the tags that say what devices report."""
MOST_DIGITS = 18


@dataclass(frozen=True)
class Lineage:
    """The origin of an edge model: the upstream version, the recipe, and the key of the device's answer."""

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
class Candidate:
    """A file that was judged: where it came from, the run and the folder that hold it, and its sha256."""

    lineage: Lineage
    run: str
    folder: str
    file_sha256: str
    onnxruntime: str

    @property
    def holder(self) -> str:
        """The name under which a release number is claimed for it: the same at every attempt."""
        return f"{self.lineage.run_key}-{self.file_sha256}"


@dataclass(frozen=True)
class Rollback:
    """A person's way back from the release `left` to the file of the release `restored`: by whom, when and why."""

    left: int
    restored: int
    by: str
    when: str
    reason: str

    @property
    def sentence(self) -> str:
        """The rollback in words."""
        way = f"from release {self.left} to release {self.restored}"
        return f"rolled back {way} by {self.by} on {self.when}: {self.reason}"

    @property
    def lineage(self) -> dict[str, str]:
        """The rollback under the keys of a bundle's lineage."""
        return {
            "rolled_back_from": str(self.left),
            "restored_release": str(self.restored),
            "rolled_back_by": self.by,
            "rolled_back_on": self.when,
            "rollback_reason": self.reason,
        }

    @property
    def tags(self) -> dict[str, str]:
        """The rollback as tags of a registered version."""
        return {f"edgewright.{name}": text for name, text in self.lineage.items()}

    def holder(self, candidate: Candidate) -> str:
        """Return the name under which a number is claimed: two rollbacks to one candidate have two."""
        own = hashlib.sha256(json.dumps(self.lineage, sort_keys=True).encode()).hexdigest()
        return f"{candidate.holder}-rollback-{own[:16]}"

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> "Rollback | None":
        """Read the tags of a registered version; None for one that is no rollback."""
        said = [tags.get(f"edgewright.{name}", "") for name in _ROLLBACK_KEYS]
        if not (is_number(said[0]) and is_number(said[1])):
            return None
        return cls(int(said[0]), int(said[1]), *said[2:])


_ROLLBACK_KEYS = tuple(Rollback(0, 0, "", "", "").lineage)


@dataclass(frozen=True)
class Hold:
    """An upstream version that nothing publishes on a device until a person lifts the hold, or a newer version comes.

    `release` is the one that was left. `is_left` is false until the rollback that put the hold has ended.
    """

    version: str
    release: int
    by: str
    when: str
    reason: str
    is_left: bool = False

    @property
    def sentence(self) -> str:
        """The hold in words."""
        return f"version {self.version} is held by {self.by} since {self.when}: {self.reason}"

    @property
    def tag(self) -> str:
        """The name of the hold's tag on the registered edge model: each held version has its own."""
        return f"{HOLD}{self.version}"

    @property
    def record(self) -> str:
        """The text of the hold's tag, which one write replaces as a whole."""
        return json.dumps(asdict(self), sort_keys=True)

    def ended(self) -> "Hold":
        """Return the hold after its rollback has ended."""
        return replace(self, is_left=True)

    @classmethod
    def of(cls, version: str, record: str) -> "Hold":
        """Read a tag. One that cannot be read holds the version still: a person put it there."""
        try:
            told = json.loads(record)
            by, when, reason = (str(told[key]) for key in ("by", "when", "reason"))
            return cls(version, int(told["release"]), by, when, reason, told.get("is_left") is True)
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls(version, 0, "a person", "a day", "its record cannot be read", is_left=True)


def recorded_holds(tags: Mapping[str, str]) -> tuple[Hold, ...]:
    """Return the holds among the tags of a registered edge model, the newest version first."""
    named = {key.removeprefix(HOLD): text for key, text in tags.items() if key.startswith(HOLD)}
    versions = sorted(filter(is_number, named), key=int, reverse=True)
    return tuple(Hold.of(version, named[version]) for version in versions)


class Deployed(Protocol):
    """A release that is deployed, as whoever asks for holds knows it."""

    @property
    def source_version(self) -> str:
        """The upstream version that it was made from."""

    @property
    def rollback(self) -> Rollback | None:
        """The rollback that published it."""


def standing_holds(holds: Iterable[Hold], deployed: Deployed | None) -> tuple[Hold, ...]:
    """Return the holds that count where a release is deployed: a newer version than the held one lifts it.

    What a rollback restored lifts no hold on what it left, however their numbers compare: with an alias, an older
    version can be the newer release.
    """
    if deployed is None or deployed.rollback is not None:
        return tuple(holds)
    return tuple(hold for hold in holds if int(hold.version) >= int(deployed.source_version))


@dataclass(frozen=True)
class EdgeVersion:
    """A release of an edge model, as a version of the registered model.

    `passed` is false where it was published against its gates; `approved_until` is then the last day of its approval.
    `answers` names the instruction set that its rows were answered on, and the device's where that is another one.
    `rollback` is None for one that gates released.
    """

    name: str
    version: str
    lineage: Lineage
    file_sha256: str
    release: int
    passed: bool
    approved_until: str | None = None
    answers: str = NOT_RECORDED
    rollback: Rollback | None = None

    @property
    def source_version(self) -> str:
        """The upstream version that it was made from."""
        return self.lineage.source_version

    @property
    def run_key(self) -> str:
        """The key of the answer that it was released by."""
        return self.lineage.run_key

    def is_of(self, candidate: Candidate) -> bool:
        """Tell whether this is a release of a candidate."""
        return (self.run_key, self.file_sha256) == (candidate.lineage.run_key, candidate.file_sha256)

    @classmethod
    def of(cls, version: ModelVersion) -> "EdgeVersion":
        """Read a version of the registered model. Raises RegistryError for one that Edgewright did not register."""
        tags = version.tags
        try:
            return cls(
                version.name,
                str(version.version),
                Lineage.of(tags),
                tags[FILE_DIGEST],
                _release_of(tags.get(RELEASE)),
                tags.get(VERDICT) == PASSED,
                tags.get(APPROVED_UNTIL),
                tags.get(ANSWERS, NOT_RECORDED),
                Rollback.of(tags),
            )
        except KeyError as error:
            raise RegistryError(
                f"{version.name} version {version.version}: expected the tag {error} of an edge model that Edgewright "
                "registered, got none; move its alias to a version that has it"
            ) from error


@dataclass(frozen=True)
class ReleasePage:
    """Parts of a registered release beside its place: its candidate, and its page's description and tags."""

    candidate: Candidate
    description: str
    tags: Mapping[str, str]


def own_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that a release has by its file and verdict; those of its number and its fate are left out."""
    fate = {RELEASE, WAS_DEPLOYED, HOLD_LIFTED, *(f"edgewright.{name}" for name in _ROLLBACK_KEYS)}
    others = (ANCHOR_TAGS, FIELD_TAGS)
    return {key: text for key, text in tags.items() if key not in fate and not key.startswith(others)}


def _release_of(text: str | None) -> int:
    """Read a release number; 0 for a version that was registered before releases had numbers."""
    return int(text) if is_number(text) else 0


def is_number(text: str | None) -> TypeGuard[str]:
    """Tell the number of a version or a release from what somebody wrote into a tag by hand."""
    return text is not None and len(text) <= MOST_DIGITS and text.isascii() and text.isdecimal()


def upstream_of(tags: Mapping[str, str], versions: Iterable[Mapping[str, str]]) -> str | None:
    """Return the upstream model whose edge model this is: by its tag or, where that is missing, those of its versions.

    None for a model that Edgewright did not make: two models and their devices may give one name.
    """
    return tags.get(SOURCE_MODEL) or next((each[SOURCE_MODEL] for each in versions if SOURCE_MODEL in each), None)


def check_owner(
    name: str, model: str, tags: Mapping[str, str], versions: Callable[[], Iterable[Mapping[str, str]]]
) -> None:
    """Raise RegistryError unless a registered model is the edge model of a model; `versions` are asked for if need be.

    They are those tags that `upstream_of` reads where the registered model itself has none.
    """
    owner = upstream_of(tags, () if SOURCE_MODEL in tags else versions())
    if owner != model:
        got = f"one of `{owner}`" if owner else "a model that Edgewright did not make"
        raise RegistryError(
            f"registered model {name}: expected the edge model of `{model}`, got {got}; rename the device profile, or "
            "one of the two models in MLflow"
        )


def edge_name(model: str, device: str) -> str:
    """Return the name of the registered model for a device class."""
    return f"{model}-{device}"
