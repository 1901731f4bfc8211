"""The text of a recipe and of a device profile, with comments that say what each threshold rests on."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass

from deployments.errors import ConfigurationError
from edge_runtime.cpu import InstructionSet, this_instruction_set
from flows.first_files.suggestions import (
    CONFIDENCE,
    DISCORDANCE,
    SLICE_DISCORDANCE,
    WIDEST,
    SuggestedGates,
    Suggestions,
)
from flows.first_files.writing import as_text
from tasks.upstream import FirstLook

MOST_BATCH, FEWEST_BATCH = 64, 8
GRAPH_KB = 30
"""The size that the graph and its scales take beside the weights of a small INT8 file."""
_EPOCHS = 3

_TRAINING = """    epochs: {epochs}
    batch_size: {batch}
    learning_rate: {rate}
    weight_decay: 1.0e-4
    temperature: 4
    distillation_weight: {weight}
    seed: 0
"""


@dataclass(frozen=True)
class NewDevice:
    """A class of devices as a person describes it; None where nothing is limited."""

    name: str
    instruction_set: InstructionSet
    threads: int
    size_kb: float
    memory_mb: float | None
    latency_ms: float | None


def suggested_size_kb(look: FirstLook) -> int:
    """Return about the size of an INT8 file of the whole model: a byte for each parameter, and the graph."""
    kilobytes = look.parameters / 1000 * 1.1 + GRAPH_KB
    digits = max(len(str(int(kilobytes))) - 2, 0)
    unit: int = 10**digits
    return math.ceil(kilobytes / unit) * unit


def recipe_text(
    look: FirstLook, name: str, workload: str, device: str, instruction_set: InstructionSet, found: Suggestions,
    train_rows: int,
) -> str:  # fmt: skip
    """Return a recipe with gates as suggested; its checks are those of `edgewright recipes check`."""
    batch = max(min(MOST_BATCH, train_rows // 8), FEWEST_BATCH)
    parts = [
        _head(look, name, workload, device, instruction_set),
        _techniques(look, found, batch),
        _gates(found),
    ]
    return "".join(parts)


def _head(look: FirstLook, name: str, workload: str, device: str, instruction_set: InstructionSet) -> str:
    unproven = "" if instruction_set == this_instruction_set() else _UNPROVEN
    return (
        f"# What happens to every new version of the registered model {look.model}. Written by `edgewright init` from\n"
        f"# version {look.version}; every key is described on the page docs/recipe-keys.md.\n"
        f"name: {as_text(name)}\n"
        f"model: {as_text(look.model)}\n"
        f"workload: {workload}\n"
        "trust_pickled_modules: false\n"
        f"devices: [{as_text(device)}]\n{unproven}"
    )


_UNPROVEN = (
    "# This machine has another instruction set than the device, so its answers prove nothing there and a release is\n"
    "# shown in amber. Remove the key where answers are emulated, or where a device measures over SSH.\n"
    "accept_unproven_instruction_set: true\n"
)


def _techniques(look: FirstLook, found: Suggestions, batch: int) -> str:
    unused = (
        ""
        if look.trains
        else "# The model is an ONNX file, which is only quantized: the section is needed, but not used.\n"
    )
    units = "[channels, heads]" if look.attends else "[channels]"
    floor = _accuracy_floor(found)
    prune = (
        f"{unused}prune:\n"
        "  kind: structured\n"
        f"  units: {units}\n"
        "  importance: taylor\n"
        "  weigh_by: channels\n"
        "  ratio: 0.2  # of that resource, freed in each round, until the budgets of all devices hold\n"
        "  max_rounds: 6\n"
        "  round_to: 4\n"
        f"  accuracy_floor: {floor:g}  # {_what_may_be_lost(found)}\n"
        "  fine_tune:\n" + _training("1.0e-3", batch, _EPOCHS)
    )
    trained = "  - kind: qat  # only where nothing before it holds: it trains\n    fine_tune:\n"
    ladder = "ladder:  # tried from cheap to costly, until one holds every gate on validation\n"
    if look.attends:
        ladder += "  - kind: dynamic  # weights alone, which suits transformers\n"
    ladder += "  - kind: ptq\n    calibration: minmax\n  - kind: ptq\n    calibration: percentile\n"
    return prune + ladder + (trained + _training("5.0e-4", batch, 2, "      ") if look.trains else "")


def _training(rate: str, batch: int, epochs: int, indent: str = "    ") -> str:
    text = _TRAINING.format(epochs=epochs, batch=batch, rate=rate, weight=0.7)
    return text.replace("    ", indent) if indent != "    " else text


def _what_may_be_lost(found: Suggestions) -> str:
    if found.metric == "mae":
        return "on validation, the error of a pruned model may grow by this share of the registered model's"
    return "the most that a pruned model may lose on validation"


def _accuracy_floor(found: Suggestions) -> float:
    return 0.1 if found.metric == "mae" else max(found.whole.margin or 0, 0.02)


def _gates(found: Suggestions) -> str:
    if all(gates.margin is None for gates in (found.whole, *found.critical)):
        raise ConfigurationError(
            f"expected test rows for a gate, {found.whole.needed:,} for a margin of {WIDEST:.0%}, got "
            f"{found.whole.rows:,}; give the test split more rows"
        )
    lines = [
        "gates:",
        f"  # The registered model reaches {_figure(found, found.whole)} on validation"
        + (f"; one answer for all rows reaches {found.guess:.1%}." if found.guess is not None else "."),
    ]
    lines += _of_rows(found, found.whole, DISCORDANCE)
    for each in found.critical:
        lines += _of_rows(found, each, SLICE_DISCORDANCE)
    return "\n".join([*lines, ""])


def _of_rows(found: Suggestions, gates: SuggestedGates, discordance: float) -> Iterator[str]:
    if gates.margin is None:
        yield (
            f"  # {gates.slice_said}: {gates.rows:,} test rows are too few for a gate; {gates.needed:,} could show a "
            f"margin of {WIDEST:.0%}."
        )
        return
    if found.metric == "mae":
        yield "  # The error may grow by a tenth of what the model has; a quarter more is the most that is of use."
    elif found.metric == "mean_score":
        yield f"  # {gates.slice_said}: on {gates.rows:,} test rows two equal models, whose scores part by half of what"
        yield "  # those of rows do, pass this margin in 4 of 5 cases. What may be lost is yours to say."
    else:
        yield f"  # {gates.slice_said}: on {gates.rows:,} test rows two equal models that disagree on {discordance:.0%}"
        yield "  # of them pass this margin in 4 of 5 cases (`gates plan`). What may be lost is yours to say."
    on = "" if gates.column is None else f" on {gates.equals}"
    called = f"{'error' if found.metric == 'mae' else found.metric.replace('_', ' ')}{on}"
    for against in ("parent", "deployed"):
        yield from _gate("non_inferiority", f"{called} against {against}", found, gates)
        yield f"    against: {against}"
        yield f"    margin: {gates.margin:g}"
        yield f"    confidence: {CONFIDENCE:g}"
    if gates.floor is not None:
        yield from _gate("limit", f"{called} at {'most' if found.metric == 'mae' else 'least'}", found, gates)
        bound = "at_most" if found.metric == "mae" else "at_least"
        meant = "the most" if found.metric == "mae" else "a floor"
        yield f"    {bound}: {gates.floor:g}  # {meant}, which a first release must hold too"
        yield f"    confidence: {CONFIDENCE:g}"


def _gate(kind: str, name: str, found: Suggestions, gates: SuggestedGates) -> Iterator[str]:
    yield f"  - kind: {kind}"
    yield f"    name: {json.dumps(name, ensure_ascii=False)}"
    yield f"    metric: {found.metric}"
    if gates.column is not None:
        equals = json.dumps(gates.equals, ensure_ascii=False)
        yield f"    slice: {{column: {json.dumps(gates.column, ensure_ascii=False)}, equals: {equals}}}"


def _figure(found: Suggestions, gates: SuggestedGates) -> str:
    named = {"mae": "error", "mean_score": "score"}.get(found.metric)
    return f"{gates.value:.1%}" if named is None else f"a mean {named} of {gates.value:.3g}"


def device_text(device: NewDevice) -> str:
    """Return a device profile that measures on this machine."""
    limits = {
        "peak_rss_mb": (device.memory_mb, "MiB of the whole process"),
        "latency_p50_ms": (device.latency_ms, "median milliseconds of one row"),
    }
    budgets = "".join(
        f"  {name}: {value:g}  # {said}\n" if value is not None else f"  # {name}: 100  # {said}\n"
        for name, (value, said) in limits.items()
    )
    return (
        "# A class of devices. Written by `edgewright init`; every key is described on the page docs/device-keys.md.\n"
        f"name: {as_text(device.name)}\n"
        f"description: {device.name}, {device.threads} thread{'s' * (device.threads > 1)} for the model\n"
        f"threads: {device.threads}\n"
        f"instruction_set: {device.instruction_set}\n"
        "execution_provider: CPUExecutionProvider\n"
        "precisions: [int8]\n"
        "max_batch: 1\n"
        "budgets:  # each budget is a gate; a resource without one is not limited\n"
        f"  size_kb: {device.size_kb:g}  # of the model's file, in kB of 1,000 bytes\n{budgets}"
        "measure:\n"
        "  kind: local  # in a process on this machine; `ssh` measures on a device\n"
        f"  memory_limit_mb: {max(1024, math.ceil((device.memory_mb or 0) * 2))}\n"
        "  timeout_s: 120\n"
        "  warmup: 20\n"
        "  repeats: 300\n"
        "answers:\n"
        "  kind: native  # this machine's CPU answers the rows; `emulated` asks the device's class of CPU\n"
    )
