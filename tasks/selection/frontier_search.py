"""The search over models and rungs together: cheap files first, then training where it promises something."""

import logging
from collections.abc import Iterator, Sequence

from deployments.recipe import Rung
from deployments.techniques import Search
from edge_runtime.measurement import RESOURCES
from model_compression.errors import QuantizationError
from tasks.selection.attempts import Attempt, Climb, Model, attempt, closest, float_failures
from tasks.selection.pareto import HIGHER_IS_BETTER, better, front
from tasks.selection.reasons import best_of, why_chosen
from tasks.selection.reference_models import References
from tasks.upstream import rungs_for

logger = logging.getLogger("edgewright")
BUDGETS = {resource.budget for resource in RESOURCES.values()}


def search(references: References, models: Sequence[Model], settings: Search) -> Climb:
    """Spend the budget of files, then that of trainings, and choose by the objective among what holds on validation.

    First the cheapest rung on every model whose float answers do not fail a gate themselves, then the other cheap
    rungs, the models on the Pareto front first, then the rungs that train on the models that would beat the best so
    far. Where nothing holds, the attempt that misses the fewest gates goes on to be refused. A rung that the models do
    not take is passed over. Raises QuantizationError where they take none.
    """
    return _Search(references, models, settings).run()


class _Search:
    """The state of one search."""

    def __init__(self, references: References, models: Sequence[Model], settings: Search) -> None:
        self.references, self.settings = references, settings
        self.models = self._promising(models)
        rungs = rungs_for(references.job, references.parent, references.device)
        self.cheap = [rung for rung in rungs if not rung.trains]
        self.dear = [rung for rung in rungs if rung.trains]
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
            failed = float_failures(self.references, model)
            if failed:
                logger.info(
                    "%s: %s fails %s in float already, so no file is made of it",
                    self.references.device.name, model.title, ", ".join(failed),
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
        """What is not tried and would be the best if training held the float model's accuracy, most promising first."""
        if self._unanswered():
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
            yield from ((model, rung) for rung in self._dear_left() if (id(model), rung.title) not in tried)

    def _dear_left(self) -> list[Rung]:
        return [rung for rung in self.dear if rung.title not in self.refused]

    def _promise(self, model: Model) -> float | None:
        """The objective's figure if INT8 cost no accuracy; None where integers miss a budget, trained or not."""
        integers = [
            tried
            for tried in self.attempts
            if tried.snapshot is model and tried.rung.startswith("PTQ") and not tried.missed & BUDGETS
        ]
        if not integers:
            return None
        objective = self.settings.objective
        return model.accuracy if objective == "accuracy" else integers[0].figure(objective)

    def _unanswered(self) -> bool:
        """Whether answers cannot be had on the device's CPU: no other file would have them."""
        return bool(self.attempts) and self.attempts[-1].measured.unanswered is not None

    def _try(self, model: Model, rung: Rung) -> None:
        if rung.title in self.refused:
            return
        try:
            tried = attempt(self.references, model, rung)
        except QuantizationError as error:
            logger.warning("%s: %s is passed over: %s", self.references.device.name, rung.title, error)
            self.refused[rung.title] = error
            return
        logger.info("%s: %s: %s", self.references.device.name, tried.title, tried.reason)
        self.attempts.append(tried)
