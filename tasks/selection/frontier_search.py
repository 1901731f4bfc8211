"""The search over models and rungs together: cheap files first, then training where it promises something."""

import logging
from collections.abc import Iterator, Sequence

from deployments.rungs import PostTraining, Rung
from deployments.techniques import Search
from edge_runtime.measurement import Figures
from model_compression.errors import QuantizationError
from tasks.selection.attempts import Attempt, Climb, Model, Trials, closest
from tasks.selection.pareto import HIGHER_IS_BETTER, better, front
from tasks.selection.reasons import best_of, why_chosen
from tasks.upstream import DeviceContext

logger = logging.getLogger("edgewright")


def search(context: DeviceContext, trials: Trials, models: Sequence[Model], settings: Search) -> Climb:
    """Spend the budget of files, then that of trainings, and choose by the objective among what holds on validation.

    First the cheapest rung on every model whose float answers do not fail a gate themselves, then the other cheap
    rungs, the models on the Pareto front first, then the rungs that train on the models that would beat the best so
    far. Where nothing holds, the attempt that misses the fewest gates goes on to be refused. A rung that the models do
    not take is passed over. Raises QuantizationError where they take none.
    """
    return _Search(context, trials, models, settings).run()


class _Search:
    """The state of one search."""

    def __init__(self, context: DeviceContext, trials: Trials, models: Sequence[Model], settings: Search) -> None:
        self.context, self.trials, self.settings = context, trials, settings
        self.models = self._promising(models)
        self.cheap = [rung for rung in context.rungs if not rung.trains]
        self.dear = [rung for rung in context.rungs if rung.trains]
        self.attempts: list[Attempt] = []
        self.refused: dict[str, QuantizationError] = {}

    def run(self) -> Climb:
        """Spend both budgets."""
        for model, rung in self._cheap_order():
            if len(self.attempts) == self.settings.files or self._unanswered():
                break
            self._try(model, rung)
        if not self.attempts and self.refused:
            raise next(iter(self.refused.values()))
        trained = 0
        while (
            trained < self.settings.trainings
            and not self._unanswered()
            and (following := next(self._worth_training(), None))
        ):
            self._try(*following)
            trained += 1
        objective = self.settings.objective
        held = [tried for tried in self.attempts if tried.verdict.passed]
        chosen = best_of(held, objective) if held else closest(self.attempts)
        why = why_chosen(chosen, self.attempts, objective, self.refused.values())
        return Climb(tuple(self.attempts), chosen, bool(held), why)

    def _promising(self, models: Sequence[Model]) -> list[Model]:
        """The models whose float answers fail no gate, the most accurate one where all do."""
        kept = []
        for model in models:
            failed = self.trials.float_failures(model)
            if failed:
                logger.info(
                    "%s: %s fails %s in float already, so no file is made of it",
                    self.context.device.name, model.title, ", ".join(failed),
                )  # fmt: skip
            else:
                kept.append(model)
        return kept or [max(models, key=lambda model: model.accuracy)]

    def _cheap_order(self) -> Iterator[tuple[Model, Rung]]:
        """The second half of the order depends on what came of the first."""
        for model in self.models:
            yield from ((model, rung) for rung in self.cheap[:1])
        on_front = {id(tried.snapshot) for tried in front(self.attempts)}
        for model in sorted(self.models, key=lambda model: id(model) not in on_front):
            yield from ((model, rung) for rung in self.cheap[1:])

    def _worth_training(self) -> Iterator[tuple[Model, Rung]]:
        """Yield trainings that would give the best file if they held the float model's accuracy, best promise first."""
        if self._unanswered() or not self._dear_left():
            return
        held = [tried for tried in self.attempts if tried.verdict.passed]
        objective = self.settings.objective
        best = best_of(held, objective).figure(objective) if held else None
        tried = {(id(each.snapshot), each.rung) for each in self.attempts}
        promises = [(self._promise(model), model) for model in self.models]
        order = sorted(
            (promise for promise in promises if better(promise[0], best, objective)),
            key=lambda promise: promise[0] or 0.0,
            reverse=objective in HIGHER_IS_BETTER,
        )
        for _, model in order:
            yield from ((model, rung) for rung in self._dear_left() if (id(model), rung) not in tried)

    def _dear_left(self) -> list[Rung]:
        return [rung for rung in self.dear if rung.title not in self.refused]

    def _promise(self, model: Model) -> float | None:
        """Return the objective's figure if INT8 cost no accuracy; None where integers miss a budget, trained or not.

        The figures are those of a PTQ file of the model if the search made one, else of its cheapest INT8 file.
        """
        seen = [
            tried.measured.resources
            for tried in self.attempts
            if tried.snapshot is model and isinstance(tried.rung, PostTraining)
        ]
        for figures in seen or [self.trials.expected(model)]:
            if figures is not None and self._keeps_budgets(figures):
                objective = self.settings.objective
                return model.accuracy if objective == "accuracy" else figures.value(objective)
        return None

    def _keeps_budgets(self, figures: Figures) -> bool:
        limits = self.context.device.budgets.limits()
        return all(figures.value(str(limit.resource)) <= (limit.at_most or 0) for limit in limits)

    def _unanswered(self) -> bool:
        """Say that answers cannot be had on the device's CPU: no other file would have them."""
        return bool(self.attempts) and self.attempts[-1].measured.unanswered is not None

    def _try(self, model: Model, rung: Rung) -> None:
        if rung.title in self.refused:
            return
        try:
            tried = self.trials.attempt(model, rung)
        except QuantizationError as error:
            logger.warning("%s: %s is passed over: %s", self.context.device.name, rung.title, error)
            self.refused[rung.title] = error
            return
        logger.info("%s: %s: %s", self.context.device.name, tried.title, tried.reason)
        self.attempts.append(tried)
