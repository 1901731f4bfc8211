"""The flow `sign-off`: the form by which a person decides in the Prefect UI."""

import logging
from typing import Annotated, Literal

from prefect import flow
from pydantic import Field

from flows.sign_off.decisions_on_subjects import decide_on
from flows.watch.process_label import say_who_works
from tasks.delivery import Person

logger = logging.getLogger("edgewright")
Decision = Literal["publish", "refuse"]


@flow(name="sign-off", flow_run_name="{decision} {subject}: {name}")
def sign_off(
    subject: Annotated[
        str,
        Field(
            title="Version", description="The version that waits as MODEL/VERSION, such as digits/3, or its MLflow run."
        ),
    ],
    name: Annotated[str, Field(title="Your name", description="It is kept with the decision, and shown as claimed.")],
    reason: Annotated[str, Field(title="Reason", description="Why, in a sentence.")],
    decision: Annotated[
        Decision,
        Field(title="Decision", description="Publish counts as your signature. Refuse ends the wait with a no."),
    ],
    device: Annotated[
        str, Field(title="Device", description="The device class. Leave it empty where only one waits.")
    ] = "",
) -> str:
    """Decide on a version that passed its gates and waits for persons.

    Where the recipe lists `signers`, a form cannot prove a name: sign with `edgewright sign-off --key` there.
    """
    say_who_works()
    told = decide_on(subject, device or None, Person(name, reason), refuse=decision == "refuse")
    logger.info("%s", told)
    return told
