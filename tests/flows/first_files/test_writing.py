"""Names of models and devices: those that a recipe can hold, as text whatever YAML makes of them."""

import pytest

from deployments.errors import ConfigurationError
from deployments.yaml_loader import load_yaml
from flows.first_files.workload_text import class_name
from flows.first_files.writing import as_text, check_names


@pytest.mark.parametrize("name", ["line-camera", "123", "1.5e3", "null", "yes", "on", "2024-01-02", "0x10"])
def test_a_name_is_read_as_text(name: str) -> None:
    assert load_yaml(f"[{as_text(name)}]") == [name]
    check_names(name, None)


def test_plain_names_have_no_quotes() -> None:
    assert as_text("line-camera") == "line-camera"


@pytest.mark.parametrize("model", ["my model", "a # b", 'q"q', "tab\\Nx", "ünï", "{x}", "-dash"])
def test_a_model_that_no_recipe_can_name_is_refused(model: str) -> None:
    with pytest.raises(ConfigurationError, match=r"expected the name of a registered model.*register the model under"):
        check_names(model, None)


@pytest.mark.parametrize("device", ["press 4", "../up", "Camera", "a,b"])
def test_a_device_that_no_profile_can_name_is_refused(device: str) -> None:
    with pytest.raises(ConfigurationError, match=r"expected lower-case letters.*correct --device"):
        check_names("tiny", device)


@pytest.mark.parametrize(("model", "name"), [("none", "ModelNone"), ("split", "ModelSplit"), ("f", "ModelF")])
def test_a_class_has_no_name_that_the_workload_reads(model: str, name: str) -> None:
    assert class_name(model) == name
