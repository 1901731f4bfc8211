"""Resolution of a registered version into a parent: modules that need no source code, or an ONNX file."""

import logging
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from prefect import task
from prefect.cache_policies import NO_CACHE
from torch import Tensor

from model_compression.errors import IntakeError
from model_compression.intake import check_equal, keep_output, load_program, read_graph
from model_compression.onnx_files import save_onnx
from model_compression.training import tensors
from tasks.errors import RegistryError, one_line
from tasks.job import Job
from tasks.registry import AGAIN_S, RegisteredModel, Upstream, was_away
from tasks.upstream.answer_checks import check_outputs_fit
from tasks.upstream.parent_checks import check_signature, checked_onnx, checked_program
from tasks.upstream.parents import OnnxParent, Parent, TorchParent

logger = logging.getLogger("edgewright")
PROGRAM = "program.pt2"
GRAPH = "graph.onnx"
CHECKED_ROWS = 64
EXAMPLE_ROWS = 4


@task(
    name="resolve", task_run_name="resolve", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=AGAIN_S,
    retry_condition_fn=was_away,
)  # fmt: skip
def resolve(job: Job) -> Parent:
    """Fetch the registered program, rebuild it into modules and show that they answer the same on real rows.

    An ONNX file is normalized and shown to answer these rows. Both must answer each row by itself, with numbers. What
    training needs and the program does not tell is a warning. Raises RegistryError for a form that is not supported,
    PreflightError for rows that do not fit the model, ConfigurationError for outputs that do not fit the workload, and
    CompressionError for a program that cannot be rebuilt or a file that ONNX Runtime cannot run.
    """
    upstream = Upstream(job.workspace.tracking_uri)
    inputs = {
        "model": job.model,
        "version": job.version,
        "identity": upstream.identity(job.model, job.version),
        "trust_pickled_modules": job.recipe.trust_pickled_modules,
        **job.digests("validation"),  # a pickled module is exported with example rows
        **({} if job.workload.output is None else {"output": job.workload.output}),
    }
    stage = job.workspace.store.run(
        "program",
        inputs,
        (__name__, read_graph, save_onnx, keep_output),
        lambda folder: _fetch(job, upstream.fetch(job.model, job.version), folder),
    )
    if stage.value["form"] == "onnx":
        return check_outputs_fit(job, checked_onnx(job, OnnxParent(stage.folder / GRAPH, stage.digest)))
    parent = TorchParent(stage.folder / PROGRAM, stage.digest, job.workload, _rows(job, EXAMPLE_ROWS))
    check_signature(job, parent.exported)
    check_equal(parent.exported, parent.build(), _rows(job, CHECKED_ROWS))
    for sentence in parent.untold():
        logger.warning("model `%s` version %s: %s", job.model, job.version, sentence)
    return check_outputs_fit(job, checked_program(job, parent))


def _fetch(job: Job, registered: RegisteredModel, folder: Path) -> dict[str, str]:
    output = job.workload.output
    if registered.program is not None and output is not None:
        torch.export.save(keep_output(load_program(registered.program), output), folder / PROGRAM)
        return {"form": "pt2"}
    if registered.program is not None:
        shutil.copyfile(registered.program, folder / PROGRAM)
        return {"form": "pt2"}
    if registered.graph is not None:
        save_onnx(read_graph(registered.graph, output), folder / GRAPH)
        return {"form": "onnx"}
    if registered.pickled is None:
        raise RegistryError(
            f"model `{job.model}` version {job.version}: expected a program (data/model.pt2), a pickled "
            "module or an ONNX file, got none of them; log it again with mlflow.pytorch.log_model and an input_example "
            "of 2 or more rows"
        )
    if not job.recipe.trust_pickled_modules:
        raise RegistryError(
            f"model `{job.model}` version {job.version}: expected an exported program (pt2), got a pickled module, "
            "which runs its author's code when loaded; register it in MLflow's default pt2 form, or set "
            "`trust_pickled_modules: true` in the recipe if everyone who can write to this registry is trusted"
        )
    _export_pickled(registered.pickled, _rows(job, EXAMPLE_ROWS), folder / PROGRAM, output)
    return {"form": "pickle"}


def _export_pickled(source: Path, example: tuple[Tensor, ...], path: Path, output: str | None) -> None:
    """Turn a pickled module into a program; the one place that unpickles, behind the recipe's trust."""
    shapes: Any = tuple({0: torch.export.Dim("batch")} for _ in example)
    try:
        module = torch.load(source, weights_only=False, map_location="cpu")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(module.eval(), example, dynamic_shapes=shapes)
            torch.export.save(program if output is None else keep_output(program, output), path)
    except IntakeError:
        raise
    except (Exception, SystemExit) as error:  # the module's own code, and any of an exporter's dozens of types
        raise RegistryError(
            f"the pickled module {source.name}: expected to load it and export it with the workload's rows, got "
            f"{one_line(error)}; install what its code imports, see that the workload's rows fit it, or register it in "
            "MLflow's default pt2 form"
        ) from error


def _rows(job: Job, count: int) -> tuple[Tensor, ...]:
    """Return the first validation rows; a single row is repeated, as an exporter would specialize on a batch of one."""
    inputs = job.splits["validation"].inputs
    rows = tensors(tuple(array[:count] for array in inputs))
    return rows if len(rows[0]) > 1 else tuple(torch.cat([row, row]) for row in rows)
