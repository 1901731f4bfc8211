"""The parts that an answer depends on, each under a name of its own, so that what changed can be said in words.

They are kept with an answer. Beside the answer's key, which is one digest of them all, they decide nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from deployments.device import DeviceProfile, OverSsh
from deployments.recipe import WHEN, Recipe
from deployments.yaml_file import stated
from tasks.device_link import place_of
from tasks.emulation import answering_of, emulators_for
from tasks.errors import EmulatorMissing
from tasks.store import digest_of

SHORT = 12
SOMETHING = "something that its answer depends on changed"
_SENTENCES = {
    "model": "the registered model was made anew",
    "recipe": "{names} of the recipe changed",
    "workload": "the workload's code changed",
    "rows": "the rows of {names} changed",
    "data version": "the workload's data version changed",
    "metrics": "a custom metric changed",
    "edgewright": "Edgewright itself changed",
    "library": "{changes}",
    "device": "{names} of the device profile changed",
    "cpu": "another CPU answers: {changes}",
    "emulator": "the emulator changed",
}
"""The sentence about the parts of each kind: a part is named KIND or KIND/NAME."""


@dataclass(frozen=True)
class AnswerKeys:
    """The key of one device's answer, the key of what people decide on in it, and the parts of the key."""

    key: str
    question: str
    parts: Mapping[str, str] = field(default_factory=dict)


def recipe_parts(recipe: Recipe) -> dict[str, str]:
    """Return the parts that a recipe's keys are, without its devices and without what only says when to run."""
    stays = {name: value for name, value in stated(recipe).items() if name not in {"devices", *WHEN}}
    return {f"recipe/{name}": _short(value) for name, value in stays.items()}


def profile_parts(device: DeviceProfile) -> dict[str, str]:
    """Return the parts that a device profile's keys are."""
    return {f"device/{name}": _short(value) for name, value in stated(device).items()}


def cpu_parts(device: DeviceProfile, home: Path) -> dict[str, str]:
    """Return the CPU and the emulator that answer for a device; one that answers itself is not asked for its CPU."""
    if isinstance(device.measure, OverSsh):
        return {"cpu": place_of(device.measure), "emulator": ""}
    found = emulators_for([device], home).get(device.name)
    emulator = "missing" if isinstance(found, EmulatorMissing) else "" if found is None else _short(found.identity)
    return {"cpu": str(answering_of(device).cpu), "emulator": emulator}


def changed_parts(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Return a sentence for each kind of part that differs, of the kinds that `now` has; none where all are equal."""
    kinds = {_kind(name) for name in now}
    names = [name for name in {**before, **now} if _kind(name) in kinds and before.get(name) != now.get(name)]
    order = list(_SENTENCES)
    names.sort(key=lambda name: (order.index(_kind(name)) if _kind(name) in order else len(order), name))
    return tuple(_sentences(before, now, names))


def _sentences(before: Mapping[str, str], now: Mapping[str, str], differing: Sequence[str]) -> Iterator[str]:
    for kind, names in groupby(differing, _kind):
        listed = list(names)
        own = [name.partition("/")[2] for name in listed]
        changes = [f"{short} {before.get(name, '-')} > {now.get(name, '-')}".strip()
                   for short, name in zip(own, listed, strict=True)]  # fmt: skip
        yield _SENTENCES.get(kind, SOMETHING).format(names=_listed(own), changes=_listed(changes))


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _kind(name: str) -> str:
    return name.partition("/")[0]


def _short(value: Any) -> str:
    return digest_of(value)[:SHORT]
