"""The watcher: a small process that looks at the registry, starts the runs that are wanted, and finds those that died.

It never works itself: it imports no workload and loads no model. A webhook makes it look at once; it also looks every
few seconds, as an event can be lost. Any number of watchers may run: each wanted run is started once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from shlex import join
from typing import TypeAlias

from prefect.client.orchestration import PrefectClient, get_client

from deployments.recipe import FollowedAlias, Recipe, RecipeNames, read_recipe
from edge_runtime.errors import EdgewrightError
from flows.visibility import check_blocks, needs_person, notify
from flows.watch.dead_runs import end_dead_runs
from flows.watch.deliveries import RegistryEvent
from flows.watch.process_label import process_of
from flows.watch.wanted_runs import AtWork, Ensured, cancel_older, cancel_unnamed, ensure_run, runs_at_work, tag_of
from tasks.errors import one_line
from tasks.planning import WantedRun, plan_recipe
from tasks.processes import Process
from tasks.registry import RegistryView, close_runs_of

logger = logging.getLogger("edgewright")
LOOK_S = 5.0
DEAD_S = 15.0
Step: TypeAlias = Callable[[], Awaitable[None]]


class Watcher:
    """The recipes that are watched, and the sentences that were told about them and their runs."""

    def __init__(self, recipes: Sequence[Path], tracking_uri: str, home: Path, look_s: float = LOOK_S) -> None:
        self.recipes = tuple(recipes)
        self.tracking_uri = tracking_uri
        self.home = home
        self.look_s = look_s
        self._one_at_a_time = asyncio.Lock()
        self._said: set[str] = set()
        self._waiting: dict[str, asyncio.Task[dict[WantedRun, Ensured]]] = {}
        self._listening_since: datetime | None = None
        self._dead: set[Process] = set()
        self._is_over = False

    async def told(self, event: RegistryEvent) -> str:
        """Look at the model that an event is about; return in words what came of it.

        Edgewright's own outputs are models of other names, so they wake nobody. Events that come while a look waits for
        its turn share it: a hundred of them, or one that is played again, cost one look. Raises what MLflow or Prefect
        raise.
        """
        if event.model not in {recipe.model for _, recipe in self._read()}:
            return f"no recipe names the model {event.model}"
        ensured = await asyncio.shield(self._next_look(event.model))
        return f"{sum(state == 'started' for state in ensured.values())} runs started"

    async def look(self, model: str | None = None) -> dict[WantedRun, Ensured]:
        """Start what is wanted of one model or of all; return what is wanted, and what became of it."""
        async with self._one_at_a_time:
            if model is not None:
                self._waiting.pop(model, None)  # what is told from now on may come too late for this look
            return await self._look(model)

    async def watch(self) -> None:
        """Look every few seconds until the task is cancelled; an error is told once, and the next look goes on."""
        steps = [
            self._repeat(self._look_at_all, self.look_s),
            self._repeat(self._end_dead, DEAD_S),
            asyncio.to_thread(check_blocks),
        ]
        tasks = [asyncio.create_task(step) for step in steps]
        try:
            for ended in (await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION))[0]:
                ended.result()
        finally:
            self._is_over = True
            for task in tasks:
                task.cancel()

    async def _look(self, model: str | None) -> dict[WantedRun, Ensured]:
        async with get_client() as client:
            view = await asyncio.to_thread(RegistryView.read, self.tracking_uri, model)
            now = datetime.now(UTC)
            asked = [(path, recipe) for path, recipe in self._read() if model in (None, recipe.model)]
            plans = [(recipe, self._wanted(path, recipe, view, now)) for path, recipe in asked]
            followers = [
                (path, recipe.model, recipe.follow.alias)
                for path, recipe in asked if isinstance(recipe.follow, FollowedAlias)
            ]  # fmt: skip
            at_work = await runs_at_work(client) if followers or any(wanted for _, wanted in plans) else AtWork()
            for path, followed, alias in followers:
                await self._follow(client, path, followed, alias, at_work)
            return {
                run: await self._ensure(client, recipe, run, now, at_work) for recipe, wanted in plans for run in wanted
            }

    async def _follow(self, client: PrefectClient, recipe: str, model: str, alias: str, at_work: AtWork) -> None:
        """Cancel what was started for an alias that has moved on: it must not reach the devices after all."""
        begun = {version for name, version, path in at_work if (name, path) == (model, recipe)}
        if not begun:
            return
        # The alias is read after the runs: another watcher may have started one for where it is by now.
        view = await asyncio.to_thread(RegistryView.read, self.tracking_uri, model)
        over = begun - {view.aliases.get(model, {}).get(alias)}
        if over:
            await cancel_unnamed(client, model, recipe, over, alias)

    def _next_look(self, model: str) -> asyncio.Task[dict[WantedRun, Ensured]]:
        """Return the look at a model that has not begun; there is at most one."""
        if model not in self._waiting:
            self._waiting[model] = asyncio.create_task(self.look(model))
        return self._waiting[model]

    async def _ensure(
        self, client: PrefectClient, recipe: Recipe, wanted: WantedRun, now: datetime, at_work: AtWork
    ) -> Ensured:
        if recipe.newer == "supersede":
            await cancel_older(client, wanted)
        state = await ensure_run(client, wanted, now, at_work)
        subject = f"model {wanted.model} version {wanted.version}"
        if state == "cancelled":
            self._tell_once(
                f"{subject}: a person has cancelled its run, and it is not started again by itself; ask with "
                f"{_by_hand(wanted)}"
            )
        if state == "needs a person":
            what = (
                f"{subject}: expected an answer, got none in any attempt, and a person is needed: see the runs tagged "
                f"{tag_of(wanted)} for the causes, then ask with {_by_hand(wanted)}"
            )
            if self._tell_once(what):
                await asyncio.to_thread(notify, needs_person(wanted.model, wanted.version, what))
        return state

    async def _look_at_all(self) -> None:
        await self.look()

    async def _end_dead(self) -> None:
        now = datetime.now(UTC)
        since, self._listening_since = self._listening_since or now, None
        async with get_client() as client:
            dead = await end_dead_runs(client, now, since, self.home)
        self._listening_since = since
        self._dead |= set(filter(None, (process_of(run.labels, run.run_count) for run in dead)))
        if self._dead:
            # What they left open in MLflow: their machine, which knows that too, may never return.
            await asyncio.to_thread(close_runs_of, self.tracking_uri, self._dead)
            self._dead.clear()

    async def _repeat(self, step: Step, seconds: float) -> None:
        told = ""
        while not self._is_over:  # a client of HTTP may turn a cancellation into an error of its own
            try:
                await step()
                told = ""
            except Exception as error:  # the registry or Prefect is away: they are waited for
                sentence = one_line(error)
                if sentence != told:
                    logger.warning("the watcher goes on looking: %s", sentence)
                told = sentence
            await asyncio.sleep(seconds)

    def _read(self) -> list[tuple[str, Recipe]]:
        """Read the recipes as they are now. One that cannot be read is told once and keeps no other waiting."""
        found, names = [], RecipeNames()
        for path in self.recipes:
            try:
                recipe = read_recipe(path)
                names.add(recipe)
            except EdgewrightError as error:
                self._tell_once(f"{path}: {error}")
            else:
                found.append((str(path), recipe))
        return found

    def _wanted(self, path: str, recipe: Recipe, view: RegistryView, now: datetime) -> tuple[WantedRun, ...]:
        """Return what a recipe wants; one that cannot be planned is told once and keeps no other waiting."""
        try:
            return plan_recipe(path, recipe, view, now).wanted
        except Exception as error:  # what the registry holds of this model is of no form that is known
            self._tell_once(f"{path}: expected to plan it, got {one_line(error)}; see edgewright plan --recipe {path}")
            return ()

    def _tell_once(self, sentence: str) -> bool:
        """Tell a sentence, unless it was told before; return whether it is news."""
        if sentence in self._said:
            return False
        self._said.add(sentence)
        logger.error("%s", sentence)
        return True


def _by_hand(wanted: WantedRun) -> str:
    """Return the command by which a person asks for a wanted run."""
    flags = [flag for flag, is_set in (("--again", wanted.again), ("--back", wanted.back)) if is_set]
    return join(["edgewright", "compress", wanted.model, wanted.version, "--recipe", wanted.recipe, *flags])
