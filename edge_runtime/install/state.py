"""The state of one model on a device: what runs, what ran before, what is being tried, and what is not tried again."""

import json
import re
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from edge_runtime.errors import InstallError
from edge_runtime.files import make_directories, open_regular, write_atomic

MODELS = "models"
MOST_BAD = 50
MOST_ATTEMPTS = 3
"""Trials that may end without an answer, as by a power cut; then a bundle counts as one that takes the device down."""
_MAX_BYTES = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Trial:
    """A bundle that is being tried, by its digest, and the trials of it that have begun."""

    digest: str
    attempts: int


@dataclass(frozen=True)
class Refused:
    """A bundle that is not tried again, by its digest, and the reason in a sentence."""

    digest: str
    reason: str


@dataclass(frozen=True)
class ModelState:
    """Digests of the bundle that runs (`current`) and of the one before it; None where there is none.

    `since` says when the current one was committed, in UTC by the device's clock.
    """

    current: str | None = None
    previous: str | None = None
    trial: Trial | None = None
    refused: tuple[Refused, ...] = ()
    since: str | None = None

    @property
    def kept(self) -> tuple[str, ...]:
        """The bundles whose files must not be removed."""
        trial = None if self.trial is None else self.trial.digest
        return tuple(dict.fromkeys(each for each in (self.current, self.previous, trial) if each is not None))

    def reason_against(self, digest: str) -> str | None:
        """Return why a bundle is not tried again; None where it may be."""
        return next((each.reason for each in self.refused if each.digest == digest), None)

    def trying(self, digest: str) -> "ModelState":
        """Return the state with one more trial of a bundle begun."""
        return replace(self, trial=Trial(digest, self.attempts_of(digest) + 1))

    def attempts_of(self, digest: str) -> int:
        """Return how many trials of a bundle have begun and were not answered."""
        return self.trial.attempts if self.trial is not None and self.trial.digest == digest else 0

    def committed(self, digest: str, now: str) -> "ModelState":
        """Return the state in which a bundle runs; what ran until now is the way back."""
        previous = self.previous if self.current == digest else self.current
        return replace(self.permitting(digest), current=digest, previous=previous, trial=None, since=now)

    def refusing(self, digest: str, reason: str) -> "ModelState":
        """Return the state in which a bundle is not tried again."""
        kept = tuple(each for each in self.refused if each.digest != digest)
        return replace(self, trial=None, refused=(*kept, Refused(digest, reason))[-MOST_BAD:])

    def permitting(self, digest: str) -> "ModelState":
        """Return the state in which a bundle may be tried, whatever was before."""
        return replace(self, refused=tuple(each for each in self.refused if each.digest != digest))

    def back_to(self, previous: str, reason: str, now: str) -> "ModelState":
        """Return the state after the one way down: the bundle before runs, and the current one is not tried again."""
        left = self if self.current is None else self.refusing(self.current, reason)
        return replace(left.permitting(previous), current=previous, previous=None, since=now)


def state_path(root: Path, model: str) -> Path:
    """Return where a device's store has the state of a model."""
    return root / MODELS / f"{model}.json"


def read_state(root: Path, model: str) -> ModelState:
    """Read the state of a model; an empty one where nothing was ever installed. Raises InstallError for another form.

    The file is replaced in one step, so a power cut leaves the old or the new one.
    """
    path = state_path(root, model)
    try:
        with open_regular(path) as file:
            document = json.loads(file.read(_MAX_BYTES))
        return _decoded(document)
    except FileNotFoundError:
        return ModelState()
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InstallError(
            f"{path}: expected the state of {model}, got {type(error).__name__}: {error}. The disk is damaged, or "
            "somebody changed it; remove the file, and install again"
        ) from error


def write_state(root: Path, model: str, state: ModelState) -> None:
    """Replace the state of a model in one step, durably."""
    path = state_path(root, model)
    make_directories(path.parent)
    write_atomic(path, (json.dumps(asdict(state), indent=2) + "\n").encode())


def models_of(root: Path) -> list[str]:
    """Return the names of the models that a store has a state of."""
    return sorted(path.stem for path in (root / MODELS).glob("*.json") if not path.name.startswith("."))


def _decoded(document: Any) -> ModelState:
    expected = {field.name for field in fields(ModelState)}
    if not isinstance(document, dict) or set(document) != expected:
        raise ValueError(f"no object with the keys {sorted(expected)}")
    trial = document["trial"]
    state = ModelState(
        document["current"],
        document["previous"],
        None if trial is None else Trial(str(trial["digest"]), int(trial["attempts"])),
        tuple(Refused(str(each["digest"]), str(each["reason"])) for each in document["refused"]),
        None if document["since"] is None else str(document["since"]),
    )
    odd = [each for each in state.kept if not isinstance(each, str) or not _SHA256.fullmatch(each)]
    if odd:
        raise ValueError(f"{odd[0]!r} is no digest of a bundle")
    return state
