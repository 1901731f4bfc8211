"""Reading YAML: files that cannot be read, and values that YAML would read as something else."""

from pathlib import Path

import pytest

from deployments.errors import ConfigurationError
from deployments.yaml_file import Frozen, read_mapping, read_yaml


class Reading(Frozen):
    rate: float
    rounds: int = 0


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.yaml: expected a YAML file, got no such file; check the path"):
        read_mapping(tmp_path / "gone.yaml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"expected a readable YAML file, got .*directory"):
        read_mapping(tmp_path)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("name: Käse".encode("latin-1"))
    with pytest.raises(ConfigurationError, match="expected a readable YAML file, got 'utf-8' codec"):
        read_mapping(path)


def test_a_python_object_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "object.yaml"
    path.write_text(f"rate: !!python/object/apply:pathlib.Path.touch [{tmp_path / 'made'}]")
    with pytest.raises(ConfigurationError, match="could not determine a constructor"):
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
