"""Inputs of a program against the rows of a workload, where sizes may differ from row to row."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from deployments.workload import Split, SplitName
from tasks.errors import PreflightError
from tasks.job import Job
from tasks.upstream.parent_checks import check_signature
from tasks.workspace import Workspace
from tests.tasks.tiny import Blobs, job


class Pooled(nn.Module):
    """Token ids of any length and a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 3)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return (self.embedding(tokens) * mask[..., None]).sum(1)


class Texts(Blobs):
    """Token ids and masks, `length` of them in every row."""

    def __init__(self, length: int, kind: type[np.integer] = np.int64) -> None:
        self.length = length
        self.kind = kind

    def split(self, name: SplitName) -> Split:
        rows = super().split(name)
        tokens = np.ones((len(rows), self.length), dtype=self.kind)
        return Split((tokens, tokens.astype(np.float32)), rows.targets, rows.slices)


@pytest.fixture(scope="module")
def program() -> ExportedProgram:
    batch, length = Dim("batch"), Dim("length", min=2, max=64)
    rows = (torch.ones(2, 5, dtype=torch.int64), torch.ones(2, 5))
    return export(Pooled(), rows, dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length}))


def texts(tmp_path: Path, workload: Texts) -> Job:
    return job(Workspace.at(tmp_path, "sqlite:///unused"), workload=workload)


@pytest.mark.parametrize("length", [2, 7])
def test_a_size_that_may_change_fits_any(tmp_path: Path, program: ExportedProgram, length: int) -> None:
    check_signature(texts(tmp_path, Texts(length)), program)


def test_a_size_that_may_change_is_called_any(tmp_path: Path, program: ExportedProgram) -> None:
    says = r"as int64 \(rows, any\); float32 \(rows, any\), got int32 \(rows, 4\); float32 \(rows, 4\);"
    with pytest.raises(PreflightError, match=says):
        check_signature(texts(tmp_path, Texts(4, np.int32)), program)


def test_another_number_of_axes_is_refused(tmp_path: Path, program: ExportedProgram) -> None:
    class Flat(Texts):
        def split(self, name: SplitName) -> Split:
            rows = super().split(name)
            return Split((rows.inputs[0][:, 0], rows.inputs[1]), rows.targets, rows.slices)

    with pytest.raises(PreflightError, match=r"got int64 \(rows\); float32 \(rows, 4\)"):
        check_signature(texts(tmp_path, Flat(4)), program)
