"""The state of one model on a device: what runs, and ran before, what is tried, what is not, and what runs beside."""

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from edge_runtime.errors import InstallError
from edge_runtime.files import make_directories, open_regular, write_atomic
from edge_runtime.install.shadow_terms import ShadowBudget

MODELS = "models"
_END = ".json"
_SHADOW = "shadow"
_COPY = ".copy"
MOST_BAD = 50
MOST_REASON = 1000
"""Characters of a reason that are kept: it may quote names in a graph, and a state must stay one that is read."""
MOST_ATTEMPTS = 3
"""Trials that may end without an answer, as by a power cut; then a bundle counts as one that takes the device down."""
_MAX_BYTES = 1 << 20
_log = logging.getLogger("edgewright")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # of a model, as its manifest may have it


@dataclass(frozen=True)
class BundleTrial:
    """A bundle that is being tried, by its digest, and the trials of it that have begun."""

    digest: str
    attempts: int


@dataclass(frozen=True)
class Refused:
    """A bundle that is not tried again, by its digest, and the reason in a sentence."""

    digest: str
    reason: str


@dataclass(frozen=True)
class ShadowChoice:
    """The bundle whose answers are compared with those of the current one, by its digest, and its budget.

    `since` says when it was chosen, in UTC by the device's clock.
    """

    digest: str
    budget: ShadowBudget
    since: str


@dataclass(frozen=True)
class ModelState:
    """Digests of the bundle that runs (`current`) and of the one before it; None where there is none.

    `since` says when the current one was committed, in UTC by the device's clock. `shadow` is never the current one.
    """

    current: str | None = None
    previous: str | None = None
    trial: BundleTrial | None = None
    refused: tuple[Refused, ...] = ()
    since: str | None = None
    shadow: ShadowChoice | None = None

    @property
    def kept(self) -> tuple[str, ...]:
        """The bundles whose files must not be removed."""
        named = (None if each is None else each.digest for each in (self.trial, self.shadow))
        return tuple(dict.fromkeys(each for each in (self.current, self.previous, *named) if each is not None))

    def reason_against(self, digest: str) -> str | None:
        """Return why a bundle is not tried again; None where it may be."""
        return next((each.reason for each in self.refused if each.digest == digest), None)

    def trying(self, digest: str) -> "ModelState":
        """Return the state with one more trial of a bundle begun."""
        return replace(self, trial=BundleTrial(digest, self.attempts_of(digest) + 1))

    def attempts_of(self, digest: str) -> int:
        """Return how many trials of a bundle have begun and were not answered."""
        return self.trial.attempts if self.trial is not None and self.trial.digest == digest else 0

    def committed(self, digest: str, now: str) -> "ModelState":
        """Return the state in which a bundle runs; what ran until now is the way back."""
        previous = self.previous if self.current == digest else self.current
        left = self.permitting(digest).without_shadow(digest)
        return replace(left, current=digest, previous=previous, trial=None, since=now)

    def refusing(self, digest: str, reason: str) -> "ModelState":
        """Return the state in which a bundle is not tried again, and is no shadow."""
        kept = tuple(each for each in self.refused if each.digest != digest)
        refused = (*kept, Refused(digest, reason[:MOST_REASON]))[-MOST_BAD:]
        return replace(self.without_shadow(digest), trial=None, refused=refused)

    def shadowed(self, shadow: ShadowChoice) -> "ModelState":
        """Return the state in which a bundle answers beside the current one."""
        return replace(self.permitting(shadow.digest), trial=None, shadow=shadow)

    def without_shadow(self, digest: str | None = None) -> "ModelState":
        """Return the state without its shadow, or without this one."""
        stays = self.shadow is not None and digest is not None and self.shadow.digest != digest
        return self if stays else replace(self, shadow=None)

    def permitting(self, digest: str) -> "ModelState":
        """Return the state in which a bundle may be tried, whatever was before."""
        return replace(self, refused=tuple(each for each in self.refused if each.digest != digest))

    def back_to(self, previous: str, reason: str | None, now: str) -> "ModelState":
        """Return the state after the one way down: the bundle before runs, and the current one is not tried again.

        Without a reason against it, the current one may be tried again.
        """
        left = self if self.current is None or reason is None else self.refusing(self.current, reason)
        left = left.permitting(previous).without_shadow(previous)
        return replace(left, current=previous, previous=None, since=now)


def state_path(root: Path, model: str) -> Path:
    """Return where a device's store has the state of a model."""
    return root / MODELS / f"{model}{_END}"


def stamp_of_state(root: Path, model: str) -> tuple[int, int, int] | None:
    """Return a value that differs after each change of a model's state, without reading it; None where it has none.

    A state is written as a new file each time, so its number, its time and its size tell it from the one before.
    """
    try:
        status = state_path(root, model).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def read_state(root: Path, model: str) -> ModelState:
    """Read the state of a model; an empty one where nothing was ever installed.

    Each file is replaced in one step, so a power cut leaves the old or the new one. A bit that flips in one of them
    leaves the other. Raises InstallError where neither can be read.
    """
    missing, failures = 0, []
    for path in (state_path(root, model), _copy_path(root, model)):
        try:
            return _read(path)
        except FileNotFoundError:
            missing += 1
        except (OSError, ValueError, TypeError, KeyError, InstallError) as error:
            failures.append(error)
    if missing == len(("state", "copy")):
        return ModelState()
    raise InstallError(
        f"{state_path(root, model)}: expected the state of {model}, got {failures[0]}, and its copy cannot be read "
        "either. The disk is damaged, or somebody changed them; the next install begins it anew"
    ) from failures[0]


def recovered_state(root: Path, model: str) -> ModelState:
    """Read the state of a model; where it cannot be read, begin anew, and keep the damaged files aside.

    Nobody stands next to a device: what can be installed again is, rather than that a person is waited for.
    """
    try:
        return read_state(root, model)
    except InstallError as error:
        _log.error(
            "%s: its state is lost and begun anew, so what was refused before may be tried again: %s", model, error
        )
        for path in (state_path(root, model), _copy_path(root, model)):
            with suppress(FileNotFoundError):
                path.replace(path.with_name(f".{path.name}.damaged"))
        return ModelState()


def write_state(root: Path, model: str, state: ModelState) -> None:
    """Replace the state of a model in one step, durably, and then its copy.

    Without a shadow there is no key for one, so that a release that knows of none reads it.
    """
    path, document = state_path(root, model), asdict(state)
    if state.shadow is None:
        del document[_SHADOW]
    make_directories(path.parent)
    content = (json.dumps(document | {"check": _check(document)}, indent=2) + "\n").encode()
    write_atomic(path, content)
    write_atomic(_copy_path(root, model), content)


def models_of(root: Path) -> list[str]:
    """Return the names of the models that a store has a state of; what has no name of a model is none."""
    paths = (path for path in (root / MODELS).iterdir()) if (root / MODELS).is_dir() else ()
    names = (path.name.removesuffix(_COPY) for path in paths)
    models = {name.removesuffix(_END) for name in names if name.endswith(_END)}
    return sorted(model for model in models if _NAME.fullmatch(model))


def _copy_path(root: Path, model: str) -> Path:
    return root / MODELS / f"{model}{_END}{_COPY}"


def _check(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> ModelState:
    with open_regular(path) as file:
        document = json.loads(file.read(_MAX_BYTES))
    expected = {field.name for field in fields(ModelState)} - {_SHADOW} | {"check"}
    if not isinstance(document, dict) or set(document) - {_SHADOW} != expected:
        raise ValueError(f"no object with the keys {sorted(expected)}")
    if document.pop("check") != _check(document):
        raise ValueError("a content that is not what was written")
    return _decoded(document)


def _decoded(document: Mapping[str, Any]) -> ModelState:
    trial, shadow = document["trial"], document.get(_SHADOW)
    state = ModelState(
        document["current"],
        document["previous"],
        None if trial is None else BundleTrial(str(trial["digest"]), int(trial["attempts"])),
        tuple(Refused(str(each["digest"]), str(each["reason"])) for each in document["refused"]),
        None if document["since"] is None else str(document["since"]),
        None if shadow is None else _shadow(shadow),
    )
    odd = [each for each in state.kept if not isinstance(each, str) or not _SHA256.fullmatch(each)]
    if odd:
        raise ValueError(f"{odd[0]!r} is no digest of a bundle")
    return state


def _shadow(document: Mapping[str, Any]) -> ShadowChoice:
    budget = document["budget"]
    return ShadowChoice(document["digest"], ShadowBudget(budget["share"], budget["memory_mb"]), str(document["since"]))
