"""Techniques: the settings of a recipe reach the algorithm as they are written."""

import pytest
from pydantic import ValidationError

from deployments.rungs import Dynamic, PostTraining, QuantizationAware
from deployments.techniques import Distil, FineTune
from model_compression.training import FineTuning

FINE_TUNE = FineTune(
    epochs=3, batch_size=32, learning_rate=1e-3, weight_decay=0.1, temperature=2, distillation_weight=0.3, seed=5
)


def test_fine_tuning_settings_are_passed_on_in_full() -> None:
    assert FINE_TUNE.settings() == FineTuning(3, 32, 1e-3, 0.1, 2, 0.3, 5)


def test_rungs_have_titles() -> None:
    assert PostTraining(kind="ptq", calibration="entropy").title == "PTQ entropy"
    assert Dynamic(kind="dynamic").title == "dynamic"
    assert QuantizationAware(kind="qat", fine_tune=FINE_TUNE).title == "QAT"


class TestDistil:
    @pytest.mark.parametrize("changes", [{"widths": (16, 8)}, {"depths": (1, 1)}])
    def test_widths_and_depths_ascend(self, changes: dict[str, tuple[int, ...]]) -> None:
        given = {"family": "signal_net", "widths": (8, 16), "depths": (1,), "fine_tune": FINE_TUNE}
        Distil.model_validate(given)
        with pytest.raises(ValidationError, match="ascending order"):
            Distil.model_validate(given | changes)
