"""Rungs: the union that recipes read and the list that mypy checks are the same, and each says what it depends on."""

import inspect
from typing import get_args

import pytest
from pydantic import ValidationError

from deployments.recipe import Recipe, read_recipe, shipped_recipes
from deployments.rungs import RUNGS, AsItIs, RungKind
from model_compression import quantization
from tasks.store import sources_of


def test_every_rung_that_recipes_may_name_is_listed() -> None:
    entry, _ = get_args(Recipe.model_fields["ladder"].annotation)
    union, _ = get_args(entry)
    assert set(get_args(union)) == set(RUNGS)
    assert len({str(rung.model_fields["kind"].annotation) for rung in RUNGS}) == len(RUNGS)


@pytest.mark.parametrize("rung", RUNGS, ids=lambda rung: rung.__name__)
def test_a_rungs_file_depends_on_its_makers_code(rung: type[RungKind]) -> None:
    assert rung.maker in inspect.getsource(rung.make) or rung.trains
    assert not rung.maker or sources_of(getattr(quantization, rung.maker).__module__)
    assert rung.maker or rung is AsItIs
    assert rung.precision in {"int8", "int4", "fp16", "fp32"}
    assert "calibration" in rung.reads if rung.static else not rung.trains


def test_a_rung_without_a_title_or_a_maker_cannot_be_made() -> None:
    class Nameless(RungKind):
        cost = 1

    with pytest.raises(TypeError, match="abstract"):
        Nameless()  # type: ignore[abstract]


def test_precision_is_no_key() -> None:
    with pytest.raises(ValidationError, match="precision"):
        AsItIs.model_validate({"kind": "float", "precision": "fp32"})


def test_shipped_recipes_climb_by_cost() -> None:
    for path in shipped_recipes():
        recipe = read_recipe(path)
        for device in recipe.devices:
            costs = [rung.cost for rung in recipe.rungs(device)]
            assert costs == sorted(costs) and costs
