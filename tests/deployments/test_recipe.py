"""Recipes as people write them: the good ones, and what is said about the others."""

from pathlib import Path

import pytest

from deployments.errors import ConfigurationError
from deployments.recipe import Recipe, read_recipe
from quality_gates.gates import KINDS, Limit, ProvenInstructionSet
from tests.deployments.yaml_cases import HERE, LISTS, RUNG_NAMES, cases, says

SMALLEST = HERE / "valid" / "smallest.yaml"
JARGON = ("pydantic", "Input", "validation error", "union", "discriminator", "tuple", "literal", "Value error")


def test_there_are_cases() -> None:
    assert len(cases("valid")) >= 2
    assert len(cases("invalid")) >= 30


@pytest.mark.parametrize("path", cases("valid"), ids=lambda path: path.stem)
def test_a_valid_recipe_is_read(path: Path) -> None:
    assert read_recipe(path).name == "tiny"


@pytest.mark.parametrize("path", cases("invalid"), ids=lambda path: path.stem)
def test_an_invalid_recipe_is_refused_in_one_sentence(path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_recipe(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert says(path) in message
    assert "\n" not in message
    assert not [word for word in JARGON if word in message]


def test_the_kinds_that_recipes_name_stay() -> None:
    assert {"float", "fp16", "ptq", "dynamic", "int4", "mixed", "qat"} <= set(RUNG_NAMES)
    compared = {"non_inferiority", "limit", "flips", "parity"}
    assert compared | {"calibration", "plausibility", "representativeness", "found_slices"} <= set(KINDS)


def test_lists_of_kinds_are_written_out_in_some_cases() -> None:
    first_lines = "".join(path.read_text().splitlines()[0] for path in cases("invalid"))
    assert all(placeholder in first_lines for placeholder in LISTS)
    assert not any("{" in says(path) for path in cases("invalid") if path.stem in ("rung-unknown", "gate-kind-missing"))


def test_a_recipe_reads_the_profiles_that_it_names() -> None:
    beside, shipped = read_recipe(HERE / "valid" / "everything.yaml").devices
    assert (beside.name, beside.budgets.size_kb) == ("bench", 40)
    assert shipped.name == "camera"


def test_a_profile_beside_the_recipe_comes_before_a_shipped_one(tmp_path: Path) -> None:
    recipe = _copy(tmp_path, "devices: [bench]", "devices: [camera]")
    own = (HERE / "devices" / "bench.yaml").read_text().replace("name: bench", "name: camera")
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "camera.yaml").write_text(own)
    assert read_recipe(recipe).devices[0].budgets.size_kb == 40


def test_a_shipped_recipe_is_found_by_name_and_another_name_lists_them() -> None:
    assert read_recipe(Path("digits")).model == "digits"
    with pytest.raises(ConfigurationError, match=r"digitz: expected the path of a recipe or .*digits, .*no such file"):
        read_recipe(Path("digitz"))


def test_a_recipe_without_a_suffix_is_found_by_its_path(tmp_path: Path) -> None:
    recipe = _copy(tmp_path, "devices: [bench]", "devices: [camera]")
    assert read_recipe(recipe.rename(recipe.with_suffix(""))).name == "tiny"


def test_the_digest_follows_content_and_not_layout(tmp_path: Path) -> None:
    commented = _copy(tmp_path, "name: tiny", "# another comment\nname:   tiny")
    (tmp_path / "devices").symlink_to(HERE / "devices")
    original = read_recipe(SMALLEST)
    assert read_recipe(commented).digest == original.digest
    changed = _copy(tmp_path, "margin: 0.05", "margin: 0.06")
    assert read_recipe(changed).digest != original.digest


def test_the_digest_follows_the_device_profiles(tmp_path: Path) -> None:
    recipe = _copy(tmp_path, "", "")
    (tmp_path / "devices").mkdir()
    profile = tmp_path / "devices" / "bench.yaml"
    profile.write_text((HERE / "devices" / "bench.yaml").read_text())
    before = read_recipe(recipe).digest
    profile.write_text(profile.read_text().replace("size_kb: 40", "size_kb: 41"))
    assert read_recipe(recipe).digest != before


def test_the_policy_has_the_recipes_gates_and_the_devices_budgets() -> None:
    recipe = read_recipe(SMALLEST)
    own, *budgets = recipe.policy(recipe.devices[0]).gates
    assert own == recipe.gates[0]
    assert {gate.resource: gate.at_most for gate in budgets if isinstance(gate, Limit)} == {
        "size_bytes": 40_000,
        "latency_p99_ms": 2000,
    }


def test_test_rows_are_shown_only_where_a_recipe_says_so() -> None:
    assert read_recipe(SMALLEST).show_test_rows is False
    assert read_recipe(SMALLEST.with_name("everything.yaml")).show_test_rows is True


@pytest.mark.parametrize(("accepted", "consequence"), [(False, "fail"), (True, "warn")])
def test_the_instruction_set_is_a_gate_of_every_device_and_of_no_search(accepted: bool, consequence: str) -> None:
    recipe = read_recipe(SMALLEST)
    assert recipe.accept_unproven_instruction_set is False
    recipe = recipe.model_copy(update={"accept_unproven_instruction_set": accepted})
    (device,) = recipe.devices
    asked = [gate for gate in recipe.policy(device).gates if isinstance(gate, ProvenInstructionSet)]
    assert [gate.on_inconclusive for gate in asked] == [consequence]
    assert not any(isinstance(gate, ProvenInstructionSet) for gate in recipe.search_policy(device).gates)


def test_a_ladder_without_a_rung_for_a_device_is_refused() -> None:
    recipe = read_recipe(SMALLEST)
    device = recipe.devices[0].model_copy(update={"precisions": ("int4",)})
    with pytest.raises(
        ValueError, match=r"key `ladder`: expected a rung of a precision that device bench allows \(int4"
    ):
        Recipe.model_validate(dict(recipe) | {"devices": (device,)})


def _copy(folder: Path, old: str, new: str) -> Path:
    (folder / "recipes").mkdir(exist_ok=True)
    path = folder / "recipes" / "copy.yaml"
    path.write_text(SMALLEST.read_text().replace(old, new))
    return path


def test_a_structure_is_kept_by_a_word_or_with_a_training_of_its_own(tmp_path: Path) -> None:
    def keeping(said: str) -> Recipe:
        return read_recipe(_copy(tmp_path, "devices: [bench]", f"devices: [camera]\nkeep_structure: {said}"))

    plain, training = keeping("prefer"), gently()
    assert plain.keep_structure is not None and plain.keep_structure.fine_tune is None
    assert Recipe.model_validate_json(plain.model_dump_json()) == plain
    gentle = keeping(f"{{fine_tune: {training}}}")
    assert gentle.keep_structure is not None and gentle.keep_structure.fine_tune is not None
    assert gentle.keep_structure.fine_tune.learning_rate == 1e-4
    assert Recipe.model_validate_json(gentle.model_dump_json()) == gentle
    assert read_recipe(SMALLEST).keep_structure is None and plain.digest != gentle.digest


def gently() -> dict[str, object]:
    """The training of the smallest recipe at a low learning rate, as YAML's flow style takes it too."""
    return {**read_recipe(SMALLEST).prune.fine_tune.model_dump(exclude_none=True), "learning_rate": 1e-4}
