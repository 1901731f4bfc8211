"""The flow `compress`, as a worker, the command line and `reconcile` start it."""

from typing import TYPE_CHECKING

from prefect import flow

from flows.deployed.form import Again, Back, Cause, ModelName, Places, RecipeName, Version
from flows.watch import say_who_works
from tasks.workspace import Workspace

if TYPE_CHECKING:  # it loads MLflow
    from tasks.outcomes import Outcome


@flow(name="compress", flow_run_name="{model}-v{version}")
def compress(
    model: ModelName, version: Version, recipe: RecipeName, workspace: Places = None, again: Again = False,
    back: Back = False, cause: Cause = "",
) -> "Outcome":  # fmt: skip
    """Compress one registered version as a recipe says, and publish it where its gates hold.

    `recipe` is a path or the name of a shipped one. A device that was answered with the same model, recipe, data, code
    and libraries is not asked again, unless `again` says so. `back` permits an older version to replace a newer one,
    and asks again where it was published. `cause` is why this run was started, as its run and its report tell. Raises
    EdgewrightError for what ends the version as a whole: wrong input is recorded as its answer, and a SystemFailure is
    no answer.
    """
    workspace = workspace or Workspace.from_environment()
    say_who_works(workspace.home)
    from flows.compress import answer_version
    from flows.visibility import shown

    with shown(model, version, recipe, workspace) as tell:
        return tell(answer_version(model, version, recipe, workspace, again, back, cause))
