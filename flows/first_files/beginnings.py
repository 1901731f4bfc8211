"""The way from a registered model to its first files: look, match, suggest, write, check."""

import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from deployments.answers import TaskName, answers_of
from deployments.device import read_device, shipped_devices
from deployments.errors import ConfigurationError
from deployments.leaks import shared_rows
from deployments.rows import Split, SplitName
from deployments.workload import Workload, load_workload, read_splits
from edge_runtime.cpu import InstructionSet, this_instruction_set
from flows.first_files.array_folder import find_arrays
from flows.first_files.recipe_text import NewDevice, device_text, recipe_text, suggested_size_kb
from flows.first_files.row_plan import RowPlan, plan_rows
from flows.first_files.suggestions import Suggestions, suggest
from flows.first_files.workload_text import class_name, skeleton_text, workload_text
from flows.first_files.writing import FilePlaces, check_free, check_names, importable, write_new
from tasks.upstream import FirstLook, check_recipe, first_look, try_with_model
from tasks.workspace import Workspace

Ask = Callable[[str, str], str]
"""A way to ask a person: a question and the answer that stands where none is given."""
Say = Callable[[str], None]
NO_SLICE = "none"


@dataclass(frozen=True)
class Wishes:
    """Wishes of a person; None for what the model and the rows are to tell, or a question is to."""

    model: str
    version: str | None
    folder: Path
    rows: Path | None
    workload: str | None
    targets: str | None
    task: TaskName | None
    critical: tuple[str, ...]
    device: str | None
    instruction_set: InstructionSet | None
    threads: int | None
    size_kb: float | None
    memory_mb: float | None
    latency_ms: float | None
    output: str | None = None


@dataclass(frozen=True)
class FirstFiles:
    """The files that were written, and the recipe with the version that it can be tried with; None for a skeleton.

    `tried` says what the workload's functions gave with the registered model, and `accuracy` what share of the
    validation rows it has right; None where its answers are values.
    """

    written: tuple[Path, ...]
    version: str
    recipe: Path | None
    tried: str = ""
    accuracy: float | None = None


@dataclass(frozen=True)
class _Data:
    workload: Workload
    reference: str
    splits: Mapping[SplitName, Split]
    text: str | None


def begin(wishes: Wishes, workspace: Workspace, ask: Ask, say: Say) -> FirstFiles:
    """Write the first files of a model, and check them as `edgewright recipes check` does.

    Without rows and without a workload, only a skeleton of a workload is written. Raises ConfigurationError,
    RegistryError or PreflightError, each one sentence; nothing was written then, unless it is about written files.
    """
    with workspace.scratch() as scratch, importable(wishes.folder):
        check_names(wishes.model, wishes.device or None)
        places = FilePlaces(wishes.folder, wishes.model, wishes.device or "")
        check_free(places.recipe, *([] if wishes.workload else [places.workload]))
        output = load_workload(wishes.workload).output if wishes.workload else wishes.output
        look = first_look(wishes.model, wishes.version, workspace, scratch, output)
        say(
            f"Model {look.model} version {look.version}: {'; '.join(map(str, look.inputs))}; {look.parameters:,} "
            f"parameters{'' if look.trains else ', an ONNX file'}."
        )
        wishes = _with_rows(wishes, ask)
        if wishes.rows is None and wishes.workload is None:
            return FirstFiles((write_new(places.workload, skeleton_text(look)),), look.version, None)
        data = _data(wishes, places, look, scratch, say)
        found = _suggested(wishes, look, data, ask, say)
        return _written(wishes, look, data, found, ask, workspace)


def _with_rows(wishes: Wishes, ask: Ask) -> Wishes:
    if wishes.rows is not None or wishes.workload is not None:
        return wishes
    answer = ask("Folder with arrays of train, validation and test rows (nothing: write a skeleton to fill in)", "")
    return replace(wishes, rows=Path(answer)) if answer else wishes


def _data(wishes: Wishes, places: FilePlaces, look: FirstLook, scratch: Path, say: Say) -> _Data:
    if wishes.rows is None:
        workload = load_workload(str(wishes.workload))
        return _Data(workload, str(wishes.workload), read_splits(workload), None)
    plan = plan_rows(wishes.rows, find_arrays(wishes.rows), look, wishes.targets, wishes.task)
    say(_said(plan))
    reference = f"{places.module}:{class_name(look.model)}"
    for drop_shared in (False, True):
        text = workload_text(look, plan, drop_shared)
        workload = _loaded(text, scratch / f"{places.module}_{drop_shared}.py", class_name(look.model))
        splits = read_splits(workload)
        shared = [each for each in shared_rows(splits) if each.is_leak]
        if not shared:
            return _Data(workload, reference, splits, text)
        say(f"{'; '.join(map(str, shared))}: the workload leaves such rows out of the split that is judged.")
    raise ConfigurationError(
        f"{wishes.rows}: expected splits without the same rows, got {shared[0]}; take such rows out of one of them"
    )


def _loaded(text: str, path: Path, name: str) -> Workload:
    """Return the workload of a text, which is read from a file that nobody keeps."""
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{path}: expected a Python file, got none; free some space and try again")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: Workload = getattr(module, name)()
    return made


def _said(plan: RowPlan) -> str:
    inputs = "; ".join(f"{name}{f' with {way.said}' if way.said else ''}" for name, way in plan.inputs)
    slices = f", slices {', '.join(plan.slices)}" if plan.slices else ""
    return f"Rows of {plan.folder}: inputs {inputs}; right answers {plan.target}{slices}; task {plan.task}."


def _suggested(wishes: Wishes, look: FirstLook, data: _Data, ask: Ask, say: Say) -> Suggestions:
    validation, test = data.splits["validation"], data.splits["test"]
    answers = answers_of(data.workload, look.answers(validation.inputs), validation.targets)
    found = suggest(data.workload, validation, test, answers, wishes.critical)
    share = f"{found.whole.value:.1%} of the validation rows right"
    figure = {"mae": "error", "mean_score": "score"}.get(found.metric)
    say(
        f"The registered model answers with a mean {figure} of {found.whole.value:.3g} on validation."
        if figure is not None
        else f"The registered model answers {share}"
        + (f"; one answer for all rows, {found.guess:.1%}." if found.guess is not None else ".")
    )
    if found.looks_wrong:
        say(
            "That is hardly more than a guess: the rows are probably prepared in another way than for its training. "
            "Correct `split` in the workload before you go on."
        )
    if found.metric == "mae" or wishes.critical:
        return found
    best = f"{found.critical[0].column}={found.critical[0].equals}" if found.critical else NO_SLICE
    named = ask("Slice of rows that no version may lose, as COLUMN=VALUE, or none", best)
    if named == NO_SLICE:
        return replace(found, critical=())
    return found if named == best else suggest(data.workload, validation, test, answers, (named,))


def _written(
    wishes: Wishes, look: FirstLook, data: _Data, found: Suggestions, ask: Ask, workspace: Workspace
) -> FirstFiles:
    name = wishes.device or ask("Name of the class of devices", "edge-device")
    check_names(wishes.model, name)
    places = FilePlaces(wishes.folder, wishes.model, name)
    device = None
    if name in {each.name for each in shipped_devices()} or places.profile.exists():
        instruction_set = read_device(name, places.profile.parent).instruction_set
    else:
        device = _new_device(wishes, name, look, ask)
        instruction_set = device.instruction_set
    train = len(data.splits["train"])
    text = recipe_text(look, places.recipe_name, data.reference, name, instruction_set, found, train)
    written = [] if device is None else [write_new(places.profile, device_text(device))]
    if data.text is not None:
        written.append(write_new(places.workload, data.text))
    written.append(write_new(places.recipe, text))
    importlib.invalidate_caches()
    check_recipe(places.recipe)
    tried = try_with_model(places.recipe, workspace)
    accuracy = found.whole.value if found.metric == "accuracy" else None
    return FirstFiles(tuple(written), look.version, places.recipe, tried, accuracy)


def _new_device(wishes: Wishes, name: str, look: FirstLook, ask: Ask) -> NewDevice:
    suggested = suggested_size_kb(look)
    question = f"Most that the model's file may take, in kB (INT8 alone takes about {suggested:,})"
    return NewDevice(
        name=name,
        instruction_set=wishes.instruction_set or this_instruction_set() or "avx2",
        threads=wishes.threads or 1,
        size_kb=wishes.size_kb or _number(ask(question, str(suggested))),
        memory_mb=wishes.memory_mb,
        latency_ms=wishes.latency_ms,
    )


def _number(text: str) -> float:
    try:
        number = float(text.replace(",", ""))
    except ValueError:
        number = math.nan
    if not 1 <= number < math.inf:
        raise ConfigurationError(f"expected a number of kB of at least 1, got {text!r}; write it like 200")
    return number
