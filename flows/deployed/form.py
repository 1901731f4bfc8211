"""The form by which people start a run in Prefect: a title, a text and examples for each parameter.

Prefect puts the parameter's name over a title of pydantic's, and the docstring over its description. What the JSON
schema itself says stays.
"""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from tasks.workspace import Workspace

# Prefect's server checks these, so that it refuses at submission what would become the run's name. The end is no `$`,
# which holds before a last newline too.
ONE_LINE = r"^[^\x00-\x1f\x7f]+(?![\s\S])"
_NUMBER = r"^[0-9]+(?![\s\S])"


def _asked(title: str, description: str, *examples: str, **bounds: Any) -> Any:
    """Return the field of a parameter, as the form shows it, with bounds of its JSON schema."""
    said: dict[str, Any] = {"title": title, "description": description, **bounds}
    return Field(json_schema_extra=said | ({"examples": list(examples)} if examples else {}))


_RECIPES = sorted(path.stem for path in Path(str(resources.files("deployments"))).glob("recipes/*.yaml"))
"""The names of the recipes that come with Edgewright. Whatever reads one loads torch, which takes seconds."""
ModelName = Annotated[
    str,
    _asked(
        "Registered model", "Its name in MLflow's registry, as the recipe has it.", "digits", pattern=ONE_LINE,
        maxLength=256,
    ),
]  # fmt: skip
Version = Annotated[
    str, _asked("Version", "The number of one version of it, such as 3.", "3", pattern=_NUMBER, maxLength=18)
]
RecipeName = Annotated[
    str,
    _asked(
        "Recipe",
        "The name of a recipe that comes with Edgewright, or the path of a file on the worker's machine.",
        *_RECIPES,
    ),
]
Places = Annotated[
    Workspace | None,
    _asked(
        "Places (leave it empty)",
        "Where stages, records and bundles are kept. Empty for those of the worker: EDGEWRIGHT_HOME, "
        "MLFLOW_TRACKING_URI and EDGEWRIGHT_TARGET.",
    ),
]
Again = Annotated[
    bool,
    _asked(
        "Ask again",
        "Decide again on devices that have an answer already. Finished stages are not computed again. Off: nothing is "
        "done where all devices are answered.",
    ),
]
Back = Annotated[
    bool,
    _asked(
        "Go back to this version",
        "Let an older version replace a newer one that is deployed, as a new release, where its gates hold.",
    ),
]
Cause = Annotated[
    str,
    _asked(
        "Why",
        "The reason, in a few words. The run in MLflow and the report show it.",
        "the fix for night pictures is needed on all cameras",
    ),
]
Recipes = Annotated[
    Sequence[str] | None,
    _asked(
        "Recipes",
        "Names of recipes that come with Edgewright, or paths on the worker's machine. Empty for all of the former.",
    ),
]
Apart = Annotated[
    bool,
    _asked(
        "A run for each version",
        "Start a run of its own for each version that wants an answer, which waits for a worker. Off: they are "
        "compressed in this run, one after the other.",
    ),
]
