"""Deltas to a bundle's files from those of the release before it, for devices that have it.

Files are paired by their place: the graph with the graph, each head with the head of its name, and the weights of the
nth tensor with those of the nth.
Where two versions have no structure in common, no delta is smaller, and only the compressed file is offered.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from edge_runtime.bundle import Delta, Manifest
from edge_runtime.deltas import EMPTY, encode_delta
from edge_runtime.errors import SessionError
from edge_runtime.files import sha256_of
from edge_runtime.model_files import heads_of, weights_in_order

logger = logging.getLogger("edgewright")


def with_deltas(
    manifest: Manifest, files: Mapping[str, Path], before: Path | None, scratch: Path
) -> tuple[Manifest, dict[str, Path]]:
    """Return a manifest with deltas from an earlier model, by the path of its graph, and all files with theirs.

    The files of deltas are written into `scratch` and named by their sha256. A delta is left out that is no smaller
    than its blob, or than the compressed blob.
    """
    paired = {} if before is None else _paired(before, manifest, files)
    deltas, made = list[Delta](), dict[str, Path]()
    for digest, path in {blob.sha256: files[blob.name] for blob in manifest.blobs}.items():
        base = paired.get(digest)
        for name, known in ((EMPTY, None), *(() if base is None else ((sha256_of(base), base),))):
            content = None if name == digest else encode_delta(known, path)
            if content is not None:
                delta = _written(digest, name, content, scratch)
                deltas.append(delta)
                made[delta.sha256] = scratch / delta.sha256
    return replace(manifest, deltas=tuple(deltas)), {**files, **made}


def _paired(before: Path, manifest: Manifest, files: Mapping[str, Path]) -> dict[str, Path]:
    """Return the file of the earlier model that is in the place of each file, by the sha256 of that."""
    heads = {head.name: head.path for head in heads_of(before)}
    pairs = _pairs(before, files[manifest.entry])
    for head in manifest.heads:
        if head.name in heads:
            pairs |= _pairs(heads[head.name], files[head.graph])
    return pairs


def _pairs(before: Path, graph: Path) -> dict[str, Path]:
    """Return the files of an earlier graph that are in the place of those of a graph, by the sha256 of these."""
    try:
        places = zip(weights_in_order(before), weights_in_order(graph), strict=False)
        weights = {new: before.with_name(old) for old, new in places}
    except SessionError as error:
        logger.warning("no deltas of weights: %s", error)
        weights = {}
    return weights | {sha256_of(graph): before}


def _written(blob: str, base: str, content: bytes, scratch: Path) -> Delta:
    path = scratch / "delta"
    path.write_bytes(content)
    delta = Delta(blob, base, sha256_of(path), len(content))
    path.rename(scratch / delta.sha256)
    return delta
