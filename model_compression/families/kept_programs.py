"""Programs of joined models and of their parts, as files that intake reads without running code."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

EXAMPLE_ROWS = 4


def export_program(model: nn.Module, rows: tuple[Tensor, ...]) -> ExportedProgram:
    """Export a model for any number of rows, as the registration of a model does."""
    shapes = tuple({0: torch.export.Dim.DYNAMIC} for _ in rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(model, some_rows(rows), dynamic_shapes=shapes)


def save_program(model: nn.Module, rows: tuple[Tensor, ...], path: Path) -> None:
    """Write the program of a model into a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(export_program(model, rows), path)


def some_rows(rows: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return a few rows, at least two, because an exporter takes a batch of one for a constant."""
    few = tuple(each[:EXAMPLE_ROWS] for each in rows)
    return few if len(few[0]) > 1 else tuple(torch.cat([each, each]) for each in few)
