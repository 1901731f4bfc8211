"""The programs of a family's members: read as those of any upstream model, and checked against each other."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.export import ExportedProgram

from deployments.errors import ConfigurationError
from deployments.recipe import FamilyMember, FamilyRecipe
from deployments.workload import load_workload, read_splits
from model_compression.errors import CompressionError
from model_compression.families import Member, batch_statistics
from model_compression.intake import InputSpec, input_specs, rebuild
from model_compression.training import tensors
from tasks.errors import PreflightError
from tasks.families.family_record import RecordedMember
from tasks.job import Job
from tasks.upstream import REMEDY, TorchParent, resolve
from tasks.workspace import Workspace

CHECKED_ROWS = 64


@dataclass(frozen=True, eq=False)
class ReadMember:
    """A member with its rebuilt program, and validation rows of its own task."""

    recorded: RecordedMember
    member: Member
    inputs: tuple[InputSpec, ...]
    rows: tuple[Tensor, ...]


def read_members(
    recipe: FamilyRecipe, recorded: Sequence[RecordedMember], workspace: Workspace
) -> tuple[ReadMember, ...]:
    """Read every member as one model is read: its workload, its rows, its program, and that they fit each other.

    Raises ConfigurationError, PreflightError, RegistryError or CompressionError, each with the member's name.
    """
    read = tuple(
        _read(recipe, member, record, workspace) for member, record in zip(recipe.members, recorded, strict=True)
    )
    for each in read[1:]:
        _check_inputs(read[0], each)
    return read


def _read(recipe: FamilyRecipe, member: FamilyMember, record: RecordedMember, workspace: Workspace) -> ReadMember:
    try:
        job = _job(recipe, member, record, workspace)
        parent = resolve.fn(job)
        if not isinstance(parent, TorchParent):
            raise PreflightError(
                f"model `{record.model}` version {record.version}: expected a torch program, got an ONNX file, whose "
                f"layers cannot be joined with others; {REMEDY}"
            )
        _check_batch_norms(parent.exported)
        rows = tensors(tuple(array[:CHECKED_ROWS] for array in job.splits["validation"].inputs))
        model = rebuild(parent.exported)
        _check_outputs(member, model(*rows))
    except (ConfigurationError, PreflightError, CompressionError) as error:
        raise type(error)(f"member `{member.name}`: {error}") from error
    return ReadMember(record, Member(member.name, model), tuple(input_specs(parent.exported)), rows)


def _job(recipe: FamilyRecipe, member: FamilyMember, record: RecordedMember, workspace: Workspace) -> Job:
    """Return what one model is read with: the member's own model, data and gates."""
    workload = load_workload(member.workload)
    own = recipe.model_copy(update={"model": member.model, "workload": member.workload, "gates": member.gates})
    splits = read_splits(workload)
    return Job(member.model, record.version, own, workload, splits, workspace, identity=record.identity)


def _check_batch_norms(program: ExportedProgram) -> None:
    norms = batch_statistics(program)
    if norms:
        more = f" and {len(norms) - 1} more" if len(norms) > 1 else ""
        raise PreflightError(
            f"expected batch norms with statistics of their own, got those of the batch in `{norms[0]}`{more}, so that "
            "a row's answer depends on the rows beside it; call model.eval() before the model is registered"
        )


def _check_outputs(member: FamilyMember, answers: Tensor) -> None:
    got = tuple(answers.shape[1:])
    if got != tuple(member.outputs):
        raise PreflightError(
            f"key `outputs`: expected {list(got)}, the shape of the model's output for one row, got "
            f"{list(member.outputs)}; correct it in the recipe"
        )
    if answers.dtype is not torch.float32:
        kind = str(answers.dtype).removeprefix("torch.")
        raise PreflightError(
            f"expected answers as float32, which stand side by side with those of other members, got {kind}; register "
            "a model that gives float32"
        )


def _check_inputs(first: ReadMember, other: ReadMember) -> None:
    """Raise PreflightError where two members take different rows, or the same ones in another order."""
    ours, theirs = ([(spec.dtype, spec.shape) for spec in each.inputs] for each in (first, other))
    names = [[spec.name for spec in each.inputs] for each in (first, other)]
    swapped = names[0] != names[1] and sorted(names[0]) == sorted(names[1])
    if ours != theirs or swapped:
        got = " and ".join(f"{_described(each.inputs)} of `{each.recorded.name}`" for each in (first, other))
        raise PreflightError(
            f"expected members that take the same rows in the same order, got {got}; only such models are a family"
        )


def _described(inputs: Sequence[InputSpec]) -> str:
    sizes = (["rows", *("any" if size is None else str(size) for size in spec.shape[1:])] for spec in inputs)
    kinds = (f"{spec.name}: {str(spec.dtype).removeprefix('torch.')}" for spec in inputs)
    return "; ".join(f"{kind} ({', '.join(each)})" for kind, each in zip(kinds, sizes, strict=True))
