"""The source code of a workload: one that reads a folder of arrays, or one whose reading its user is to write."""

import json
from collections.abc import Iterator

from deployments.answers import TaskName
from deployments.rows import SPLITS
from flows.first_files.row_plan import RowPlan, column_name
from tasks.upstream import FirstLook

CALIBRATION_ROWS = 512
PARTS = 5
"""Parts that the train files are cut into where a split that judges has no files of its own."""
_WIDTH = 116
_TAKEN = ("F", "False", "None", "Path", "Split", "True", "Workload")  # names that the text has itself

_LOSSES: dict[TaskName, str] = {
    "classification": "F.cross_entropy(outputs, targets)",
    "binary": "F.binary_cross_entropy_with_logits(outputs.reshape(-1), targets.float())",
    "multi_label": "F.binary_cross_entropy_with_logits(outputs, targets.float())",
    "regression": "F.mse_loss(outputs.reshape(targets.shape), targets)",
}
_OF_PROBABILITIES = "F.nll_loss(outputs.clamp_min(1e-7).log(), targets)"
_TARGET_TYPES: dict[TaskName, str] = {
    "classification": "int64",
    "binary": "int64",
    "multi_label": "float32",
    "regression": "float32",
    "segmentation": "int64",
    "detection": "float32",
}

_HEAD = '''"""Rows, loss and score of the registered model `{model}`.

Written by `edgewright init`, and yours to change; the page docs/workloads.md says what else a workload can tell.
"""

'''

_SKELETON = '''import numpy as np
import pandas as pd
import torch.nn.functional as F

from deployments.workload import Split, Workload


class {name}(Workload):
    task = "classification"  # or binary (one logit), multi_label, regression, segmentation, ...
{output}    # labels = ("good", "scratch")  # names of the classes, by number
    # group = "patient"             # a slice column: its rows belong together, and no two splits may share one

    def split(self, split):
        """Return the rows of "train", "calibration", "validation" or "test"; the same ones at every call."""
        # Read your rows here. The model takes:
{inputs}
        rows = np.load(f"/path/to/{{split}}.npz")
        targets = rows["labels"].astype(np.int64)
        slices = pd.DataFrame({{"label": targets}})  # a column for each way to slice: site, sensor, class, ...
        return Split(({arrays},), targets, slices)

    def loss(self, outputs, targets):
        """Return the scalar loss of a batch of torch tensors."""
        return F.cross_entropy(outputs, targets)
'''


def class_name(model: str) -> str:
    """Return a class name for a model, such as `LineDefects` for `line-defects`."""
    words = "".join(letter if letter.isalnum() else " " for letter in model).split()
    name = "".join(word[:1].upper() + word[1:] for word in words)
    return name if name.isidentifier() and name not in _TAKEN else f"Model{name}"


def skeleton_text(look: FirstLook) -> str:
    """Return a workload whose user is to write how rows are read, with what the model takes."""
    inputs = "\n".join(f"        #   {each}" for each in look.inputs)
    arrays = ", ".join(f'rows["{each.name}"]' for each in look.inputs)
    output = "" if look.output is None else f"    output = {json.dumps(look.output)}\n"
    return _HEAD.format(model=look.model) + _SKELETON.format(
        name=class_name(look.model), inputs=inputs, arrays=arrays, output=output
    )


def workload_text(look: FirstLook, plan: RowPlan, drop_shared: bool) -> str:
    """Return a workload that reads a folder of arrays; `drop_shared` leaves out rows that a later split judges with."""
    return "\n".join([
        _HEAD.format(model=look.model).rstrip("\n"),
        "",
        "from pathlib import Path",
        "",
        "import numpy as np",
        "import pandas as pd",
        *(["import torch.nn.functional as F"] if plan.task in _LOSSES else []),
        "",
        *(["from deployments.leaks import rows_not_in"] if drop_shared else []),
        "from deployments.workload import Split, Workload",
        "",
        f"FOLDER = Path({json.dumps(str(plan.folder.resolve()))})",
        *_files(plan),
        *([_tuple("LABELS", plan.labels)] if plan.labels else []),
        "",
        "",
        f"class {class_name(look.model)}(Workload):",
        *_attributes(look, plan),
        "",
        *_split(plan, drop_shared),
        "",
        *_loss(plan),
        *_reading(plan),
        "",
    ])  # fmt: skip


def _loss(plan: RowPlan) -> Iterator[str]:
    """Yield the method of a task that has no default."""
    if plan.task in _LOSSES:
        yield "    def loss(self, outputs, targets):"
        yield f"        return {_OF_PROBABILITIES if plan.meaning.probabilities else _LOSSES[plan.task]}"
        yield ""


def _files(plan: RowPlan) -> Iterator[str]:
    wanted = [*(name for name, _ in plan.inputs), plan.target, *plan.slices]
    yield "FILES = {  # of each split: the file of each array, and its key where the file is an archive"
    for split in (split for split in SPLITS if split in plan.found):
        arrays = plan.found[split]
        yield f'    "{split}": {{'
        yield from (
            f"        {json.dumps(name)}: ({json.dumps(arrays[name].file)}, "
            f"{'None' if arrays[name].key is None else json.dumps(arrays[name].key)}),"
            for name in wanted
        )
        yield "    },"
    yield "}"


def _attributes(look: FirstLook, plan: RowPlan) -> Iterator[str]:
    yield f'    task = "{plan.task}"'
    if look.output is not None:
        yield f"    output = {json.dumps(look.output)}  # the others are left out of the edge model"
    if plan.labels and plan.task == "classification":
        yield "    labels = LABELS"
    elif plan.task != "regression":
        yield '    # labels = ("good", "scratch")  # names of the classes, by number: reports then speak them'
    if plan.meaning.ignore_index is not None:
        yield f"    ignore_index = {plan.meaning.ignore_index}  # of pixels that count nowhere"
    if plan.meaning.pixels_per_cell is not None:
        yield f"    pixels_per_cell = {plan.meaning.pixels_per_cell}  # from one cell of the outputs to the next"
    column = plan.slices[0] if plan.slices else "patient"
    yield f'    # group = "{column_name(column)}"  # if its rows belong together: no two splits may then share one'


def _split(plan: RowPlan, drop_shared: bool) -> Iterator[str]:
    yield f"    def split(self, split):{'' if drop_shared else '  # train, calibration, validation or test'}"
    if drop_shared:
        yield '        """Return a split without the rows that are also in one that judges it."""'
        yield "        whole = self._whole(split)"
        yield '        judges = {"validation": ("test",), "test": ()}.get(split, ("validation", "test"))'
        yield "        keep = rows_not_in(whole.inputs, *(self._whole(judge).inputs for judge in judges))"
        yield "        inputs = tuple(array[keep] for array in whole.inputs)"
        yield "        return Split(inputs, whole.targets[keep], whole.slices[keep].reset_index(drop=True))"
        yield ""
        yield "    def _whole(self, split):"
    yield "        arrays = _read(split)"
    for at, (name, prepare) in enumerate(plan.inputs):
        if prepare.said:
            yield f"        # {prepare.said}"
        yield f"        input_{at} = np.ascontiguousarray({prepare.code(f'arrays[{json.dumps(name)}]')})"
    target = f"arrays[{json.dumps(plan.target)}]"
    if plan.labels:
        target = f"np.searchsorted(LABELS, {target}.astype(str))"
    yield f"        targets = {target}.astype(np.{_TARGET_TYPES[plan.task]})"
    yield f"        slices = pd.DataFrame({{{', '.join(_columns(plan))}}}, index=range(len(targets)))"
    inputs = "".join(f"input_{at}, " for at in range(len(plan.inputs))).strip()
    yield f"        return Split(({inputs}), targets, slices)"


def _columns(plan: RowPlan) -> Iterator[str]:
    columns = {column_name(name): _words(plan, name) for name in plan.slices}
    if plan.task in ("classification", "binary") and "label" not in columns:
        columns["label"] = f"{_words(plan, plan.target)}.reshape(-1)" if plan.labels else "targets.reshape(-1)"
    yield from (f"{json.dumps(name)}: {code}" for name, code in columns.items())


def _words(plan: RowPlan, name: str) -> str:
    """Return the source code of an array; what is saved as bytes is read as text."""
    is_bytes = plan.found["train"][name].dtype.kind == "S"
    return f"arrays[{json.dumps(name)}]{'.astype(str)' if is_bytes else ''}"


def _reading(plan: RowPlan) -> Iterator[str]:
    yield ""
    yield "def _read(split):"
    yield '    """Return the arrays of one split by their names."""'
    yield '    source = split if split in FILES else "train"'
    yield "    arrays = {name: _array(*place) for name, place in FILES[source].items()}"
    if plan.missing or "calibration" not in plan.found:
        yield "    count = len(next(iter(arrays.values())))"
        yield "    rows = _chosen(split, count)"
        yield "    return arrays if len(rows) == count else {name: array[rows] for name, array in arrays.items()}"
        yield from _choosing(plan)
    else:
        yield "    return arrays"
    yield ""
    yield ""
    yield "def _array(file, key):"
    if any(array.key is None for arrays in plan.found.values() for array in arrays.values()):
        yield '    content = np.load(FOLDER / file, mmap_mode="r", allow_pickle=False)'
    else:
        yield "    content = np.load(FOLDER / file, allow_pickle=False)"
    yield "    return content if key is None else content[key]"


def _choosing(plan: RowPlan) -> Iterator[str]:
    yield ""
    yield ""
    yield "def _chosen(split, count):"
    yield '    """Return the numbers of the rows of a split among those of its files."""'
    yield "    rows = np.arange(count)"
    taken = dict(zip(plan.missing, range(PARTS), strict=False))
    if taken:
        named = " and ".join(taken)
        yield f"    # No files of {named}: of every {PARTS} train rows each takes one. Rows of one subject or of near"
        yield "    # moments must be in one split: cut by subject or time then."
    for name, part in taken.items():
        yield f'    if split == "{name}":'
        yield f"        return rows[rows % {PARTS} == {part}]"
    if taken:
        yield '    if split in ("train", "calibration"):'
        yield f"        rows = rows[rows % {PARTS} >= {len(taken)}]"
    if "calibration" not in plan.found:
        yield '    if split == "calibration":  # evenly spread: the ranges of activations are those of these rows'
        yield f"        rows = rows[np.linspace(0, len(rows) - 1, min({CALIBRATION_ROWS}, len(rows))).astype(int)]"
    yield "    return rows"


def _tuple(name: str, texts: tuple[str, ...]) -> str:
    line = f"{name} = ({', '.join(json.dumps(text, ensure_ascii=False) for text in texts)}{',' * (len(texts) == 1)})"
    if len(line) <= _WIDTH:
        return line
    inside = "".join(f"    {json.dumps(text, ensure_ascii=False)},\n" for text in texts)
    return f"{name} = (\n{inside})"
