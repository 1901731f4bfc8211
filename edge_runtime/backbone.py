"""Backbones and heads: a model of several graphs, whose first one runs once for an input, whatever heads are asked.

`load_model` makes every model of the runtime: an EdgeModel of one graph, a BackboneModel where there are heads. Both
are asked in the same way.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from edge_runtime.errors import SessionError
from edge_runtime.files import sha256_of
from edge_runtime.model_files import HeadGraph
from edge_runtime.session import EdgeModel, most_rows, rows_of
from edge_runtime.settings import SessionSettings, TensorSpec

NEARLY_ALL = 0.75
"""Share of a batch's rows from which on a head runs on all of them: their features then need not be brought together.

Below it, a head of several layers saves its share of the rows, and one of a single small product about breaks even.
"""
Sessions: TypeAlias = Mapping[tuple[str, SessionSettings], EdgeModel]
"""Sessions by the sha256 of their graph, which stands for its weights, and their settings."""


@dataclass(frozen=True)
class _LoadedHead:
    """A head in memory: its name, its session, and the names of the features that it reads."""

    name: str
    model: EdgeModel

    @property
    def reads(self) -> list[str]:
        return [spec.name for spec in self.model.inputs]

    @property
    def gives(self) -> list[str]:
        return [spec.name for spec in self.model.outputs]


class BackboneModel:
    """A backbone and the heads that read its outputs, asked as an EdgeModel is.

    `inputs` are the backbone's, `outputs` those of the heads, in their order. Raises SessionError for heads that do not
    fit the backbone, or each other.
    """

    def __init__(self, backbone: EdgeModel, heads: Mapping[HeadGraph, EdgeModel], sessions: Sessions) -> None:
        self._backbone = backbone
        self._heads = tuple(_LoadedHead(head.name, model) for head, model in heads.items())
        self.sessions = sessions
        self.inputs = backbone.inputs
        self.outputs = tuple(spec for head in self._heads for spec in head.model.outputs)
        given = [spec.name for spec in self.outputs]
        if twice := sorted({name for name in given if given.count(name) > 1}):
            raise SessionError(f"Two heads give the output {twice[0]}; each output is of one head.")
        for head, declared in zip(self._heads, heads, strict=True):
            _check_outputs(head, declared)
            _check_inputs(head, backbone, self._heads)

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """All tensors that go into a session or come out of one."""
        return (*self._backbone.tensors, *(spec for head in self._heads for spec in head.model.tensors))

    def check(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Raise SessionError, naming the input, for what `predict` would not take."""
        self._backbone.check(arrays)

    def predict(self, arrays: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None) -> list[np.ndarray]:
        """Run the backbone once, and the heads that give the named outputs; all without names. Raises SessionError."""
        wanted = [spec.name for spec in self.outputs] if outputs is None else list(outputs)
        found = self.predict_rows(arrays, dict.fromkeys(wanted))
        return [found[name] for name in wanted]

    def predict_rows(
        self, arrays: Mapping[str, np.ndarray], rows: Mapping[str, np.ndarray | None]
    ) -> dict[str, np.ndarray]:
        """Run the backbone once, and each head for the rows that want one of its outputs; return them by name.

        `rows` has the ascending numbers of the rows that want an output, None for all. Features go from the backbone to
        the heads without a copy; where some rows alone are wanted, and they do not follow each other, these are copied.
        Raises SessionError.
        """
        asked = {head: [name for name in head.gives if name in rows] for head in self._heads}
        strange = set(rows) - {name for names in asked.values() for name in names}
        if strange:
            raise SessionError(f"The model gives {[spec.name for spec in self.outputs]}, and not {sorted(strange)}.")
        read = list(dict.fromkeys(name for head, names in asked.items() if names for name in head.reads))
        features = dict(zip(read, self._backbone.predict(arrays, read), strict=True))
        found = dict[str, np.ndarray]()
        count = most_rows(arrays)
        for head, names in asked.items():
            if names:
                chosen = _union([rows[name] for name in names], count)
                found |= _answered(head, {name: rows[name] for name in names}, features, chosen, count)
        return found


def answers_of_rows(outputs: Sequence[np.ndarray], heads: Sequence[HeadGraph]) -> np.ndarray:
    """Return what a model answers to each row: the first output of one graph, shape (rows, ...).

    Of heads, these are all outputs in their order, each flattened from axis 1, in one array of shape (rows, numbers).
    """
    if not heads:
        return outputs[0]
    return np.concatenate([output.reshape(len(output), -1) for output in outputs], axis=1)


LoadedModel: TypeAlias = EdgeModel | BackboneModel


def load_model(
    graph: Path | str, settings: SessionSettings, heads: Sequence[HeadGraph] = (), before: object = None
) -> LoadedModel:
    """Load a model of one graph, or of a backbone and heads.

    Sessions of `before`, a model that is in memory, are taken over where graph and settings are the same, so that a
    change of one head loads that head alone. Raises SessionError as EdgeModel.load does, and for heads that do not fit.
    """
    if not heads:
        return EdgeModel.load(graph, settings)
    kept = before.sessions if isinstance(before, BackboneModel) else {}
    paths = [Path(graph), *(head.path for head in heads)]
    keys = [(_digest(path), settings) for path in paths]
    models = [kept.get(key) or EdgeModel.load(path, settings) for path, key in zip(paths, keys, strict=True)]
    return BackboneModel(
        models[0], dict(zip(heads, models[1:], strict=True)), dict(zip(keys, models, strict=True))
    )  # fmt: skip


def _digest(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise SessionError(f"There is no model file at {path} ({error.strerror}); give the path of a graph.") from error


def _check_outputs(head: _LoadedHead, declared: HeadGraph) -> None:
    if head.gives != list(declared.outputs):
        raise SessionError(
            f"The head {head.name} gives the outputs {head.gives}, and it is declared with {list(declared.outputs)}; "
            "declare those of its graph."
        )


def _check_inputs(head: _LoadedHead, backbone: EdgeModel, heads: Iterable[_LoadedHead]) -> None:
    """Raise SessionError unless a head reads what the backbone gives, in that dtype and shape, and nothing else."""
    features = {spec.name: spec for spec in backbone.outputs}
    if not head.reads:
        raise SessionError(f"The head {head.name} reads nothing; it must read one of {list(features)}.")
    for spec in head.model.inputs:
        feature = features.get(spec.name)
        if feature is None:
            givers = [other.name for other in heads if spec.name in other.gives]
            whose = f"the head {givers[0]} gives: heads are not nested" if givers else "the backbone does not give"
            raise SessionError(
                f"The head {head.name} reads {spec.name}, which {whose}. It may read {list(features)} alone."
            )
        if spec.dtype != feature.dtype:
            raise SessionError(
                f"The head {head.name} reads {spec.name} in {spec.dtype}, and the backbone gives it in {feature.dtype}."
            )
        if not _may_fit(spec.shape, feature.shape):
            raise SessionError(
                f"The head {head.name} reads {spec.name} in the shape {spec.shape}, and the backbone gives it in the "
                f"shape {feature.shape}."
            )


def _may_fit(read: Sequence[int | None], given: Sequence[int | None]) -> bool:
    return len(read) == len(given) and all(
        one is None or other is None or one == other for one, other in zip(read, given, strict=True)
    )


def _union(wanted: Sequence[np.ndarray | None], count: int) -> np.ndarray | None:
    """Return the ascending numbers of all rows that are wanted; None where all are, or nearly."""
    chosen = [rows for rows in wanted if rows is not None]
    if len(chosen) < len(wanted):
        return None
    union = np.unique(np.concatenate(chosen))
    return None if len(union) >= NEARLY_ALL * count else union


def _answered(
    head: _LoadedHead,
    rows: Mapping[str, np.ndarray | None],
    features: Mapping[str, np.ndarray],
    chosen: np.ndarray | None,
    count: int,
) -> dict[str, np.ndarray]:
    """Run a head on the chosen rows, and return each output with the rows that want it."""
    given = {name: rows_of(name, features[name], chosen, count) for name in head.reads}
    found = dict(zip(rows, head.model.predict(given, list(rows)), strict=True))
    if chosen is not None:
        rows = {name: np.searchsorted(chosen, wanted) for name, wanted in rows.items() if wanted is not None}
        count = len(chosen)
    return {name: rows_of(name, output, rows[name], count) for name, output in found.items()}
