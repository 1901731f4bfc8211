"""Answers to versions under recipes, each as one tag of its version: read for all versions in a few pages.

The runs hold the answers. The tag is for whoever asks which versions want one, and is written after them. A copy of a
version in another model keeps its tags, so a tag counts only for the model and the version that it names.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

ANSWERED = "edgewright.answered."
LAST_TIME = 253_402_300_799_000
"""Milliseconds at the end of the year 9999, where calendars end."""


@dataclass(frozen=True)
class AnsweredDevice:
    """The answer on one device: its keys and their parts; the number of its release, None where it got none.

    `final` says that no new toolchain is a second chance; `withheld` that the test rows were worn. Where it waits for
    persons, `against` is the release that its gates saw and `until` the time (ms) of the last moment to sign.
    """

    answer: str
    key: str = ""
    question: str = ""
    final: bool = False
    withheld: bool = False
    release: int | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    against: int | None = None
    until: int | None = None


@dataclass(frozen=True)
class Answered:
    """The newest answer to a version under one recipe; `ended` is the time (ms) of it.

    `decided` is the time (ms) of the newest one that decided something, 0 where none did: a version that was decided
    stays so, whatever a later run could not decide. `attempts` counts the runs since then that decided nothing, with
    the key that all devices share.
    """

    model: str
    version: str
    recipe: str
    run: str
    answer: str
    ended: int
    key: str = ""
    attempts: int = 0
    decided: int = 0
    devices: Mapping[str, AnsweredDevice] = field(default_factory=dict)

    @property
    def is_decided(self) -> bool:
        """True where the version ever had an answer, which it gets not where something else than the version failed."""
        return self.decided > 0

    @property
    def tag(self) -> tuple[str, str]:
        """The name of the version's tag, and its text."""
        return f"{ANSWERED}{self.recipe}", json.dumps(asdict(self), separators=(",", ":"))


def answered_by(model: str, version: str, tags: Mapping[str, str]) -> dict[str, Answered]:
    """Return the answers that a version's own tags hold, by recipe; one that cannot be read counts as none."""
    texts = (text for name, text in tags.items() if name.startswith(ANSWERED))
    found = (each for each in map(_read, texts) if each is not None)
    return {each.recipe: each for each in found if (each.model, each.version) == (model, version)}


def _read(text: str) -> Answered | None:
    try:
        content: dict[str, Any] = json.loads(text)
        devices = {str(name): _device(told) for name, told in content["devices"].items()}
        read = Answered(**{**content, "devices": devices})
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    words = (read.model, read.version, read.recipe, read.run, read.answer, read.key)
    numbers = (read.ended, read.attempts, read.decided)
    return read if all(isinstance(word, str) for word in words) and all(map(_is_number, numbers)) else None


def _device(told: Mapping[str, Any]) -> AnsweredDevice:
    read = AnsweredDevice(**told)
    numbers = (read.release, read.against, read.until)
    if not isinstance(read.parts, Mapping) or not all(each is None or _is_number(each) for each in numbers):
        raise ValueError("expected parts by name, and whole numbers")
    if read.until is not None and read.until > LAST_TIME:
        raise ValueError("expected a time that a calendar has")
    return read


def _is_number(value: object) -> bool:
    """Tell a time, a count or a release from what somebody wrote into the tag by hand."""
    return type(value) is int and 0 <= value < 2**53
