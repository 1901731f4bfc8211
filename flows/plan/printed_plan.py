"""The plan as `edgewright plan` prints it: what would run and why, and what stays as it is."""

from collections.abc import Iterator

from flows.exit_codes import ending_of
from flows.plan.plan import Plan
from tasks.planning import RecipePlan, WantedRun
from tasks.registry import RegistryView
from tasks.workspace import Workspace

NEW, AGAIN, STANDS, WAITS, WRONG = "+", "~", "=", "!", "x"


def plan_lines(plan: Plan, workspace: Workspace, every: bool = False) -> Iterator[str]:
    """Yield the lines of a plan: recipes that want something or wait, then one line that counts.

    With `every`, what stands on each device has a line of its own, and so has a recipe that wants nothing.
    """
    for each in plan.recipes:
        if each.wanted or each.waits or each.needs_a_person or every:
            yield from _of_recipe(each, plan.view, every)
    for wrong in plan.errors:
        yield f"recipe {wrong.path}"
        yield f"  {WRONG} {ending_of(wrong.error, workspace.home)[1]}"
    yield _summary(plan)


def _of_recipe(plan: RecipePlan, view: RegistryView, every: bool) -> Iterator[str]:
    yield f"recipe {plan.path}, model {plan.recipe.model}"
    known = {each.device for run in plan.wanted for each in run.devices}
    for run in plan.wanted:
        yield _of_run(run, view, everywhere=len(known) == len(plan.recipe.devices))
    if every:
        yield from (f"  {STANDS} {each.device}: {each.why}" for each in plan.stands)
    yield from (f"  {WAITS} {sentence}" for sentence in (*plan.waits, *plan.needs_a_person))


def _of_run(run: WantedRun, view: RegistryView, everywhere: bool) -> str:
    mark = AGAIN if run.again or run.back or not run.mark.startswith("new") else NEW
    on = "all devices" if everywhere else ", ".join(each.device for each in run.devices)
    deployed = [view.deployed_on(run.model, each.device) for each in run.devices]
    is_back = run.back and any(each is not None and int(each.source_version) > int(run.version) for each in deployed)
    return f"  {mark} version {run.version}{', back to it' if is_back else ''} on {on}: {run.cause}"


def _summary(plan: Plan) -> str:
    devices = sum(len(run.devices) for run in plan.wanted)
    stands = sum(len(each.stands) for each in plan.recipes)
    waits = sum(len(each.waits) + len(each.needs_a_person) for each in plan.recipes)
    counts = [
        f"{_counted(len(plan.wanted), 'run')} on {_counted(devices, 'device')}",
        f"{stands:,} answers stand",
        *([f"{waits:,} wait"] if waits else []),
        *([f"{_counted(len(plan.errors), 'recipe')} with errors"] if plan.errors else []),
    ]
    todo = " edgewright reconcile does it, or the services by themselves." if plan.wanted else " Nothing to do."
    return f"Plan: {', '.join(counts)}.{todo}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
