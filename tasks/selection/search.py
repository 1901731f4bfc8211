"""The search over models and rungs together: cheap files first, then training where it promises something.

The reasons for its choice are sentences; the pareto set has the attempts that no other attempt beats.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence

from deployments.rungs import PostTraining, Rung
from deployments.techniques import OBJECTIVES, Objective, Search
from edge_runtime.measurement import RESOURCES, Figures
from model_compression.errors import QuantizationError
from quality_gates.report import quantity, score, size
from tasks.selection.attempts import Attempt, Climb, Model, Trials, accuracy_or_worst, closest
from tasks.selection.told_advances import tell_attempt, tell_passed_over
from tasks.upstream import DeviceContext

HIGHER_IS_BETTER = {"accuracy"}
NOISY = {name for name, resource in RESOURCES.items() if resource.noisy}
DIGITS = 2  # of a noisy figure: a difference in the third is chance
logger = logging.getLogger("edgewright")


def search(context: DeviceContext, trials: Trials, models: Sequence[Model], settings: Search) -> Climb:
    """Spend the budget of files, then that of trainings, and choose by the objective among what holds on validation.

    The cheapest rung is tried first, on every model whose float answers do not fail a gate themselves. Then come the
    other cheap rungs, with the models of the pareto set first, and last the rungs that train, on the models that
    would beat the best so far. Where nothing holds, the attempt that misses the fewest gates goes on to be refused. A
    rung that cannot quantize the models is passed over. Raises QuantizationError where none can.
    """
    return _Search(context, trials, models, settings).run()


class _Search:
    """The state of one search."""

    def __init__(self, context: DeviceContext, trials: Trials, models: Sequence[Model], settings: Search) -> None:
        self.context, self.trials, self.settings = context, trials, settings
        self.models = self._promising(models)
        self.cheap = [rung for rung in context.rungs if not rung.trains]
        self.costly = [rung for rung in context.rungs if rung.trains]
        self.attempts: list[Attempt] = []
        self.refused: dict[Rung, QuantizationError] = {}

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
        """Return the models whose float answers fail no gate; the most accurate one where all do."""
        failures = [(model, self.trials.float_failures(model)) for model in models]
        device = self.context.device.name
        kept = [model for model, failed in failures if not failed]
        if not kept:
            best = max(models, key=lambda model: model.accuracy)
            logger.info(
                "%s: every model fails a gate in float already; files are made of the most accurate one (%s), so that "
                "the report can say by how much",
                device, best.title,
            )  # fmt: skip
            return [best]
        for model, failed in failures:
            if failed:
                names = ", ".join(failed)
                logger.info("%s: %s fails %s in float already, so no file is made of it", device, model.title, names)
        return kept

    def _cheap_order(self) -> Iterator[tuple[Model, Rung]]:
        """Yield the models and cheap rungs in order; the second half depends on the results of the first."""
        for model in self.models:
            yield from ((model, rung) for rung in self.cheap[:1])
        on_pareto = {id(tried.snapshot) for tried in pareto(self.attempts)}
        for model in sorted(self.models, key=lambda model: id(model) not in on_pareto):
            yield from ((model, rung) for rung in self.cheap[1:])

    def _worth_training(self) -> Iterator[tuple[Model, Rung]]:
        """Yield trainings that would give the best file if they kept the float accuracy, the best promise first."""
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
        return [rung for rung in self.costly if rung not in self.refused]

    def _promise(self, model: Model) -> float | None:
        """Return the objective's figure as if INT8 cost no accuracy; None where the INT8 file misses a budget.

        The figures are those of a PTQ file that the search made of the model. Where the ladder has no PTQ, the model's
        cheapest INT8 file has them.
        """
        seen = [
            tried.measured.resources
            for tried in self.attempts
            if tried.snapshot is model and isinstance(tried.rung, PostTraining)
        ]
        if not seen and not any(isinstance(rung, PostTraining) for rung in self.context.rungs):
            seen = [self.trials.expected(model)]
        for figures in seen:
            if figures is not None and self._keeps_budgets(figures):
                objective = self.settings.objective
                return model.accuracy if objective == "accuracy" else figures.value(objective)
        return None

    def _keeps_budgets(self, figures: Figures) -> bool:
        limits = self.context.device.budgets.limits()
        return all(figures.value(str(limit.resource)) <= (limit.at_most or 0) for limit in limits)

    def _unanswered(self) -> bool:
        """Return True where answers cannot be taken on the device's CPU, which no other file would change."""
        return bool(self.attempts) and self.attempts[-1].measured.unanswered is not None

    def _try(self, model: Model, rung: Rung) -> None:
        if rung in self.refused:
            return
        try:
            tried = self.trials.attempt(model, rung)
        except QuantizationError as error:
            logger.warning("%s: %s is passed over: %s", self.context.device.name, rung.title, error)
            self.refused[rung] = error
            tell_passed_over(self.context, model, rung, error, len(self.attempts), self._left())
            return
        logger.info("%s: %s: %s", self.context.device.name, tried.title, tried.reason)
        self.attempts.append(tried)
        tell_attempt(self.context, tried, len(self.attempts), self._left())

    def _left(self) -> int:
        """Return how many files the search may make yet, trainings included."""
        return max(0, self.settings.files + self.settings.trainings - len(self.attempts))


def pareto(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Return the attempts that no other dominates in validation accuracy, bytes, latency and memory.

    An attempt without all of these figures is left out.
    """
    places = [(tried, place) for tried in attempts if (place := _place(tried)) is not None]
    return [
        tried
        for tried, place in places
        if not any(other != place and all(o >= p for o, p in zip(other, place, strict=True)) for _, other in places)
    ]


def _place(tried: Attempt) -> tuple[float, ...] | None:
    """Return an attempt's figures, signed so that higher is better; None where one was not measured."""
    values: list[float] = []
    for name in OBJECTIVES:
        value = tried.figure(name)
        if value is None:
            return None
        value = float(f"{value:.{DIGITS}g}") if name in NOISY else value
        values.append(value if name in HIGHER_IS_BETTER else -value)
    return tuple(values)


def better(value: float | None, than: float | None, objective: str) -> bool:
    """Return True if a figure beats another by an objective; a measured one beats one that is not."""
    if value is None or than is None:
        return value is not None
    return value > than if objective in HIGHER_IS_BETTER else value < than


def best_of(attempts: Sequence[Attempt], objective: Objective) -> Attempt:
    """Return the best attempt by an objective; among equals the most accurate, then the smallest."""
    sign = 1 if objective in HIGHER_IS_BETTER else -1

    def merit(tried: Attempt) -> tuple[float, float, float]:
        value = tried.figure(objective)
        return (-float("inf") if value is None else sign * value, accuracy_or_worst(tried), -tried.size_bytes)

    return max(attempts, key=merit)


def why_chosen(
    chosen: Attempt, attempts: Sequence[Attempt], objective: Objective, refused: Iterable[Exception]
) -> tuple[str, ...]:
    """Return the reasons for the choice, against each other rung on the same model, and of rungs passed over."""
    held = [tried for tried in attempts if tried.verdict.passed]
    if not held and len(attempts) == 1:
        yes = f"Why {chosen.title}: it is the only file that was tried; it misses {', '.join(sorted(chosen.missed))}."
    elif not held:
        yes = (
            f"Why {chosen.title}: none of {len(attempts)} files holds every gate on validation; this one misses the "
            f"fewest ({', '.join(sorted(chosen.missed))})."
        )
    elif len(attempts) == 1:
        yes = f"Why {chosen.title}: the only file that was tried, and it holds every gate on validation, with "
        yes += f"{_figures(chosen)}."
    elif len(held) == 1:
        yes = f"Why {chosen.title}: the only one of {len(attempts)} files that holds every gate on validation, with "
        yes += f"{_figures(chosen)}."
    else:
        yes = (
            f"Why {chosen.title}: of {len(held)} files that hold every gate on validation, out of {len(attempts)} "
            f"tried, it has {OBJECTIVES[objective]}: {_figures(chosen)}."
        )
    beside = (tried for tried in attempts if tried.snapshot is chosen.snapshot and tried is not chosen)
    passed_over = dict.fromkeys(f"Passed over: {error}." for error in refused)
    return (yes, *(why_not(tried) for tried in beside), *passed_over)


def why_not(tried: Attempt) -> str:
    """Return the reason against an attempt on the chosen model, with its figures."""
    if tried.verdict.passed:
        return f"Why not {tried.rung.title} there: it holds too, with {_figures(tried)}."
    return f"Why not {tried.rung.title} there: it misses {', '.join(sorted(tried.missed))}, with {_figures(tried)}."


def _figures(tried: Attempt) -> str:
    p50 = quantity("latency_p50_ms", tried.figure("latency_p50_ms"))
    return f"{score(tried.accuracy, tried.measured.right_or_wrong)} on validation, {size(tried.size_bytes)}, p50 {p50}"
