"""Schemas and reference pages: as strict as the models where a schema can be, and complete."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from typer.testing import CliRunner

from deployments.device import DeviceProfile, shipped_devices
from deployments.errors import ConfigurationError
from deployments.recipe import Recipe, shipped_recipes
from deployments.reference import DOCUMENTS, Document, page, schema, write_schemas
from deployments.yaml_file import read_mapping
from flows.cli import app
from quality_gates.policy import NAMED
from tests.deployments.yaml_cases import HERE, cases

RECIPES = Draft202012Validator(schema("recipe"))
DEVICES = Draft202012Validator(schema("device"))
SHIPPED_DEVICES = sorted((Path(shipped_recipes()[0]).parents[1] / "devices").glob("*.yaml"))

OTHER_FILES = {"device-profile-wrong", "device-unknown", "emulated-parity-of-native-answers"}
KEYS_TOGETHER = {
    "calibration-margin-against-nothing", "calibration-margin-that-allows-all", "calibration-without-a-bound",
    "class-missing", "family-member-found-slices", "family-member-limits-a-resource", "family-member-parity",
    "limit-of-two-things", "sign-off-that-never-ends", "signers-too-few", "signers-without-sign-off",
    "slice-says-two-things",
}  # fmt: skip
ENTRIES_TOGETHER = {
    "device-twice", "family-gates-on-answers", "family-member-twice", "gates-on-sizes-only", "gate-name-of-a-budget",
    "gate-name-twice", "signer-twice", "signer-without-a-key",
}  # fmt: skip
ONLY_NUMBERS_OF_YAML = {"number-huge", "rate-infinite"}
BEYOND_A_SCHEMA = OTHER_FILES | KEYS_TOGETHER | ENTRIES_TOGETHER | ONLY_NUMBERS_OF_YAML


def read(path: Path) -> object:
    """Read a file, or return what no schema takes where it is no mapping at all."""
    try:
        return read_mapping(path)
    except ConfigurationError:
        return None


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_schemas_are_schemas(document: Document) -> None:
    Draft202012Validator.check_schema(schema(document))


@pytest.mark.parametrize("path", [*shipped_recipes(), *cases("valid")], ids=lambda path: path.stem)
def test_recipes_that_are_read_are_taken_by_the_schema(path: Path) -> None:
    RECIPES.validate(read(path))


@pytest.mark.parametrize("path", [*SHIPPED_DEVICES, HERE / "devices" / "bench.yaml"], ids=lambda path: path.stem)
def test_devices_that_are_read_are_taken_by_the_schema(path: Path) -> None:
    DEVICES.validate(read(path))


@pytest.mark.parametrize("path", cases("invalid"), ids=lambda path: path.stem)
def test_recipes_that_are_refused_are_refused_by_the_schema_too(path: Path) -> None:
    assert RECIPES.is_valid(read(path)) is (path.stem in BEYOND_A_SCHEMA)


def test_a_device_without_a_size_budget_is_refused() -> None:
    assert not DEVICES.is_valid(read(HERE / "devices" / "unlimited.yaml"))


def _models(model: type[BaseModel], found: frozenset[type[BaseModel]] = frozenset()) -> frozenset[type[BaseModel]]:
    """Find every model that a file can contain."""
    found |= {model}
    pending: list[Any] = [field.annotation for field in model.model_fields.values()]
    while pending:
        annotation = pending.pop()
        pending += get_args(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in found:
            found = _models(annotation, found)
    return found


@pytest.mark.parametrize(("document", "model"), [("recipe", Recipe), ("device", DeviceProfile)])
def test_every_key_is_on_the_page(document: Document, model: type[BaseModel]) -> None:
    text = page(document)
    skipped = _models(DeviceProfile) if document == "recipe" else frozenset()
    for part in _models(model) - skipped:
        for key, field in part.model_fields.items():
            assert f"| `{field.alias or key}` |" in text, f"{part.__name__}.{key}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_of_a_page_lead_somewhere(document: Document) -> None:
    text = page(document)
    anchors = re.findall(r"\{#([\w-]+)\}", text)
    assert set(re.findall(r"\(#([\w-]+)\)", text)) <= set(anchors)
    assert len(set(anchors)) == len(anchors)


def test_a_key_of_this_room_has_a_description() -> None:
    def described(part: type[BaseModel]) -> bool:
        return all(field.description for key, field in part.model_fields.items() if key not in ("kind", "precision"))

    own = {part for part in _models(Recipe) | _models(DeviceProfile) if part.__module__.startswith("deployments.")}
    assert len(own) >= 16
    assert [part.__name__ for part in own if not described(part)] == []


def test_a_page_tells_value_bounds_default_and_meaning() -> None:
    text = page("recipe")
    assert (
        "| `ratio` | number above 0 and at most 0.5 | **needed** | Share of that resource that a round frees. |" in text
    )
    assert "| `activations` | `uint8` or `int8` | `uint8` | Type of activations." in text
    assert "[`native`](#answers-native); [`emulated`](#answers-emulated)" in page("device")
    assert len(shipped_devices()) == len(SHIPPED_DEVICES)


def test_a_page_tells_the_names_of_metrics() -> None:
    names = " or ".join(f"`{name}`" for name in NAMED)
    assert f"| `metric` | {names} or text such as `package.module:function` |" in page("recipe")


@pytest.mark.parametrize("anchor", ["prune", "fine_tune", "ladder-ptq", "gate-flips", "slice"])
def test_anchors_are_the_names_in_the_file(anchor: str) -> None:
    assert f"{{#{anchor}}}" in page("recipe")


def test_every_kind_has_a_meaning_and_a_section_without_own_keys_says_so() -> None:
    text = page("recipe") + page("device")
    assert re.findall(r"\| `kind` \|[^|]*\|[^|]*\|\s*\|", text) == []
    assert "| `kind` | `ptq` | **needed** | Name of this kind: `ptq`. |" in text
    alone = {section.partition(" {")[0] for section in text.split("\n## ") if "no keys of its own" in section}
    assert {"`ladder`, kind `float`", "`ladder`, kind `fp16`", "`answers`, kind `native`"} <= alone
    assert "`ladder`, kind `ptq`" not in alone


def test_schemas_are_written_by_a_command(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["schemas", "--folder", str(tmp_path / "made")])
    assert result.exit_code == 0
    written = sorted((tmp_path / "made").iterdir())
    assert [path.name for path in written] == ["device.schema.json", "recipe.schema.json"]
    assert json.loads(written[1].read_text()) == schema("recipe")
    assert write_schemas(tmp_path / "made") == written[::-1]
