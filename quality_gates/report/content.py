"""Content of a gate report: plain values, gathered by the pipeline, drawn by `render`."""

import math
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, StringConstraints, model_validator

from edge_runtime.measurement import Figures
from edge_runtime.settings import TensorSpec
from quality_gates.evidence import LatencyInTurns
from quality_gates.representativeness import Representativeness
from quality_gates.sign_off import SignOffs
from quality_gates.verdict import Verdict

Base64 = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]+={0,2}$")]
Matrix: TypeAlias = tuple[tuple[NonNegativeInt, ...], ...]


class _Frozen(BaseModel):
    # A broken figure (NaN, infinite) is shown as missing, and survives JSON on the way there.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class SliceValue(_Frozen):
    """One figure of one model on one slice of the test rows, as a proportion in [0, 1]."""

    name: str
    value: float | None = None


class Side(_Frozen):
    """One model of the side-by-side table, measured on the test rows and on the device; None is "not measured"."""

    role: Literal["candidate", "deployed", "parent"]
    name: str
    accuracy: float | None = None
    slices: tuple[SliceValue, ...] = ()
    figures: Figures | None = None


class SizePoint(_Frozen):
    """One model of the size/accuracy picture, accuracy on the validation split; snapshots in the order of pruning.

    `figures` are there where the file was measured on the device, `size_bytes` is the file's own in any case.

    `deployed` is what ran on the device when the gates decided, measured again on the same rows. `holds` says whether
    a file keeps every gate there, `pareto` whether no other file is as good in everything and better in something.
    """

    label: str
    kind: Literal["parent", "snapshot", "student", "rung", "deployed"]
    size_bytes: float | None = None
    accuracy: float | None = None
    figures: Figures | None = None
    holds: bool | None = None
    pareto: bool = False
    chosen: bool = False
    note: str = ""


class RungRow(_Frozen):
    """One rung of the ladder that was tried: accuracy on validation, cost in seconds, why it stopped or went on.

    `operators` counts what ONNX Runtime runs of its file after its own optimization.
    """

    name: str
    snapshot: str
    outcome: str
    accuracy: float | None = None
    size_bytes: float | None = None
    figures: Figures | None = None
    seconds: float | None = None
    reason: str = ""
    operators: str = ""


class LedgerRow(_Frozen):
    """One stage on the way to the chosen file: accuracy and slices on validation after it, and what it cost in time."""

    stage: str
    accuracy: float | None = None
    slices: tuple[SliceValue, ...] = ()
    size_bytes: float | None = None
    seconds: float | None = None


class LayerRow(_Frozen):
    """Cost of INT8 in one layer alone, on validation: change of accuracy and slices, and of the answers in size."""

    layer: str
    change: float | None = None
    slices: tuple[SliceValue, ...] = ()
    output_change: float | None = None


def is_shown(candidate: int, reference: int) -> bool:
    """Return True where two counts on the same rows differ by more than chance, at 95 %.

    The sum of both is the largest variance that their difference can have where chance alone moves rows. Half a row on
    each side keeps few rows from looking certain.
    """
    return abs(candidate - reference) > 1.96 * math.sqrt(candidate + reference + 1)


class Mistake(_Frozen):
    """Test rows of one label that are taken for another: how many by the candidate and by the reference."""

    label: str
    prediction: str
    candidate: int = Field(ge=0)
    reference: int = Field(ge=0)

    @property
    def is_shown(self) -> bool:
        """True where the two counts differ by more than chance."""
        return is_shown(self.candidate, self.reference)


class Confusion(_Frozen):
    """Test rows by label (lines) and by what they are taken for (columns), both in the order of `classes`.

    `reference` is None where nothing that the candidate could be compared with was measured.
    """

    classes: tuple[str, ...] = Field(min_length=1)
    candidate: Matrix
    reference: Matrix | None = None

    @model_validator(mode="after")
    def _a_line_and_a_column_per_class(self) -> Self:
        size = len(self.classes)
        for matrix in (self.candidate, self.reference or self.candidate):
            if len(matrix) != size or any(len(line) != size for line in matrix):
                raise ValueError(f"expected {size} lines of {size} counts, got {[len(line) for line in matrix]}")
        return self


class HistoryRow(_Frozen):
    """Outcome of one upstream version on this device; figures are the candidate's on the test rows of that decision.

    `now` says what it is today: deployed, previous, or neither; `overridden` that it was published on an approval;
    `undecided` that nothing was learned of it; `waits` that persons must sign before it is published, and `signed_off`
    that they have. `release` is None for what was refused, and for a version whose report
    is written before its number is claimed. `accuracy` is the mean score, in the unit of scores where
    `scores_are_shares` is false.
    """

    version: str
    when: str
    published: bool
    overridden: bool = False
    undecided: bool = False
    waits: bool = False
    signed_off: bool = False
    release: int | None = None
    scores_are_shares: bool = True
    now: Literal["deployed", "previous", ""] = ""
    accuracy: float | None = None
    critical: float | None = None
    figures: Figures | None = None
    why: str = ""

    @property
    def decision(self) -> str:
        """The decision about the version in a word."""
        if self.published:
            return "approved" if self.overridden else "published"
        if self.waits:
            return "waits for sign-off"
        return "undecided" if self.undecided else "refused"


class SliceRow(_Frozen):
    """Accuracy of the three models on one slice of the test rows; `n` is its number of rows.

    `vs_deployed_shown` and `vs_parent_shown` are set where the candidate is shown, at 95 %, to differ from the model.
    """

    slice: str
    n: int
    parent: float | None = None
    deployed: float | None = None
    candidate: float | None = None
    critical: bool = False
    vs_deployed_shown: bool = False
    vs_parent_shown: bool = False


class FlippedRow(_Frozen):
    """A row that the reference got right and the candidate gets wrong, with its input where it can be shown."""

    row_id: str
    label: str
    reference_prediction: str
    candidate_prediction: str
    slice: str = ""
    image_png_base64: Base64 | None = None
    text: str | None = None


class Picture(_Frozen):
    """One picture of a row: what it shows, and its pixels."""

    title: str
    png_base64: Base64


class DrawnRow(_Frozen):
    """A row whose answer is a picture, with the scores of parent and candidate; input, target and answers are drawn."""

    row_id: str
    slice: str = ""
    parent: float
    candidate: float
    pictures: tuple[Picture, ...]


class ClassOverlap(_Frozen):
    """One class of masks: each model's intersection over union, over all pixels of the test rows."""

    name: str
    parent: float | None = None
    deployed: float | None = None
    candidate: float | None = None


class DataSplit(_Frozen):
    """One split of the data: its number of rows, and the sha256 of its arrays and slice columns."""

    name: str
    rows: int = Field(ge=0)
    sha256: str


class ShippedFile(_Frozen):
    """One file of the model that was judged: the graph, or weights that their sha256 names."""

    name: str
    sha256: str


class Origin(_Frozen):
    """Origin of a candidate, for machines: model card and attestation are made from it.

    `purpose` is what the workload says of itself, `started_by` who or what started the run, `run` its id in MLflow.
    `files` begins with the graph. `toolchain` has the version of each library below the pipeline.
    """

    purpose: str = ""
    recipe: str
    recipe_sha256: str
    splits: tuple[DataSplit, ...] = ()
    files: tuple[ShippedFile, ...] = ()
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    toolchain: tuple[tuple[str, str], ...] = ()
    started_by: str = ""
    run: str = ""


class ReportContent(_Frozen):
    """Everything that one gate report says about one model version on one device.

    `decision` tells in words what happened to the candidate, `answers` on which CPU the rows were answered, `why` how
    it was chosen among the rungs. `instruction_set` names the one that answered; `is_unproven` is set where the device
    has another one, and is shown in amber. `turns` are the times of the sides beside each other, the only ones that
    compare. `flips_against` names the reference of the flipped rows: the deployed model or, on a first deployment, the
    parent; `mistakes` and `confusion` are counted against the same. `flips_total` counts all flipped test rows, None
    says that the rows could not be compared. `flips` and `drawn` are some rows of the split `flips_from`, which is
    test only where the recipe allows it; `flips_validation` counts those of validation. `ledger` begins with the
    parent; `layers_note` says how the layers were looked at, or why they were not. `history` ends with this version,
    and `critical` names the slice of its figures. Accuracies are mean scores: shares of rows that are answered rightly,
    or figures of another unit where `scores_are_shares` is false. `sign_off` is there where persons must sign before it
    is published. `origin` is None in what older releases recorded.
    """

    model: str
    version: str
    device: str
    verdict: Verdict
    published: bool
    sign_off: SignOffs | None = None
    deployed_version: str | None
    decision: str
    answers: str = ""
    instruction_set: str = ""
    is_unproven: bool = False
    scores_are_shares: bool = True
    sides: tuple[Side, ...] = ()
    turns: tuple[LatencyInTurns, ...] = ()
    points: tuple[SizePoint, ...] = ()
    size_budget_bytes: float | None = Field(default=None, gt=0)
    rungs: tuple[RungRow, ...] = ()
    why: tuple[str, ...] = ()
    ledger: tuple[LedgerRow, ...] = ()
    layers: tuple[LayerRow, ...] = ()
    layers_note: str = ""
    mistakes: tuple[Mistake, ...] = ()
    confusion: Confusion | None = None
    history: tuple[HistoryRow, ...] = ()
    critical: str | None = None
    slices: tuple[SliceRow, ...] = ()
    flips: tuple[FlippedRow, ...] = ()
    flips_from: Literal["test", "validation"] = "test"
    flips_total: int | None = Field(default=None, ge=0)
    flips_validation: int | None = Field(default=None, ge=0)
    flips_against: str = "the parent"
    overlaps: tuple[ClassOverlap, ...] = ()
    drawn: tuple[DrawnRow, ...] = ()
    representativeness: Representativeness | None = None
    lineage: tuple[tuple[str, str], ...] = ()
    origin: Origin | None = None
