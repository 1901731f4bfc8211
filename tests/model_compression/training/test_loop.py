"""Fine-tuning on digits: it learns, repeats itself, and refuses what it cannot train on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_compression.errors import DivergedError, TrainingError
from model_compression.training import FineTuning, TrainingResult, fine_tune, predict
from tests.model_compression.toys import QUICK, SETTINGS, digits, float_accuracy, linear, trained

TRAIN = digits("train")
LONG = replace(SETTINGS, epochs=10, batch_size=32)


def tune(
    model: nn.Module, settings: FineTuning = QUICK, teacher: np.ndarray | None = None, rows: int = 500
) -> list[float]:
    losses: list[float] = []
    fine_tune(
        model,
        (TRAIN.images[:rows],),
        TRAIN.labels[:rows],
        teacher,
        F.cross_entropy,
        settings,
        lambda _step, _steps, loss, _score: losses.append(loss),
    )
    return losses


class TestLearning:
    def test_the_loss_falls_and_the_test_rows_are_recognized(self) -> None:
        model = linear()
        losses = tune(model, LONG)
        assert np.mean(losses[-16:]) < 0.3 * np.mean(losses[:16])
        assert float_accuracy(model) > 0.75

    def test_it_learns_from_the_parent_alone(self) -> None:
        parent, student = trained("cnn"), linear()
        teacher = predict(parent, (TRAIN.images,))
        tune(student, replace(LONG, distillation_weight=1.0), teacher)
        answers = predict(student, (TRAIN.images,)).argmax(1)
        assert (answers == teacher.argmax(1)).mean() > 0.8

    def test_ground_truth_and_parent_are_mixed_by_the_weight(self) -> None:
        teacher = predict(trained("cnn"), (TRAIN.images,))
        first = {share: tune(linear(), replace(QUICK, distillation_weight=share), teacher)[0] for share in (0, 0.25, 1)}
        assert first[0.25] == pytest.approx(0.25 * first[1] + 0.75 * first[0])
        assert first[0] == tune(linear(), QUICK)[0]

    def test_an_output_that_is_no_class_score_trains_without_distillation(self) -> None:
        rows = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
        model = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))
        targets = rows.sum(1)
        last = fine_tune(model, (rows,), targets, targets, F.mse_loss, replace(LONG, epochs=40, learning_rate=0.05))
        assert last.loss < 0.1

    def test_several_inputs_stay_together(self) -> None:
        class Sum(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.scale = nn.Linear(1, 1)

            def forward(self, a: Tensor, b: Tensor) -> Tensor:
                return self.scale(a + b)

        a, b = np.random.default_rng(0).normal(size=(2, 64, 1)).astype(np.float32)
        last = fine_tune(Sum(), (a, b), 2 * (a + b), None, F.mse_loss, replace(LONG, epochs=40, learning_rate=0.1))
        assert last.loss < 0.01


class TestRepetition:
    def test_the_same_seed_gives_the_same_weights_also_with_dropout(self) -> None:
        first, second = linear(0.5), linear(0.5)
        tune(first)
        torch.rand(7)  # whatever else draws from the global generator
        tune(second)
        assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))

    def test_another_seed_gives_others(self) -> None:
        first, second = linear(), linear()
        tune(first)
        tune(second, replace(QUICK, seed=1))
        assert not torch.equal(first.get_parameter("1.weight"), second.get_parameter("1.weight"))

    def test_the_global_random_state_stays(self) -> None:
        before = torch.get_rng_state()
        tune(linear(0.5))
        assert torch.equal(torch.get_rng_state(), before)


class TestSteps:
    def test_progress_counts_to_the_end(self) -> None:
        seen: list[tuple[int, int]] = []
        fine_tune(
            linear(),
            (TRAIN.images[:100],),
            TRAIN.labels[:100],
            None,
            F.cross_entropy,
            replace(QUICK, batch_size=32),
            lambda step, steps, _loss, _score: seen.append((step, steps)),
        )
        assert seen == [(step, 8) for step in range(1, 9)]

    def test_a_last_batch_of_one_row_is_dropped(self) -> None:
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Linear(16, 10))
        assert len(tune(model, replace(QUICK, epochs=3, batch_size=32), rows=65)) == 3 * 2

    def test_the_last_epochs_mean_loss_is_returned(self) -> None:
        losses: list[float] = []
        got = fine_tune(
            linear(), (TRAIN.images,), TRAIN.labels, None, F.cross_entropy, QUICK, lambda *step: losses.append(step[2])
        )
        assert got.loss == pytest.approx(np.mean(losses[-8:]))
        assert (got.epochs, got.score) == (2, None)

    def test_every_row_is_seen_once_an_epoch(self) -> None:
        seen: list[int] = []

        def loss(outputs: Tensor, targets: Tensor) -> Tensor:
            seen.extend(targets.tolist())
            return outputs.sum()

        fine_tune(nn.Linear(1, 1), (np.zeros((50, 1), np.float32),), np.arange(50), None, loss, QUICK)
        assert sorted(seen) == sorted([*range(50), *range(50)])
        assert seen[:50] != sorted(seen[:50])

    def test_the_model_is_left_in_evaluation_mode(self) -> None:
        model = linear().eval()
        tune(model)
        assert not model.training


class TestRefusals:
    @pytest.mark.parametrize("rows", [0, 1])
    def test_fewer_than_two_rows(self, rows: int) -> None:
        with pytest.raises(TrainingError, match=f"at least 2 training rows, got {rows}"):
            tune(linear(), rows=rows)

    def test_a_loss_that_is_not_finite_and_the_mode_is_restored(self) -> None:
        images = TRAIN.images.copy()
        images[7] = np.nan
        model = linear()
        with pytest.raises(DivergedError, match=r"finite loss, got nan at step .*learning_rate"):
            fine_tune(model, (images,), TRAIN.labels, None, F.cross_entropy, QUICK)
        assert not model.training

    def test_weights_survive_the_step_that_fails(self) -> None:
        model = linear()
        with pytest.raises(TrainingError, match="at step 1"):
            fine_tune(model, (TRAIN.images + np.inf,), TRAIN.labels, None, F.cross_entropy, QUICK)
        assert all(parameter.isfinite().all() for parameter in model.parameters())

    def test_inputs_of_another_length(self) -> None:
        with pytest.raises(TrainingError, match=r"expected 500 rows .* got 20 in input 0"):
            fine_tune(linear(), (TRAIN.images[:20],), TRAIN.labels, None, F.cross_entropy, QUICK)

    def test_parents_outputs_of_another_length(self) -> None:
        with pytest.raises(TrainingError, match="got 3 in the parent's outputs"):
            tune(linear(), QUICK, np.zeros((3, 10), np.float32))

    def test_patience_without_a_score_to_wait_for(self) -> None:
        with pytest.raises(TrainingError, match="validation score for `patience`"):
            tune(linear(), replace(QUICK, patience=1))


class TestValidation:
    def run(self, scores: list[float], settings: FineTuning) -> tuple[TrainingResult, list[float | None], nn.Module]:
        """Train while the model gets these scores, whatever it has learnt."""
        given, shown = iter(scores), []
        model = linear()
        got = fine_tune(
            model,
            (TRAIN.images[:64],),
            TRAIN.labels[:64],
            None,
            F.cross_entropy,
            settings,
            lambda _step, _steps, _loss, score: shown.append(score),
            lambda _: next(given),
        )
        return got, shown, model

    def test_progress_shows_the_score_of_the_last_epoch(self) -> None:
        got, shown, _ = self.run([0.25, 0.5], QUICK)
        assert shown == [None, 0.25]
        assert (got.epochs, got.score) == (2, 0.5)

    def test_it_stops_when_the_score_no_longer_grows_and_keeps_the_best_weights(self) -> None:
        weights: list[torch.Tensor] = []
        given = iter([0.1, 0.9, 0.9, 0.5, 1.0])

        def validate(model: nn.Module) -> float:
            assert not model.training
            weights.append(model.get_parameter("1.weight").detach().clone())
            return next(given)

        model = linear()
        settings = replace(QUICK, epochs=5, patience=2)
        got = fine_tune(model, (TRAIN.images,), TRAIN.labels, None, F.cross_entropy, settings, None, validate)
        assert (got.epochs, got.score) == (4, 0.9)
        assert torch.equal(model.get_parameter("1.weight"), weights[1])
        assert not torch.equal(model.get_parameter("1.weight"), weights[3])

    def test_without_patience_the_last_weights_stay(self) -> None:
        got, _, _ = self.run([0.9, 0.5], QUICK)
        assert (got.epochs, got.score) == (2, 0.5)


class TestMemory:
    def test_parts_of_a_batch_come_to_the_same_step(self) -> None:
        whole, parts = linear(), linear()
        fits = _Memory(parts, rows=10)
        teacher = predict(trained("cnn"), (TRAIN.images,))
        settings = replace(QUICK, epochs=1, batch_size=64, distillation_weight=0.5)
        for model in (whole, fits):
            got = fine_tune(model, (TRAIN.images,), TRAIN.labels, teacher, F.cross_entropy, settings)
        assert fits.failures == 3
        assert got.micro_batch == 8
        for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
            torch.testing.assert_close(a, b, atol=2e-4, rtol=0)


class _Memory(nn.Module):
    """A model for whose batches there is memory up to so many rows."""

    def __init__(self, model: nn.Module, rows: int) -> None:
        super().__init__()
        self.model, self.rows, self.failures = model, rows, 0

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.rows:
            self.failures += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.model(images)


class TestPrecision:
    def test_bfloat16_learns_and_leaves_float32_weights(self) -> None:
        model = linear()
        losses = tune(model, replace(LONG, precision="bfloat16"))
        assert np.mean(losses[-16:]) < 0.5 * np.mean(losses[:16])
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        assert losses != tune(linear(), LONG)


class TestWeights:
    def drawn(self, weights: np.ndarray | None) -> np.ndarray:
        """Count the draws of each of 500 rows in one epoch."""
        seen: list[int] = []

        def loss(outputs: Tensor, targets: Tensor) -> Tensor:
            seen.extend(targets.tolist())
            return outputs.square().mean()

        once = replace(QUICK, epochs=1, distillation_weight=0)
        rows = np.arange(500)
        fine_tune(linear(), (TRAIN.images[:500],), rows, None, loss, once, weights=weights)
        return np.bincount(seen, minlength=500)

    def test_an_epoch_has_as_many_rows_and_draws_some_more_often(self) -> None:
        weights = np.where(np.arange(500) < 100, 3.0, 1.0)
        counts = self.drawn(weights)
        assert counts.sum() == 500
        expected = weights * 500 / weights.sum()
        assert np.abs(counts - expected).max() < 1
        assert counts[:100].sum() == pytest.approx(expected[:100].sum(), abs=15)

    @pytest.mark.parametrize("weights", [None, np.full(500, 2.5)], ids=["none", "equal"])
    def test_equal_ones_draw_every_row_once(self, weights: np.ndarray | None) -> None:
        assert (self.drawn(weights) == 1).all()

    def test_one_for_each_row(self) -> None:
        with pytest.raises(TrainingError, match=r"expected 500 rows as there are targets, got 3 in the weights"):
            self.drawn(np.ones(3))
