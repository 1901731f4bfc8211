"""The flow `sign-off`: the form by which a person decides in the Prefect UI."""

import logging
from typing import Annotated, Any, Literal, TypeAlias

from prefect import flow
from pydantic import Field

from flows.deployed import ONE_LINE
from flows.sign_off.decisions_on_subjects import decide_on
from flows.watch import say_who_works
from tasks.delivery import Person
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")
Decision: TypeAlias = Literal["publish", "refuse"]


def _line(longest: int) -> Any:
    """Return the field of a parameter in one line, which Prefect's server refuses at submission where it is none."""
    return Field(json_schema_extra={"pattern": ONE_LINE, "maxLength": longest})


Subject = Annotated[str, _line(300)]
Name = Annotated[str, _line(100)]


@flow(name="sign-off", flow_run_name="{decision} {version}: {your_name}")
def sign_off(version: Subject, your_name: Name, reason: str, decision: Decision, device: str = "") -> str:
    """Decide on a version that passed its gates and waits for persons.

    Where the recipe lists `signers`, a form cannot prove a name: sign with `edgewright sign-off --key` there. The
    arguments are told here, because the Prefect UI shows these sentences below its fields.

    Args:
        version: The version that waits, as MODEL/VERSION such as digits/3, or the id of its run in MLflow.
        your_name: Who decides. The name is kept with the decision, and is shown as claimed.
        reason: Why, in a sentence that is kept.
        decision: `publish` is a signature, of which the recipe may ask for two. `refuse` ends the wait with a no.
        device: The device class. It may be left empty where only one waits.
    """
    say_who_works(Workspace.from_environment().home)
    told = decide_on(version, device or None, Person(your_name, reason), refuse=decision == "refuse")
    logger.info("%s", told)
    return told
