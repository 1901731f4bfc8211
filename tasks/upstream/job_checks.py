"""Checks before any long work: model, recipe, devices, workload and its rows, and the gates that rows can decide."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments.answers import BETWEEN, prediction_task, reference_of
from deployments.custom_metrics import load_custom_metrics
from deployments.device import DeviceProfile
from deployments.errors import ConfigurationError
from deployments.leaks import NearRows, near_rows
from deployments.recipe import Recipe, read_recipe
from deployments.user_calls import call_user_code
from deployments.workload import (
    DeploymentSample,
    Split,
    SplitName,
    Workload,
    check_leaks,
    read_sample,
    read_splits,
)
from quality_gates.errors import PolicyError
from quality_gates.evidence import KnownClasses, SliceIndex
from quality_gates.gates import (
    Calibration,
    Flips,
    FoundSlices,
    Gate,
    GatePolicy,
    PlanLine,
    check_slices,
    plan,
    unproven,
    unseen_classes,
    without_floor,
)
from quality_gates.policy import NAMED, SliceCondition
from tasks.emulation import answering_of, emulators_for
from tasks.errors import EmulatorMissing, PreflightError
from tasks.job import Job, known_classes, labelled_rows, right_answers
from tasks.registry import EdgeModels, Upstream
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")
SHOWN = 5
MANY_ROWS = 20_000  # above which looking for shared rows takes seconds
_ANCHOR_ALONE = (
    "expected a total over a number of looks beside gates against the anchor, got none, so that the anchor bounds the "
    "mean loss of many versions and not that of 19 in 20 sequences; set it, such as {total: 0.05, looks: 10}, where "
    "the test rows are enough for it"
)
CLASSES = "biuOSU"  # kinds of arrays that name classes; a float is a measured value
SEARCHED_AND_JUDGED: tuple[SplitName, ...] = ("validation", "test")


@task(name="preflight", task_run_name="preflight", cache_policy=NO_CACHE)
def preflight(model: str, version: str, recipe: Path, workspace: Workspace) -> Job:
    """Read and check recipe, devices, workload and model version, and warn of what would end badly.

    Raises ConfigurationError, PreflightError, RegistryError or RegistryUnavailable, each one sentence with a remedy.
    """
    job = read_job(model, version, recipe, workspace)
    for device in job.recipe.devices:
        EdgeModels(workspace.tracking_uri, model).check_owner(device.name)
    _warn_of_rows(recipe, job.recipe, job.workload, job.splits)
    for name, found in emulators_for(job.recipe.devices, workspace.home).items():
        if isinstance(found, EmulatorMissing):
            logger.warning("%s: its gates on answers will be inconclusive: %s", name, found)
    _warn_of_unproven_answers(job.recipe)
    return job


def read_job(model: str, version: str, recipe: Path, workspace: Workspace) -> Job:
    """Read and check recipe, devices, workload and model version, as preflight does, without a warning."""
    read = read_recipe(recipe)
    if read.model != model:
        raise PreflightError(
            f"{recipe}: key `model`: expected {model}, which is to be compressed, got {read.model}; "
            f"use the recipe of {model}"
        )
    upstream = Upstream(workspace.tracking_uri)
    upstream.check(model, version)
    workload, splits, sample = _data(recipe, read)
    identity = upstream.identity(model, version)
    return Job(model, version, read, workload, splits, workspace, sample, identity)


def _warn_of_unproven_answers(recipe: Recipe) -> None:
    """Warn of devices on which nothing can be published, as another instruction set answers here."""
    if recipe.accept_unproven_instruction_set:
        return
    for device in recipe.devices:
        cpu = answering_of(device).cpu
        if not cpu.is_proven:
            logger.warning(
                "%s: expected answers on the device's own instruction set, %s, got %s of %s, so that no version can be "
                "published there; give the profile emulated answers, use a machine of that class, or set "
                "`accept_unproven_instruction_set: true` in the recipe",
                device.name,
                cpu.of_device,
                cpu.set_in_words,
                cpu.name,
            )


def check_recipe(path: Path) -> tuple[Recipe, dict[SplitName, Split]]:
    """Read and check a recipe with all that it names, before any model is there."""
    recipe = read_recipe(path)
    workload, splits, _ = _data(path, recipe)
    _warn_of_rows(path, recipe, workload, splits)
    return recipe, splits


@dataclass(frozen=True, eq=False)
class PlannedRecipe:
    """A recipe whose gates are planned, with what is known of test and validation rows, and other splits' classes."""

    recipe: Recipe
    test: pd.DataFrame
    validation: pd.DataFrame
    classes: KnownClasses
    group: str | None

    def lines(self, device: DeviceProfile, discordance: float) -> list[PlanLine]:
        """Return a line for each gate of a device."""
        return list(plan(self.recipe.policy(device), self.test, discordance, self.classes, self.group))


def plan_of(path: Path) -> PlannedRecipe:
    """Read what the gates of a recipe can be planned by; raises ConfigurationError or PreflightError."""
    recipe, splits = check_recipe(path)
    workload = recipe.load_workload()
    test, validation = (labelled_rows(workload, splits[name]) for name in ("test", "validation"))
    return PlannedRecipe(recipe, test, validation, known_classes(workload, splits), workload.group)


def _data(path: Path, recipe: Recipe) -> tuple[Workload, dict[SplitName, Split], DeploymentSample | None]:
    try:
        load_custom_metrics(recipe.gates)
        workload = recipe.load_workload()
        splits = read_splits(workload)
        check_leaks(workload, splits)
        sample = read_sample(workload, splits) if recipe.representativeness else None
        for task, gates in zip(workload.of_models, recipe.gates_of_models, strict=True):
            check_gates_fit(task, gates)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    for name in SEARCHED_AND_JUDGED:
        try:
            check_slices(GatePolicy(gates=recipe.gates), splits[name].slices, name)
        except PolicyError as error:
            raise PreflightError(f"{path}: key `gates`: on the {name} split: {error}") from error
    return workload, splits, sample


def _warn_of_rows(path: Path, recipe: Recipe, workload: Workload, splits: Mapping[SplitName, Split]) -> None:
    """Warn of classes without rows where the recipe would need some, and of gates that show little."""
    _warn_of_shared_rows(workload, splits)
    try:
        _warn_of_missing_classes(workload, splits)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    _warn_of_unseen_classes(path, recipe, workload, splits)
    for gates in recipe.gates_of_models:
        if (said := unproven(gates)) is not None:
            logger.warning("%s: key `gates`: %s", path, said)
    index = SliceIndex(labelled_rows(workload, splits["test"]))
    bare = without_floor(recipe.gates, index, recipe.whole_tests)
    if bare:
        logger.warning("%s: key `gates`: %s", path, _said_of_floors(recipe, bare))
    if recipe.asks_for_anchor and recipe.alpha_spending is None:
        logger.warning("%s: key `alpha_spending`: %s", path, _ANCHOR_ALONE)


def _said_of_floors(recipe: Recipe, bare: Iterable[SliceCondition]) -> str:
    slices = "; ".join(map(str, bare))
    follows = (
        "a first release there is published without, as the recipe accepts"
        if recipe.first == "accept"
        else "a first release there is inconclusive"
    )
    return (
        f"expected a `limit` on a metric for every critical slice, got none where {slices}, so that {follows}; add one "
        "with this `slice`, or on the recall `of` the class where that is the target, at the least that is of use"
    )


def _warn_of_shared_rows(workload: Workload, splits: Mapping[SplitName, Split]) -> None:
    """Warn of rows that two splits share for a stated reason, and of those that are nearly the same.

    Raises ConfigurationError where Workload.text fails.
    """
    rows = sum(map(len, splits.values()))
    if rows > MANY_ROWS:
        logger.info("looking for rows that the splits share, among %d", rows)
    for each in check_leaks(workload, splits):
        if each.is_leak:
            logger.warning(
                "expected no row in two splits, got %s; the workload says why: %s", each, workload.shared_rows
            )
        elif each.judging == "validation":
            logger.warning(
                "expected calibration rows that are no validation rows, got %s; take them from the train split", each
            )
    for near in _near_rows(workload, splits):
        logger.warning(
            "expected different rows in the splits, got %s; look at these examples, and drop such rows in "
            "Workload.split if they show the same thing",
            near,
        )


def _near_rows(workload: Workload, splits: Mapping[SplitName, Split]) -> tuple[NearRows, ...]:
    """Return the rows of splits that are nearly the same, of pictures, and of texts where the workload writes them.

    Raises:
        ConfigurationError: Workload.text fails.
    """
    text = workload.text if workload.tells_text else None
    return call_user_code(
        lambda: tuple(near_rows(splits, text)),
        f"workload `{reference_of(workload)}`: expected texts of rows",
        "correct Workload.text",
    )


def check_gates_fit(workload: Workload, gates: Iterable[Gate]) -> None:
    """Check that the gates mean something for what the workload's default functions answer.

    Raises ConfigurationError: an error of a share, or a share of errors, would hold whatever the models answer.
    """
    task = prediction_task(workload.task)
    fitting = task.fitting_metrics
    if fitting is None or "score" in workload.written:
        return
    for gate in gates:
        metric = getattr(gate, "metric", None)
        if metric in NAMED and metric not in fitting:  # a proper score fits where there are probabilities: see below
            ours = ", ".join(sorted(fitting)) or "none of the named ones"
            raise ConfigurationError(
                f'key `gates`: {gate.name}: expected a metric that fits the task "{workload.task}" ({ours}, or a '
                f"custom metric as package.module:function), got {metric}; correct the gate's `metric`, or write the "
                "workload's `score`"
            )
        needed = _needed(gate, workload)
        if needed is not None:
            raise ConfigurationError(
                f"key `gates`: {gate.name}: expected {needed} for the kind {gate.kind}, got the task "
                f'"{workload.task}", which has none; remove the gate, or write them in the workload'
            )


def _needed(gate: Gate, workload: Workload) -> str | None:
    """Return what a gate of this kind needs and the workload's task does not give, else None."""
    if isinstance(gate, Flips | FoundSlices) and not workload.answers_are_shares:
        return "scores of 0 and 1"
    of_classes = workload.task in ("classification", "binary") or "probabilities" in workload.written
    return "probabilities of classes" if isinstance(gate, Calibration) and not of_classes else None


def _warn_of_missing_classes(workload: Workload, splits: Mapping[SplitName, Split]) -> None:
    """Warn of classes that training rows have and calibration rows lack.

    Raises ConfigurationError where Workload.right_answers fails.
    """
    missing = sorted(_classes(workload, splits["train"]) - _classes(workload, splits["calibration"]), key=str)
    if not missing:
        return
    named = ", ".join(str(each) for each in missing[:SHOWN])
    more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    logger.warning(
        "split `calibration`: expected rows of every class of the train split, got none of %s%s, so that INT8's "
        "ranges are taken without them; add such rows in Workload.split",
        named,
        more,
    )


def _warn_of_unseen_classes(path: Path, recipe: Recipe, workload: Workload, splits: Mapping[SplitName, Split]) -> None:
    """Warn of gates that a class without rows leaves open, on validation or on test."""
    known, policy = known_classes(workload, splits), GatePolicy(gates=recipe.gates)
    for name in SEARCHED_AND_JUDGED:
        for sentence in unseen_classes(policy, labelled_rows(workload, splits[name]), known):
            logger.warning("%s: key `gates`: on the %s split, %s", path, name, sentence)


def _classes(workload: Workload, split: Split) -> set[object]:
    """Return the classes that right answers name; those of a family have the task before them."""
    known = workload.known_targets(split.targets)
    return {each for task, own, targets in known for each in _classes_of(task, own, targets)}


def _classes_of(task: str, workload: Workload, targets: np.ndarray) -> set[object]:
    answers = right_answers(workload, targets)
    if answers is None or np.asarray(answers).dtype.kind not in CLASSES:
        return set()
    found = set(np.asarray(answers).ravel().tolist())
    if workload.task == "multi_label" and "right_answers" not in workload.written:
        found = {label for row in found for label in str(row).split(BETWEEN)}  # labels, not their combinations
    return {f"{task} {each}" for each in found} if task else found
