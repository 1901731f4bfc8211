"""Reading YAML: files that cannot be read, and values that YAML would read as something else."""

import json
import os
from pathlib import Path
from typing import Literal

import pytest

from deployments.errors import ConfigurationError
from deployments.recipe import read_recipe, shipped_recipes
from deployments.yaml_file import Frozen, read_mapping, read_yaml, stated

VALID = Path(__file__).parent / "valid"


class Reading(Frozen):
    rate: float
    rounds: int = 0


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.yaml: expected a YAML file, got no such file; check the path"):
        read_mapping(tmp_path / "gone.yaml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"expected a readable YAML file, got a directory; check the file"):
        read_mapping(tmp_path)


@pytest.mark.timeout(20)
def test_a_pipe_and_a_device_are_refused_without_reading_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "pipe.yaml", Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(ConfigurationError, match="expected a readable YAML file, got a pipe or a device; check"):
            read_mapping(path)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("content", [b"- a\n" * 200_000, b"a: " + b"x" * (1 << 20), b"{" * 500_000, b"? " * 500_000])
def test_a_large_file_is_refused_soon(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "large.yaml").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"more than 10,000 values|more than 1,048,576 bytes|deeper than 50"):
        read_mapping(tmp_path / "large.yaml")


@pytest.mark.parametrize("content", ["name: ä".encode("utf-16"), b"\x89PNG\r\n\x1a\n\x00", b"\xff\xfe\x00"])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "binary.yaml").write_bytes(content)
    with pytest.raises(ConfigurationError, match="expected a readable YAML file, got 'utf-8' codec"):
        read_mapping(tmp_path / "binary.yaml")


def test_a_byte_order_mark_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "marked.yaml").write_bytes(b"\xef\xbb\xbfrate: 1\r\n")
    assert read_mapping(tmp_path / "marked.yaml") == {"rate": 1}


def test_a_path_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises(ConfigurationError, match="expected a readable YAML file, got"):
            read_mapping(tmp_path / name)


@pytest.mark.parametrize(
    "written", ["'010'", "'1:30'", "'2024-01-01'", "!!str 010", "1.2.3", "1-2", "0o10x", "08:15-09"]
)
def test_text_in_quotes_or_beside_a_number_stays_text(tmp_path: Path, written: str) -> None:
    path = tmp_path / "text.yaml"
    path.write_text(f"rate: {written}")
    assert read_mapping(path) == {"rate": written.removeprefix("!!str ").strip("'")}


@pytest.mark.parametrize("tag", ["bool", "int", "float"])
@pytest.mark.parametrize("written", ["maybe", "", "'1 2'", "[1]", "{a: 1}"])
def test_a_tag_that_its_value_does_not_fit_is_refused(tmp_path: Path, tag: str, written: str) -> None:
    path = tmp_path / "tagged.yaml"
    path.write_text(f"rate: !!{tag} {written}")
    with pytest.raises(ConfigurationError, match=r"expected valid YAML, got .* in line 1, column"):
        read_mapping(path)


@pytest.mark.parametrize("tag", ["timestamp", "binary", "set", "omap", "pairs", "python/name:os.system", "value"])
def test_types_that_configuration_does_not_have_are_refused(tmp_path: Path, tag: str) -> None:
    path = tmp_path / "tagged.yaml"
    path.write_text(f"rate: !!{tag} x")
    with pytest.raises(ConfigurationError, match=r"got (the date|a value of the type) `.*` ?.* in line 1, column 7"):
        read_mapping(path)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("name: Käse".encode("latin-1"))
    with pytest.raises(ConfigurationError, match="expected a readable YAML file, got 'utf-8' codec"):
        read_mapping(path)


def test_a_python_object_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "object.yaml"
    path.write_text(f"rate: !!python/object/apply:pathlib.Path.touch [{tmp_path / 'made'}]")
    with pytest.raises(ConfigurationError, match=r"a value of the type `python/object/apply:pathlib.Path.touch`"):
        read_mapping(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(("written", "value"), [("1e-3", 0.001), ("5E2", 500.0), ("-.5e+1", -5.0), ("2.0e-4", 0.0002)])
def test_an_exponent_makes_a_number(tmp_path: Path, written: str, value: float) -> None:
    path = tmp_path / "rate.yaml"
    path.write_text(f"rate: {written}")
    assert read_yaml(path, Reading).rate == value


@pytest.mark.parametrize("written", ["e3", "1e", "1e-3x", "v1e2"])
def test_text_with_an_e_stays_text(tmp_path: Path, written: str) -> None:
    path = tmp_path / "text.yaml"
    path.write_text(f"rate: {written}")
    assert read_mapping(path) == {"rate": written}


def test_a_key_twice_is_found_at_any_depth(tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("a:\n  - b:\n      c: 1\n      c: 2\n")
    with pytest.raises(ConfigurationError, match=r"key `c` is written twice in line 4, column 7"):
        read_mapping(path)


def test_a_merged_key_may_be_written_again(tmp_path: Path) -> None:
    path = tmp_path / "merge.yaml"
    path.write_text("base: &base {a: 1, b: 2}\nmore: &more\n  <<: *base\n  a: 3\nlast: {<<: *more, b: 4}\n")
    assert read_mapping(path)["last"] == {"a": 3, "b": 4}


@pytest.mark.parametrize("text", ["rate: '1'", "rate: true", "{rate: 1, rounds: 1.0}"])
def test_nothing_is_converted_silently(tmp_path: Path, text: str) -> None:
    path = tmp_path / "strict.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"expected a (whole )?number, got"):
        read_yaml(path, Reading)


def test_a_whole_number_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "whole.yaml"
    path.write_text("rate: 4")
    assert read_yaml(path, Reading).rate == 4.0


class Kept(Frozen):
    kind: Literal["kept"] = "kept"
    size: float = 1.0
    parts: "tuple[Kept, ...]" = ()


def test_what_is_stated_has_no_default_and_keeps_the_kind() -> None:
    assert stated(Kept()) == stated(Kept(size=1.0)) == {"kind": "kept"}
    parts = (Kept(size=2.0), Kept())
    assert stated(Kept(parts=parts)) == {"kind": "kept", "parts": [{"kind": "kept", "size": 2.0}, {"kind": "kept"}]}


@pytest.mark.parametrize("path", [*shipped_recipes(), VALID / "everything.yaml"], ids=lambda path: path.stem)
def test_what_a_recipe_states_is_read_as_the_same_recipe(path: Path) -> None:
    recipe = read_recipe(path)
    plain = json.loads(json.dumps(stated(recipe)))
    assert type(recipe).model_validate(plain | {"devices": recipe.devices}) == recipe


def test_a_file_that_is_no_recipe_is_refused_without_its_content(tmp_path: Path) -> None:
    path = tmp_path / "shadow"
    path.write_text("root:$6$salt$hash:20228::\n:  {password: hunter2}\n")
    with pytest.raises(ConfigurationError) as refused:
        read_recipe(path)
    assert not [word for word in ("hash", "hunter2", "password") if word in str(refused.value)]
