"""Trimmed token tables: smaller, exact on kept tokens, and repeatable from their record."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_compression.errors import PruningError
from model_compression.intake import rebuild
from model_compression.onnx_files import export_onnx
from model_compression.pruning import int8_weight_bytes, parameters
from model_compression.pruning.vocabulary import Trim, TrimmedTable, replay_trim, trim_vocabulary
from model_compression.quantization import quantize_after_training, train_quantized
from model_compression.training import FineTuning, fine_tune
from tests.model_compression.architectures import export
from tests.model_compression.encoders import PADDING, TOKENS, UNKNOWN, WIDTH, rebuilt, rows, small_bert
from tests.model_compression.toys import run

NAMES = ("tokens", "mask")
ROWS = rows(40)
ARRAYS = tuple(tensor.numpy() for tensor in ROWS)
KEPT = sorted({UNKNOWN, PADDING, *np.unique(ARRAYS[0]).tolist()})


@pytest.fixture
def trimmed() -> tuple[nn.Module, Trim]:
    model = rebuilt()
    return model, trim_vocabulary(model, rows(), ARRAYS, unknown=UNKNOWN)


def answers(model: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    with torch.no_grad():
        return model.eval()(*inputs)


def test_it_is_smaller_and_exact_on_tokens_that_were_kept(trimmed: tuple[nn.Module, Trim]) -> None:
    model, trim = trimmed
    assert trim == {"unknown": UNKNOWN, "tables": {"embeddings.words": KEPT}}
    assert parameters(rebuilt()) - parameters(model) == (TOKENS - len(KEPT)) * WIDTH
    assert torch.equal(answers(model, ROWS), answers(rebuilt(), ROWS))


def test_a_token_never_seen_is_the_unknown_one(trimmed: tuple[nn.Module, Trim]) -> None:
    model, _ = trimmed
    tokens, mask = rows()
    odd = tokens.clone()
    odd[:, 1] = 77
    instead = tokens.clone()
    instead[:, 1] = UNKNOWN
    assert torch.equal(answers(model, (odd, mask)), answers(rebuilt(), (instead, mask)))
    assert not torch.equal(answers(model, (odd, mask)), answers(rebuilt(), (odd, mask)))


def test_rare_tokens_can_go_too() -> None:
    model = rebuilt()
    trim = trim_vocabulary(model, rows(), ARRAYS, unknown=UNKNOWN, seen=5)
    kept = trim["tables"]["embeddings.words"]
    counts = np.bincount(ARRAYS[0].ravel(), minlength=TOKENS)
    assert set(kept) == {UNKNOWN, PADDING, *np.flatnonzero(counts >= 5)}
    assert len(kept) < len(KEPT)


def test_tables_that_look_up_something_else_stay(trimmed: tuple[nn.Module, Trim]) -> None:
    sizes = {path: module.num_embeddings for path, module in trimmed[0].named_modules() if hasattr(module, "sparse")}
    assert sizes == {"embeddings.words.table": len(KEPT), "embeddings.positions": 32, "embeddings.token_types": 2}


def test_a_module_of_the_users_own_is_trimmed_too() -> None:
    own = copy.deepcopy(small_bert()[0])
    trim_vocabulary(own, rows(), ARRAYS, unknown=UNKNOWN)
    assert isinstance(own.embeddings.words, TrimmedTable)
    assert torch.equal(answers(own, ROWS), answers(small_bert()[0], ROWS))


def test_the_record_is_json_and_makes_the_same_model(trimmed: tuple[nn.Module, Trim]) -> None:
    model, trim = trimmed
    again = replay_trim(rebuilt(), json.loads(json.dumps(trim)))
    again.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(answers(again, ROWS), answers(model, ROWS))


def test_padding_learns_nothing_and_the_table_learns(trimmed: tuple[nn.Module, Trim]) -> None:
    model, _ = trimmed
    table = model.get_submodule("embeddings.words.table")
    assert isinstance(table, nn.Embedding) and table.padding_idx == KEPT.index(PADDING)
    before = table.weight.detach().clone()
    targets = np.arange(len(ARRAYS[0])) % 8
    fine_tune(model, ARRAYS, targets, None, F.cross_entropy, FineTuning(1, 8, 1e-2, 0, 1, 0, 0))
    changed = (table.weight - before).abs().sum(1) > 0
    assert not changed[table.padding_idx] and changed.sum() > len(KEPT) / 2


def test_the_file_is_smaller_and_answers_the_same(trimmed: tuple[nn.Module, Trim], tmp_path: Path) -> None:
    model, _ = trimmed
    whole = export_onnx(rebuilt(), rows(), NAMES, tmp_path / "whole.onnx")
    path = export_onnx(model, rows(), NAMES, tmp_path / "trimmed.onnx")
    saved = 4 * (TOKENS - len(KEPT)) * WIDTH - 4 * TOKENS
    assert whole.stat().st_size - path.stat().st_size == pytest.approx(saved, abs=1000)
    odd = (torch.full_like(ROWS[0][:1], 77), ROWS[1][:1])
    for inputs in (ROWS, tuple(tensor[:1] for tensor in ROWS), odd):
        got = run(path, *(tensor.numpy() for tensor in inputs))
        torch.testing.assert_close(torch.from_numpy(got), answers(model, inputs), rtol=1e-4, atol=1e-5)


OTHER_PROCESS = """
import sys, numpy as np, onnxruntime as ort
path, rows, outputs = sys.argv[1:]
tokens, mask = np.load(rows)
np.save(outputs, ort.InferenceSession(path).run(None, {"tokens": tokens, "mask": mask})[0])
"""


def test_another_process_reads_the_same_from_the_file(trimmed: tuple[nn.Module, Trim], tmp_path: Path) -> None:
    path = export_onnx(trimmed[0], rows(), NAMES, tmp_path / "trimmed.onnx")
    np.save(tmp_path / "rows.npy", np.stack(ARRAYS))
    files = (path, tmp_path / "rows.npy", tmp_path / "outputs.npy")
    subprocess.run([sys.executable, "-c", OTHER_PROCESS, *files], check=True, timeout=120)
    np.testing.assert_allclose(np.load(files[2]), answers(trimmed[0], ROWS).numpy(), rtol=1e-4, atol=1e-5)


def test_it_quantizes_after_training_and_in_training(trimmed: tuple[nn.Module, Trim], tmp_path: Path) -> None:
    model, _ = trimmed
    source = export_onnx(model, rows(), NAMES, tmp_path / "float.onnx")
    files = [quantize_after_training(source, ARRAYS, tmp_path / "ptq.onnx", method="minmax", reduce_range=False)]
    targets = np.arange(len(ARRAYS[0])) % 8
    files.append(
        train_quantized(
            model, rows(), ARRAYS, ARRAYS, targets, None, F.cross_entropy, FineTuning(1, 8, 1e-6, 0, 1, 0, 0),
            reduce_range=False, names=NAMES, path=tmp_path / "qat.onnx",
        )
    )  # fmt: skip
    expected = answers(model, ROWS).numpy()
    for file in files:
        assert abs(run(file, *ARRAYS) - expected).max() < 0.1 * abs(expected).max()
        assert file.stat().st_size < 0.55 * source.stat().st_size


def test_its_footprint_counts_the_list_of_rows(trimmed: tuple[nn.Module, Trim]) -> None:
    saved = int8_weight_bytes(rebuilt()) - int8_weight_bytes(trimmed[0])
    assert saved == (TOKENS - len(KEPT)) * WIDTH - 4 * TOKENS


class TestNothingToTrim:
    def test_no_table_looks_up_an_input(self) -> None:
        with pytest.raises(PruningError, match=r"found none that looks up an input .* remove `vocabulary`"):
            trim_vocabulary(nn.Linear(3, 2), (torch.ones(2, 3),), (np.ones((2, 3), np.float32),), unknown=0)

    def test_every_row_is_used(self) -> None:
        every = np.arange(TOKENS + 8).reshape(-1, 16) % TOKENS
        with pytest.raises(PruningError, match="rows that the training data do not use"):
            trim_vocabulary(rebuilt(), rows(), (every, np.ones_like(every)), unknown=UNKNOWN)

    def test_a_trimmed_table_is_not_trimmed_again(self, trimmed: tuple[nn.Module, Trim]) -> None:
        with pytest.raises(PruningError, match="found none"):
            trim_vocabulary(trimmed[0], rows(), ARRAYS, unknown=UNKNOWN)

    @pytest.mark.parametrize("from_program", [True, False])
    def test_a_table_that_something_else_reads(self, from_program: bool) -> None:
        class Tied(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.words, self.head = nn.Embedding(TOKENS, 6), nn.Linear(6, TOKENS, bias=False)
                self.head.weight = self.words.weight

            def forward(self, tokens: torch.Tensor) -> torch.Tensor:
                return self.head(self.words(tokens).mean(1))

        tokens = torch.from_numpy(ARRAYS[0][:2])
        model = rebuild(export(Tied().eval(), tokens)) if from_program else Tied().eval()
        with pytest.raises(PruningError, match=r"words to be read by its lookups alone.* remove `vocabulary`"):
            trim_vocabulary(model, (tokens,), ARRAYS[:1], unknown=UNKNOWN)
        assert model(tokens).shape == (2, TOKENS)

    def test_an_unknown_token_that_the_table_lacks(self) -> None:
        with pytest.raises(PruningError, match=r"one of the 200 of embeddings\.words, got 200; correct `unknown`"):
            trim_vocabulary(rebuilt(), rows(), ARRAYS, unknown=200)


@pytest.mark.parametrize(
    "tables", [{"embeddings.words": [3, 200]}, {"embeddings.words": [-1, 3]}, {"classifier": [1]}, {"ghost": [1]}]
)
def test_a_record_of_another_architecture(tables: dict[str, list[int]]) -> None:
    with pytest.raises((ValueError, AttributeError)):
        replay_trim(rebuilt(), {"unknown": UNKNOWN, "tables": tables})
