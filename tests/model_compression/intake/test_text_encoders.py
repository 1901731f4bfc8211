"""Encoders of text as Hugging Face writes them: rebuilt from the program alone, bit by bit the same."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from model_compression.intake import check_equal, load_program, rebuild
from model_compression.onnx_files import export_onnx
from tests.model_compression.architectures import export
from tests.model_compression.encoders import HEADS, TIME, TOKENS, WIDTH, rebuilt, rows, small_bert
from tests.model_compression.toys import run


def test_it_answers_bit_by_bit_as_the_program_does() -> None:
    assert check_equal(small_bert()[1], rebuilt(), rows(40, seed=1)) == 0


def test_its_parts_are_modules_again_under_their_own_names() -> None:
    kinds = {path: type(module) for path, module in rebuilt().named_modules()}
    expected = {path: type(module) for path, module in small_bert()[0].named_modules()}
    kept = (nn.Linear, nn.LayerNorm, nn.Embedding)
    assert {path: kind for path, kind in kinds.items() if kind in kept} == {
        path: kind for path, kind in expected.items() if kind in kept
    }


def test_it_exports_for_any_batch(tmp_path: Path) -> None:
    path = export_onnx(rebuilt(), rows(), ("tokens", "mask"), tmp_path / "model.onnx")
    for count in (1, 2, 9):
        inputs = rows(count, seed=count)
        expected = small_bert()[0](*inputs).detach()
        got = torch.from_numpy(run(path, *(tensor.numpy() for tensor in inputs)))
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


class Classifier(nn.Module):
    """The example's registered model: tokens and mask in, class scores out."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return self.classifier(input_ids=tokens, attention_mask=mask).logits


def test_the_real_one_does_too(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="run make r8, which installs it")
    config = transformers.BertConfig(
        vocab_size=TOKENS, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=HEADS, intermediate_size=64,
        max_position_embeddings=2 * TIME, num_labels=8,
    )  # fmt: skip
    torch.manual_seed(0)
    model = Classifier(transformers.BertForSequenceClassification(config)).eval()
    torch.export.save(export(model, *rows()), tmp_path / "model.pt2")
    program = load_program(tmp_path / "model.pt2")
    assert check_equal(program, rebuild(program), rows(40, seed=1)) == 0
