"""Every YAML file that ships is read by the model that it is for."""

from pathlib import Path

import pytest

import deployments
from deployments.device import DeviceProfile, read_device, shipped_devices
from deployments.recipe import read_recipe, shipped_recipes
from deployments.workload import Workload
from deployments.yaml_file import read_mapping, read_yaml

ROOM = Path(deployments.__file__).parent
FILES = sorted(path.relative_to(ROOM) for path in ROOM.rglob("*.y*ml"))


def test_the_files_are_found() -> None:
    folders = {path.parts[0] for path in FILES}
    assert len(FILES) >= 4
    assert {"recipes", "devices"} <= folders


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_shipped_file_is_read(file: Path) -> None:
    match file.parts:
        case ("recipes", _):
            assert read_recipe(ROOM / file).name == file.stem
        case ("devices", _):
            assert read_yaml(ROOM / file, DeviceProfile).name == file.stem
        case ("prefect.yaml",):
            assert read_mapping(ROOM / file)["deployments"]
        case _:
            pytest.fail(f"nothing is known that reads {file}")


def test_the_lists_of_shipped_files_are_complete() -> None:
    recipes = [ROOM / path for path in FILES if path.parts[0] == "recipes"]
    devices = [path.stem for path in FILES if path.parts[0] == "devices"]
    assert shipped_recipes() == recipes
    assert [device.name for device in shipped_devices()] == devices


def test_shipped_recipes_name_importable_workloads() -> None:
    for path in shipped_recipes():
        for reference in read_recipe(path).workload.split(", "):
            module_name, _, class_name = reference.partition(":")
            module = __import__(module_name, fromlist=[class_name])
            assert issubclass(getattr(module, class_name), Workload)


def test_a_shipped_profile_is_found_by_name() -> None:
    assert [read_device(device.name) for device in shipped_devices()] == shipped_devices()
