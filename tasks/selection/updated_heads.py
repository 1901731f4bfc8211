"""New heads on the backbone of the deployed release: a new version of some members of a family, and nothing else new.

This is tried by itself where the version's backbone is that of the release. The release's backbone and its other heads
are kept byte for byte, so that only the new heads are made, gated and sent to devices.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from deployments.rungs import Rung
from deployments.yaml_file import stated
from model_compression.errors import CompressionError
from tasks.compression import (
    Baseline,
    DeployedFamily,
    FamilyParts,
    ReleaseStructure,
    Snapshot,
    Trajectory,
    check_bounds,
    may_lose_alike,
    members_of,
    released_program,
    released_structure,
    rung_of,
    update_family,
)
from tasks.errors import StructureLost, SystemFailure
from tasks.families import FamilyRecord
from tasks.registry import EdgeVersion
from tasks.selection.attempts import Attempt, Trials, closest, release_file
from tasks.selection.kept_structures import KeptStructure
from tasks.selection.told_advances import tell_attempt
from tasks.store import digest_of
from tasks.upstream import DeviceContext

logger = logging.getLogger("edgewright")
WHOLE = "The whole family was compressed"


@dataclass(frozen=True)
class _Update:
    """The new parts of a version: heads of some tasks, made from members of these identities, by a rung."""

    family: DeployedFamily
    rung: Rung
    origins: dict[str, str]
    new: tuple[str, ...]


def update_heads(
    context: DeviceContext, trials: Trials, baseline: Baseline, deployed: EdgeVersion | None
) -> KeptStructure:
    """Try the release's backbone with a new head for each member that has a new version.

    A new head that misses its gates on validation gives way to the former one. Where backbone, recipe or device
    changed, the whole family is to be compressed, and the sentence says why.
    """
    try:
        update = _update_of(context, deployed)
        first = trials.attempt(update_family(context, update.family, update.origins, update.new), update.rung)
        return _decided(context, trials, baseline, update, first)
    except (StructureLost, CompressionError) as error:
        return KeptStructure(f"{WHOLE}: {error}.")


def _update_of(context: DeviceContext, deployed: EdgeVersion | None) -> _Update:
    """Return what is new since the deployed release. Raises StructureLost where more than heads is."""
    if deployed is None:
        raise StructureLost(f"nothing is deployed on {context.device.name} yet")
    number, structure = deployed.release, released_structure(context, deployed)
    parts = None if structure is None else structure.family
    if structure is None or parts is None:
        raise StructureLost(f"release {number} has no record of its members that can be read")
    record = members_of(context, context.job.version)
    if record is None:
        raise StructureLost(f"version {context.job.version} was not made by `edgewright family compose`")
    _check_alike(context, number, structure, parts, record)
    origins = {member.name: member.identity for member in record.members}
    new = tuple(task for task, identity in origins.items() if identity != parts.heads[task])
    if not new:
        raise StructureLost(f"no member has another version than in release {number}")
    rung, program = rung_of(context, structure), released_program(context, deployed, parts)
    if program is None:
        raise StructureLost(f"the float model of release {number} is not there")
    try:
        file = release_file(context, deployed)
    except SystemFailure as error:
        raise StructureLost(f"the file of release {number} is not there ({error})") from error
    family = DeployedFamily(number, parts, structure.parent, structure.history, program, file)
    return _Update(family, rung, origins, new)


def _check_alike(
    context: DeviceContext, number: int, structure: ReleaseStructure, parts: FamilyParts, record: FamilyRecord
) -> None:
    """Raise StructureLost where members, backbone, recipe or device are others than those of the release."""
    before, now = list(parts.heads), [member.name for member in record.members]
    if before != now:
        version = f"version {context.job.version} has {', '.join(now)}"
        raise StructureLost(f"release {number} has the members {', '.join(before)}, and {version}")
    if parts.backbone != record.digest:
        raise StructureLost(f"version {context.job.version} has another backbone than release {number}")
    check_bounds(context, structure)
    if parts.profile != digest_of(stated(context.device)):
        raise StructureLost(f"the profile of {context.device.name} changed since release {number}")


def _decided(
    context: DeviceContext, trials: Trials, baseline: Baseline, update: _Update, first: Attempt
) -> KeptStructure:
    """Take the attempt with all new heads, or see what else may hold."""
    number, rung, missed = update.family.release, update.rung.title, _missed(first)
    if first.verdict.passed:
        tell_attempt(context, first, 1, 0)
        return _taken(baseline, first, f"{_kept(number, update.new)} {rung} holds every gate on validation.")
    if any(_misses(first, task) for task in context.job.tasks if task not in update.new):
        first = first.saying("Next: the whole family.")
        tell_attempt(context, first, 0, len(context.rungs))
        why = f"with the backbone of release {number}, {rung} misses {missed} on validation"
        return KeptStructure(f"{WHOLE}: {why}, which a new head of {_listed(update.new)} does not change.", first)
    if first.misses_resources_only and may_lose_alike(context, update.family, update.new):
        smaller = trials.attempt(
            update_family(context, update.family, update.origins, update.new, alike=True), update.rung
        )
        if smaller.verdict.passed:
            first = first.saying("Next: without what the former head lost.")
            tell_attempt(context, first, 1, 1)
            tell_attempt(context, smaller, 2, 0)
            one, they = ("one", "It") if len(update.new) == 1 else ("ones", "They")
            lost = f"{they} lost what the former {one} lost, as {rung} misses {missed} on validation otherwise."
            said = f"{_kept(number, update.new)} {lost} With that, every gate holds."
            return _taken(baseline, smaller, said, (first,))
    return _with_former(context, trials, baseline, update, first)


def _with_former(
    context: DeviceContext, trials: Trials, baseline: Baseline, update: _Update, first: Attempt
) -> KeptStructure:
    """Try the former heads of those tasks that miss their gates; of all, where the file as a whole misses some."""
    number, rung, missed = update.family.release, update.rung.title, _missed(first)
    failed = tuple(task for task in update.new if _misses(first, task)) or update.new
    first = first.saying(f"Next: the former {_heads(failed)}.")
    tell_attempt(context, first, 1, 1)
    left = tuple(task for task in update.new if task not in failed)
    second = trials.attempt(update_family(context, update.family, update.origins, left), update.rung)
    tell_attempt(context, second, 2, 0)
    one, is_one = "one" if len(failed) == 1 else "ones", len(failed) == 1
    if second.verdict.passed:
        kept = f"{_kept(number, left)} " if left else ""
        stays = f"The former {_heads(failed)}, of release {number}, {'stays' if is_one else 'stay'}"
        because = f"as with the new {one} {rung} misses {missed} on validation"
        return _taken(
            baseline, second, f"{kept}{stays}, {because}. Every gate holds there with the former {one}.", (first,)
        )
    chosen = closest([second, first])
    refused = f"The new {_heads(failed)} {'is' if is_one else 'are'} refused, and so {'is' if is_one else 'are'} the"
    misses = f"{rung} misses {missed} on validation with the new {one}, and {_missed(second)} with the former {one}"
    return _taken(baseline, chosen, f"{refused} former {one}: {misses}.", (second if chosen is first else first,))


def _taken(baseline: Baseline, attempt: Attempt, sentence: str, before: tuple[Attempt, ...] = ()) -> KeptStructure:
    release = attempt.snapshot.release if isinstance(attempt.snapshot, Snapshot) else None
    models = [model for model in (baseline.snapshot, attempt.snapshot) if isinstance(model, Snapshot)]
    trajectory = Trajectory(tuple(models), (), f"the backbone of release {release} was kept", (), release=release)
    return KeptStructure(sentence, attempt, trajectory, before)


def _missed(attempt: Attempt) -> str:
    return ", ".join(sorted(attempt.missed))


def _misses(attempt: Attempt, task: str) -> bool:
    """Tell whether a gate on the rows of a task does not hold; such gates have the task's name in front."""
    return any(gate.startswith(f"{task}: ") for gate in attempt.missed)


def _kept(number: int, new: Sequence[str]) -> str:
    is_new = f"the {_heads(new)} {'is' if len(new) == 1 else 'are'} new"
    return f"Only {is_new}: the backbone and the other heads are those of release {number}, byte for byte."


def _heads(tasks: Sequence[str]) -> str:
    return f"{'head' if len(tasks) == 1 else 'heads'} of {_listed(tasks)}"


def _listed(tasks: Sequence[str]) -> str:
    return " and ".join(tasks)
