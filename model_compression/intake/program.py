"""A registered `pt2` program: read without unpickling or running its code; its inputs, output, weights."""

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind, TensorArgument
from torch.utils import _pytree as pytree

from model_compression.errors import IntakeError
from model_compression.intake.regions import inline_regions
from model_compression.intake.screening import screen

if TYPE_CHECKING:  # what reads an archive takes a second to import, and only a job whose checks held reads one
    from torch.export.pt2_archive import PT2ArchiveReader

_MODEL = "models/model.json"
_PAYLOADS = {
    "weights": ("data/weights/model_weights_config.json", "data/weights/model.pt"),
    "constants": ("data/constants/model_constants_config.json", "data/constants/model.pt"),
}
_RAW_PREFIXES = ("weight_", "tensor_")
_REGISTER_AGAIN = "register the model again with mlflow.pytorch.log_model and its default serialization, `pt2`"
_LOG_AGAIN = "register with an input_example of 2 or more rows"
_SHOWN = 5


def load_program(path: Path) -> ExportedProgram:
    """Load a program that `torch.export.save` wrote, as MLflow's `pt2` flavour does.

    `torch.export.load` would unpickle sample inputs and flagged weights with `weights_only=False`, open bundled shared
    objects and compile guards. This function reads the graph (screened), the raw weights and the raw constants, and
    nothing else: the program has no example inputs. Raises IntakeError for a file that is missing, is no `pt2`, is
    truncated, or holds a pickle in the place of a tensor.
    """
    archive = _open(path)
    try:
        return _read(archive)
    except IntakeError as error:
        raise IntakeError(f"{path}: {error}") from error
    except Exception as error:  # torch raises any of a dozen types for a damaged archive
        raise IntakeError(
            f"{path}: expected a program of torch.export, but reading it failed: "
            f"{type(error).__name__}: {str(error)[:200]}; {_REGISTER_AGAIN}"
        ) from error


def _open(path: Path) -> "PT2ArchiveReader":
    from torch.export.pt2_archive import PT2ArchiveReader

    if not path.is_file():
        raise IntakeError(f"{path}: expected a `pt2` file, found none; check the model version's artifacts")
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            raise IntakeError(f"{path}: expected a `pt2` file, got a file that is no archive; {_REGISTER_AGAIN}")
    try:
        return PT2ArchiveReader(str(path))
    except (RuntimeError, AssertionError) as error:
        raise IntakeError(
            f"{path}: expected a whole `pt2` file, got a truncated archive or one of another kind; "
            f"download it again or {_REGISTER_AGAIN}"
        ) from error


def _read(archive: "PT2ArchiveReader") -> ExportedProgram:
    from torch._export.serde import schema
    from torch._export.serde.serialize import ExportedProgramDeserializer, _dict_to_dataclass
    from torch.export.pt2_archive._package import _load_constants, _load_state_dict

    records = set(archive.get_file_names())
    if _MODEL not in records:
        raise IntakeError(f"expected a program in {_MODEL}, found none; {_REGISTER_AGAIN}")
    for kind in _PAYLOADS:
        _check_payload(archive, records, kind)
    text = json.loads(archive.read_bytes(_MODEL))
    screen(text)
    text["guards_code"] = []
    program: ExportedProgram = ExportedProgramDeserializer().deserialize(
        _dict_to_dataclass(schema.ExportedProgram, text),
        _tensors(_load_state_dict(archive, "model")),
        _tensors(_load_constants(archive, "model")),
    )
    return inline_regions(program)


def _check_payload(archive: "PT2ArchiveReader", records: Collection[str], kind: str) -> None:
    config, pickled = _PAYLOADS[kind]
    if pickled in records:
        raise IntakeError(f"expected raw {kind}, got the pickle {pickled} of an old torch; {_REGISTER_AGAIN}")
    if config not in records:
        raise IntakeError(f"expected the list of {kind} in {config}, found none; {_REGISTER_AGAIN}")
    entries: dict[str, dict[str, Any]] = json.loads(archive.read_bytes(config))["config"]
    for name, entry in entries.items():
        if entry["use_pickle"] is not False or not entry["path_name"].startswith(_RAW_PREFIXES):
            raise IntakeError(
                f"expected raw {kind}, but {name[:80]!r} is stored as a pickle, which could run its author's code; "
                "register a model of plain tensors (no tensor subclasses, no custom objects)"
            )
    screen(list(entries.values()))


def _tensors(payload: dict[str, Tensor] | bytes) -> dict[str, Tensor]:
    if isinstance(payload, bytes):
        raise IntakeError(f"expected raw tensors, got a pickle; {_REGISTER_AGAIN}")
    return payload


class InputSpec(NamedTuple):
    """One input: its name, its dtype, and its shape with None for a size that may change."""

    name: str
    dtype: torch.dtype
    shape: tuple[int | None, ...]


def input_specs(program: ExportedProgram) -> list[InputSpec]:
    """List the program's inputs in the order in which they are passed.

    Raises IntakeError for an input that is no tensor.
    """
    return [_spec(str(node.target), node.meta["val"]) for node in user_inputs(program)]


def user_inputs(program: ExportedProgram) -> list[fx.Node]:
    """Return the placeholders that a caller fills. Raises IntakeError for one that is no plain tensor."""
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
    pairs = zip(placeholders, program.graph_signature.input_specs, strict=True)
    inputs = [(node, spec.arg) for node, spec in pairs if spec.kind is InputKind.USER_INPUT]
    arguments, keywords = program.call_spec.in_spec.children()
    nested = any(not child.is_leaf() for child in (*arguments.children(), *keywords.children()))
    others = [node.name for node, arg in inputs if not isinstance(arg, TensorArgument)]
    if nested or others:
        got = f"{', '.join(others)} of another type" if others else "nested containers"
        raise IntakeError(f"expected tensors as the model's inputs, got {got}; let forward() take tensors only")
    return [node for node, _ in inputs]


def check_dynamic_batch(program: ExportedProgram) -> None:
    """Raise IntakeError if the program was exported for one batch size only."""
    for name, _, shape in input_specs(program):
        if not shape or shape[0] is not None:
            got = f"a fixed batch size of {shape[0]}" if shape else "no batch dimension"
            raise IntakeError(
                f"expected a program whose batch size may change, got {got} in input '{name}' of shape "
                f"{list(shape)}; {_LOG_AGAIN} (and, where a signature is given, -1 as its first size){_or_in(shape)}"
            )


def check_single_precision(program: ExportedProgram) -> None:
    """Raise IntakeError if most weights are float64: no rung makes integers or 16 bits of them."""
    names = program.graph_signature.parameters
    weights = [program.state_dict[name] for name in names if name in program.state_dict]
    doubles = [weight for weight in weights if weight.dtype is torch.float64]
    if 2 * sum(weight.numel() for weight in doubles) > sum(weight.numel() for weight in weights):
        raise IntakeError(
            f"expected weights of float32, got float64 in {len(doubles)} of {len(weights)} parameters, which no rung "
            "makes smaller; register `model.float()` with rows of float32"
        )


def _or_in(shape: tuple[int | None, ...]) -> str:
    """Write what else fixes a batch size of several rows: the model's own code."""
    if not shape or shape[0] in (0, 1, None):
        return ""
    return "; if it was, forward() makes the size a number, as len(x), int() and loops over rows do: write x.shape[0]"


def output_nodes(program: ExportedProgram) -> list[fx.Node]:
    """Return the nodes of the program's outputs, in their order; places that hold None are left out.

    Raises IntakeError for an output of another type.
    """
    found = [result for _, result in _results(program) if result is not None]
    others = [result for result in found if not _is_tensor(result)]
    if others or not found:
        got = f"{', '.join(str(result) for result in others)} of another type" if others else "none"
        raise IntakeError(f"expected tensors as the model's outputs, got {got}; let forward() return tensors only")
    return found


def _results(program: ExportedProgram) -> list[tuple[int, Any]]:
    """Return what forward() returns, in its order: the place among all that the graph returns, and the value."""
    results = program.graph.output_node().args[0]
    results = results if isinstance(results, (tuple, list)) else (results,)
    specs = program.graph_signature.output_specs
    pairs = enumerate(zip(results, specs, strict=True))
    return [(place, result) for place, (result, spec) in pairs if spec.kind is OutputKind.USER_OUTPUT]


def output_names(program: ExportedProgram) -> tuple[str, ...]:
    """Return a name for each of output_nodes(): its key, field or place in what forward() returns.

    Nested containers give names such as `boxes_0`; the only output is "output". Raises IntakeError as output_nodes()
    does.
    """
    names = _written_names(program)
    return names if len(names) > 1 else ("output",)


def _written_names(program: ExportedProgram) -> tuple[str, ...]:
    """Return the names as output_names() does, also that of an output which is alone in a container."""
    output_nodes(program)
    results = [result for _, result in _results(program)]
    tree = pytree.tree_unflatten(range(len(results)), program.call_spec.out_spec)
    places = zip(pytree.tree_flatten_with_path(tree)[0], results, strict=True)
    names = ["_".join(_written_key(key) for key in path) for (path, _), result in places if result is not None]
    return tuple(f"output_{name}" if name[:1].isdigit() else name for name in names)


def check_one_output(program: ExportedProgram) -> None:
    """Raise IntakeError if the program has several outputs."""
    names = output_names(program)
    if len(names) > 1:
        raise IntakeError(several_outputs(names))


def keep_output(program: ExportedProgram, name: str) -> ExportedProgram:
    """Leave out all outputs but one of output_names(), in place, with what only they need; returns the program.

    Raises IntakeError for a name that no output has.
    """
    names = output_names(program)
    names = _written_names(program) if name not in names else names
    if name not in names:
        raise IntakeError(no_such_output(name, output_names(program)))
    given, node = program.graph_signature.output_specs, program.graph.output_node()
    places = [place for place, _ in _results(program)]
    kept = [place for place, result in _results(program) if result is not None][names.index(name)]
    stay = [place for place in range(len(given)) if place not in places or place == kept]
    results: Any = node.args[0]
    node.args = (tuple(results[place] for place in stay),)
    given[:] = [given[place] for place in stay]
    signature: Any = program.module_call_graph[0].signature
    signature.out_spec = pytree.tree_structure(0)
    program.graph.eliminate_dead_code()
    program.graph_module.recompile()
    return program


def several_outputs(names: Collection[str]) -> str:
    """Write the sentence for a model with several outputs of which none is named."""
    return (
        f"expected a model with one output, got {len(names)}: {', '.join(names)}; name the one that is scored as "
        "`output` in the workload (with `edgewright init`: --output NAME), and the others are left out"
    )


def no_such_output(name: str, names: Collection[str]) -> str:
    """Write the sentence for an output that a model has not."""
    return (
        f"expected an output of {', '.join(names)}, got `{name}`; correct `output` in the workload (with "
        "`edgewright init`: --output NAME)"
    )


def _written_key(key: Any) -> str:
    value = next(getattr(key, name) for name in ("key", "idx", "name") if hasattr(key, name))
    return re.sub(r"\W", "_", str(value))


def _is_tensor(result: Any) -> bool:
    return isinstance(result, fx.Node) and isinstance(result.meta["val"], Tensor)


def _spec(name: str, value: Tensor) -> InputSpec:
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return InputSpec(name, value.dtype, shape)


def load_into(program: ExportedProgram, module: nn.Module) -> nn.Module:
    """Load the program's parameters and persistent buffers into `module` by name, in place; returns it.

    Raises IntakeError that lists missing and unexpected names and shapes that differ.
    """
    given = program.state_dict
    wanted = module.state_dict()
    problems = [
        *_problem("the program lacks", sorted(wanted.keys() - given.keys())),
        *_problem("the module lacks", sorted(given.keys() - wanted.keys())),
        *_problem(
            "other shapes",
            [
                f"{name} {list(given[name].shape)} in the program, {list(wanted[name].shape)} in the module"
                for name in sorted(given.keys() & wanted.keys())
                if given[name].shape != wanted[name].shape
            ],
        ),
    ]
    if problems:
        raise IntakeError(
            f"expected build_model() to return the architecture of the registered program, got: {'; '.join(problems)}. "
            "Return the same layers under the same attribute names"
        )
    module.load_state_dict(given, strict=True)
    return module


def _problem(what: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [f"{what} {', '.join(names[:_SHOWN])}{more}"]
