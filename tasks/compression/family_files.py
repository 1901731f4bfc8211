"""Files of a family: a backbone and a head for each task, made of one joined model.

Each is a graph of its own in one folder, with the file that names the heads. A rung makes the backbone first, and then
each head by itself on the features that the file of the backbone gives: these are what a device will give it. A rung
that trains makes one file of the joined model, which is split.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import torch
from torch import Tensor, fx, nn

from deployments.rungs import AsItIs, FloatModel, Rung, Train
from edge_runtime.backbone import answers_of_rows
from edge_runtime.model_files import (
    MODEL,
    HeadGraph,
    graphs_of,
    head_file,
    heads_of,
    model_bytes,
    weights_of,
    write_heads,
)
from model_compression.errors import ExportError, QuantizationError
from model_compression.families import backbone_and_heads
from model_compression.onnx_files import (
    check_shrunk,
    compact,
    export_onnx,
    make_portable,
    recurrent_note,
    save_onnx,
    split_at_features,
)
from model_compression.quantization import LayerAnswer, answers, one_layer_at_a_time
from model_compression.training import Arrays

CODE = (backbone_and_heads, split_at_features, compact, answers, __name__)
"""The code that the files of a family depend on beside that of its rung."""


def export_family(
    joined: nn.Module, tasks: Sequence[str], example: tuple[Tensor, ...], inputs: Sequence[str], folder: Path
) -> Path:
    """Export the backbone and the heads of a joined model into a folder; returns the path of the backbone's file.

    Each head and its output are called as its task. Raises ExportError, also for a task that is called as an input, and
    FamilyError for a model that is not joined.
    """
    if same := sorted(set(tasks) & set(inputs)):
        raise ExportError(
            f"expected tasks with other names than the model's inputs, {', '.join(inputs)}, got `{same[0]}`, and a "
            "device knows both by name; rename the member of the recipe"
        )
    backbone, heads = backbone_and_heads(cast(fx.GraphModule, joined), tasks)
    name = features_of(tasks)
    check_shrunk(backbone, export_onnx(backbone, example, inputs, folder / MODEL, (name,)))
    with torch.no_grad():
        features = backbone(*example)
    for task, head in heads.items():
        check_shrunk(head, export_onnx(head, (features,), (name,), folder / head_file(task), (task,)))
    write_heads(folder, {task: [task] for task in tasks})
    return folder / MODEL


def features_of(tasks: Sequence[str]) -> str:
    """Return the name of the features: a head cannot take in what has the name of what it gives."""
    return "features" if "features" not in tasks else f"features of {len(tasks)} tasks"


def portable_model(exported: Path, folder: Path) -> Path:
    """Bring all graphs of a model into the portable form; returns the path of its graph. Raises ExportError."""
    heads = heads_of(exported)
    graph = make_portable(exported, folder)
    for head in heads:
        make_portable(head.path, folder, head.path.name)
    if heads:
        write_heads(folder, _outputs(heads))
    return graph


def family_by_rung(rung: Rung, model: FloatModel, folder: Path) -> str:
    """Make the portable files of a family by a rung, and return what there is to say of them.

    `model` has the exported backbone. Raises QuantizationError where the backbone does not take the rung. A head stays
    in float where it does not take the rung, and where its file would be no smaller.
    """
    heads = heads_of(model.file)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        make = _trained if rung.trains else _one_by_one
        notes = make(rung, model, heads, Path(name), folder)
    write_heads(folder, _outputs(heads))
    found = [*notes, *map(recurrent_note, [] if rung.precision == "fp16" else graphs_of(folder / MODEL))]
    return " ".join(dict.fromkeys(filter(None, found)))


def new_heads_by_rung(rung: Rung, model: FloatModel, kept: Path, training: Mapping[str, Train], folder: Path) -> str:
    """Make the portable files of a family of which only the heads that `training` names are new.

    The backbone and the other heads are copied byte for byte from the release's file `kept`. `model` has the exported
    backbone, with all heads in float beside it. Returns what there is to say of the new heads.
    """
    heads = heads_of(model.file)
    parts = {MODEL: kept} | {head.path.name: head.path for head in heads_of(kept) if head.name not in training}
    for name, graph in parts.items():
        shutil.copyfile(graph, folder / name)
        for weights in weights_of(graph):
            shutil.copyfile(weights, folder / weights.name)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        notes = _make_heads(rung, model, heads, training, Path(name), folder)
    write_heads(folder, _outputs(heads))
    return " ".join(filter(None, notes))


def _trained(rung: Rung, model: FloatModel, heads: Sequence[HeadGraph], scratch: Path, folder: Path) -> list[str]:
    """Make one file of the joined model, and split it."""
    rung.make(model, scratch / MODEL)
    tasks = [head.name for head in heads]
    backbone, parts = split_at_features(onnx.load(scratch / MODEL), {task: task for task in tasks}, features_of(tasks))
    for name, graph in {MODEL: backbone, **{head_file(task): part for task, part in parts.items()}}.items():
        make_portable(save_onnx(compact(graph), scratch / "parts" / name), folder, name)
    return []


def _one_by_one(rung: Rung, model: FloatModel, heads: Sequence[HeadGraph], scratch: Path, folder: Path) -> list[str]:
    """Make the backbone, and then each head on what the backbone's file gives; return what heads stay in float."""

    def score_of_features(features: np.ndarray) -> float:
        return model.score(_beside(_head_answers(heads, features), heads))

    rung.make(replace(model, score=score_of_features), scratch / MODEL)
    make_portable(scratch / MODEL, folder)
    return _make_heads(rung, model, heads, {head.name: model.train for head in heads}, scratch, folder)


def _make_heads(
    rung: Rung, model: FloatModel, heads: Sequence[HeadGraph], training: Mapping[str, Train], scratch: Path,
    folder: Path,
) -> list[str]:  # fmt: skip
    """Make the heads that `training` names, each on what the backbone's file in the folder gives.

    Returns what heads stay in float. A rung that trains trains a head by its own entry.
    """
    read = {
        split: (answers(folder / MODEL, getattr(model, split)),)
        for split in ("calibration", "validation")
        if split in rung.reads
    }
    others = _head_answers(heads, read["validation"][0]) if "validation" in read else {}
    notes = []
    for head in heads:
        if head.name not in training:
            continue

        def score(outputs: np.ndarray, name: str = head.name) -> float:
            return model.score(_beside({**others, name: outputs}, heads))

        calibration, validation = read.get("calibration", ()), read.get("validation", ())
        given = replace(
            model, file=head.path, calibration=calibration, validation=validation, score=score, in_float=(),
            train=training[head.name],
        )  # fmt: skip
        notes.append(_make_head(rung, given, head.name, scratch, folder))
    return notes


def _make_head(rung: Rung, model: FloatModel, name: str, scratch: Path, folder: Path) -> str:
    """Make the file of a head, or keep it in float, and return why in a sentence; empty where the rung made it."""
    made, why = scratch / head_file(name), ""
    if isinstance(rung, AsItIs):
        make_portable(model.file, folder, head_file(name))
        return ""
    try:
        rung.make(model, made)
    except QuantizationError as error:
        why = f"it does not take {rung.title}: {error}"
    else:
        sizes = [model_bytes(make_portable(each, scratch / str(place) / name)) for place, each in
                 enumerate((made, model.file))]  # fmt: skip
        if sizes[0] >= sizes[1]:
            why = f"it has {sizes[1]:,} bytes so and {sizes[0]:,} by {rung.title}"
    make_portable(model.file if why else made, folder, head_file(name))
    return f"The head {name} stays in float, because {why}." if why else ""


def layers_one_at_a_time(
    exported: Path, calibration: Arrays, rows: Arrays, *, method: str, reduce_range: bool
) -> Iterator[LayerAnswer]:
    """Yield what one_layer_at_a_time() does, also for a family: the layers of its backbone, then those of each head.

    Behind a layer of the backbone the heads answer in float. Raises QuantizationError for the backbone; a head that
    cannot be quantized has no layers.
    """
    heads = heads_of(exported)
    alone = one_layer_at_a_time(exported, calibration, rows, method=method, reduce_range=reduce_range)
    if not heads:
        yield from alone
        return
    whole = next(alone)
    others = _head_answers(heads, whole.outputs)
    yield replace(whole, outputs=_beside(others, heads))
    for each in alone:
        yield replace(each, outputs=_beside(_head_answers(heads, each.outputs), heads))
    calibrated, features = (answers(exported, calibration),), (whole.outputs,)
    for head in heads:
        own = one_layer_at_a_time(head.path, calibrated, features, method=method, reduce_range=reduce_range)
        try:
            next(own)
        except QuantizationError:
            continue
        for each in own:
            yield replace(each, outputs=_beside({**others, head.name: each.outputs}, heads))


def _head_answers(heads: Sequence[HeadGraph], features: np.ndarray) -> dict[str, np.ndarray]:
    return {head.name: answers(head.path, (features,)) for head in heads}


def _beside(found: Mapping[str, np.ndarray], heads: Sequence[HeadGraph]) -> np.ndarray:
    return answers_of_rows([found[head.name] for head in heads], heads)


def _outputs(heads: Sequence[HeadGraph]) -> dict[str, Sequence[str]]:
    return {head.name: head.outputs for head in heads}
