"""Plans of gates, from the rates that earlier versions of the model had on each device."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from quality_gates.foresight import Expected, JointChance, joint_chance
from quality_gates.gates import PlanLine
from quality_gates.policy import AlphaSpending
from quality_gates.verdict import Verdict
from tasks.errors import RegistryUnavailable
from tasks.outcomes import device_answers
from tasks.registry import Runs, is_made
from tasks.reporting.recording import VERDICT
from tasks.upstream import plan_of
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")
LAST = 5
"""Earlier verdicts on a device that rates are taken from: the newest ones, as models change over years."""


@dataclass(frozen=True)
class DevicePlan:
    """The plan of one device: a line for each gate, and the chance that a model that is as good passes all of them.

    `spending` is how the recipe spends false passes over looks, which every gate that must show something is planned
    with; `registry_is_there` tells whether the looks that were taken can be asked for.
    """

    device: str
    lines: tuple[PlanLine, ...]
    joint: JointChance
    spending: AlphaSpending | None = None
    registry_is_there: bool = False


def plan_gates(recipe: Path, discordance: float, accuracy: float, workspace: Workspace) -> Iterator[DevicePlan]:
    """Yield the plan of each device of a recipe, by simulation.

    `discordance` and `accuracy` are assumed where no earlier version of the model was judged on the device, and where
    the registry gives no answer. Raises ConfigurationError or PreflightError.
    """
    planned = plan_of(recipe)
    runs = _runs(workspace, planned.recipe.model)
    known: dict[str, JointChance] = {}  # the gates that are simulated are the recipe's, whatever the device
    for device in planned.recipe.devices:
        policy = planned.recipe.policy(device)
        verdicts = [] if runs is None else earlier_verdicts(runs, device.name)
        expected = Expected.from_verdicts(policy, verdicts, discordance, accuracy)
        key = repr((expected, [gate.name for gate in policy.gates]))
        if key not in known:
            known[key] = joint_chance(
                policy, planned.test, expected, planned.classes, planned.validation, group=planned.group
            )
        lines, spending = tuple(planned.lines(device, discordance)), planned.recipe.alpha_spending
        yield DevicePlan(device.name, lines, known[key], spending, runs is not None)


def earlier_verdicts(runs: Runs, device: str) -> list[Verdict]:
    """Return the newest verdicts on earlier versions on a device; one in another form is passed over."""
    answered = [recorded.run for recorded, line in device_answers(runs) if line.device == device]
    found = (_read(runs, run) for run in reversed(answered))
    return [verdict for verdict in found if verdict is not None][:LAST]


def _read(runs: Runs, run: str) -> Verdict | None:
    text = runs.find_text(run, VERDICT)
    try:
        return None if text is None else Verdict.model_validate_json(text)
    except ValidationError:
        logger.warning("run %s: a %s in another form is passed over", run, VERDICT)
        return None


def _runs(workspace: Workspace, model: str) -> Runs | None:
    """Return the runs of a model; None where the registry is a file that nobody has made yet, or gives no answer."""
    address = workspace.tracking_uri
    if not is_made(address):
        return None
    try:
        return Runs(address, model)
    except RegistryUnavailable as error:
        logger.warning("planned without the registry: %s", error)
        return None
