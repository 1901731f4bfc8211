"""Nothing that decides has a default, and what cannot be an effect is refused."""

import pytest
from pydantic import ValidationError

from quality_gates.representativeness import RepresentativenessPolicy
from tests.quality_gates.representativeness.samples import policy


@pytest.mark.parametrize("key", list(RepresentativenessPolicy.model_fields))
def test_nothing_has_a_default(key: str) -> None:
    rest = {name: value for name, value in policy().model_dump().items() if name != key}
    with pytest.raises(ValidationError, match=key):
        RepresentativenessPolicy.model_validate(rest)


@pytest.mark.parametrize(
    "change",
    [{"label_prior": 0.0}, {"outputs": 1.0}, {"predictions": "0.1"}, {"confidence": 95.0}, {"on_mismatch": "ignore"}],
)
def test_what_makes_no_sense_is_refused(change: dict[str, float | str]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        policy(**change)
