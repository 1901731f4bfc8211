"""Programs of models, kept as files: they take any number of rows, and answer bit by bit as the model."""

from pathlib import Path

import pytest
import torch

from model_compression.families import save_program, some_rows
from model_compression.intake import load_program, rebuild
from tests.model_compression.families.members import family, registered


@pytest.mark.parametrize("rows", [1, 3])
def test_a_program_takes_any_number_of_rows(rows: int, tmp_path: Path) -> None:
    given, model = family("mobile"), registered("mobile").eval()
    one = tuple(each[:1] for each in given.rows)
    save_program(model, one, tmp_path / "program.pt2")
    loaded = rebuild(load_program(tmp_path / "program.pt2")).eval()
    few = tuple(each[:rows] for each in given.rows)
    assert torch.equal(loaded(*few), model(*few))


def test_an_example_has_two_rows_at_least() -> None:
    (rows,) = some_rows((torch.zeros(1, 3),))
    assert rows.shape == (2, 3)
    assert some_rows((torch.zeros(9, 3),))[0].shape == (4, 3)
