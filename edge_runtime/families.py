"""Families: the declaration of a backbone and its heads as a manifest has it, made from their graphs.

This is for whoever writes bundles. `write_bundle` takes the files, and a manifest with the parts that are made here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.backbone import load_model
from edge_runtime.bundle import DeclaredHead
from edge_runtime.errors import BundleError
from edge_runtime.model_files import MODEL, HeadGraph, files_of, head_file
from edge_runtime.session import EdgeModel
from edge_runtime.settings import SessionSettings, TensorSpec


@dataclass(frozen=True)
class Family:
    """The parts of a manifest that declare a backbone with heads, whose entry is MODEL, and its files by blob name.

    `graphs` are the heads as they lie on disk, for whoever measures them before they are published.
    """

    files: Mapping[str, Path]
    heads: tuple[DeclaredHead, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    graphs: tuple[HeadGraph, ...]


def family_of(backbone: Path, heads: Mapping[str, Path], settings: SessionSettings) -> Family:
    """Declare a backbone and its heads, by name, as a manifest does; each graph has its weights inside or beside it.

    Graphs may lie in folders of their own, and share weights. Raises SessionError for graphs that do not load or do not
    fit together, and BundleError for no head or for a name that is none.
    """
    if not heads:
        raise BundleError(f"A backbone needs a head, and none reads {backbone}; publish it as a model of one graph.")
    graphs = tuple(HeadGraph(name, path, _outputs_of(path, settings)) for name, path in heads.items())
    model = load_model(backbone, settings, graphs)
    declared = tuple(DeclaredHead(head.name, head_file(head.name), head.outputs) for head in graphs)
    named = {MODEL: Path(backbone)} | {head_file(head.name): head.path for head in graphs}
    weights = {path.name: path for path in files_of(backbone, graphs) - set(named.values())}
    return Family(named | weights, declared, model.inputs, model.outputs, graphs)


def _outputs_of(path: Path, settings: SessionSettings) -> tuple[str, ...]:
    return tuple(spec.name for spec in EdgeModel.load(path, settings).outputs)
