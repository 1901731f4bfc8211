"""Values of the registry about edge models: where one came from, a judged candidate, and a release."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

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
class EdgeVersion:
    """A release of an edge model, as a version of the registered model.

    `passed` is false where it was published against its gates; `approved_until` is then the last day of its approval.
    `answers` names the instruction set that its rows were answered on, and the device's where that is another one.
    """

    name: str
    version: str
    lineage: Lineage
    file_sha256: str
    release: int
    passed: bool
    approved_until: str | None = None
    answers: str = NOT_RECORDED

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
            )
        except KeyError as error:
            raise RegistryError(
                f"{version.name} version {version.version}: expected the tag {error} of an edge model that Edgewright "
                "registered, got none; move its alias to a version that has it"
            ) from error


def _release_of(text: str | None) -> int:
    """Read a release number; 0 for a version that was registered before releases had numbers."""
    return int(text) if text is not None and text.isdecimal() else 0
