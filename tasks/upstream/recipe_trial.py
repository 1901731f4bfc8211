"""The trial of a recipe's workload with the newest registered version of its model."""

from pathlib import Path

from deployments.recipe import read_recipe
from tasks.errors import RegistryError, RegistryUnavailable
from tasks.registry import Upstream, is_made
from tasks.upstream.answer_checks import CHECKED_ROWS
from tasks.upstream.function_trials import try_functions
from tasks.upstream.job_checks import read_job
from tasks.upstream.parents import Parent, TorchParent
from tasks.upstream.resolution import resolve
from tasks.workspace import Workspace

_NOT_TRIED = "`loss`, `score` and `predictions` were not tried"


def try_with_model(path: Path, workspace: Workspace) -> str:
    """Try a recipe's workload with the newest registered version, as a run does; return the figures in words.

    Where the registry has no version yet, or gives no answer, the words say so. Raises what `resolve` raises.
    """
    model = read_recipe(path).model
    if not is_made(workspace.tracking_uri):
        return f"{_NOT_TRIED}: there is no registry at {workspace.tracking_uri} yet"
    try:
        version = Upstream(workspace.tracking_uri).versions(model)[-1:]
    except (RegistryError, RegistryUnavailable) as error:
        return f"{_NOT_TRIED}: {error}"
    if not version:
        return f"{_NOT_TRIED}: model `{model}` has no version yet"
    job = read_job(model, version[0], path, workspace)
    parent: Parent = resolve.fn(job)
    validation = job.splits["validation"]
    outputs = parent.answers(tuple(array[:CHECKED_ROWS] for array in validation.inputs))
    trains = isinstance(parent, TorchParent)
    tried = try_functions(job.workload, outputs, validation.targets[:CHECKED_ROWS], trains=trains)
    return f"Tried with version {version[0]}: {tried}"
