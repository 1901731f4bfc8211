"""A joined model split into parts that share its weights, and answer as it does, also as ONNX files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from model_compression.errors import FamilyError
from model_compression.families import answers_apart, backbone_and_heads, join, shared_backbone
from model_compression.onnx_files import export_onnx
from tests.model_compression.families.members import FAMILIES, IMAGES, family, of, pair, registered, resnet_trunk
from tests.model_compression.toys import run, untrained


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("exported", [False, True])
def test_the_parts_behind_each_other_answer_as_each_member(name: str, exported: bool) -> None:
    given = family(name)
    backbone, heads = backbone_and_heads(registered(name) if exported else given.joined(), given.names)
    features = backbone(*given.rows)
    assert list(heads) == given.names
    for member in given.members:
        own = member.model(*given.rows)
        answers = heads[member.name](features)
        assert answers.shape == own.shape
        assert torch.equal(answers, own)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_answers_apart_are_those_of_each_member_in_its_own_shape(name: str) -> None:
    given = family(name)
    joined = given.joined()
    apart = answers_apart(joined, given.names)
    for member, answers in zip(given.members, apart(*given.rows), strict=True):
        own = member.model(*given.rows)
        assert answers.shape == own.shape and torch.equal(answers, own)
    assert {id(weight) for weight in apart.parameters()} == {id(weight) for weight in joined.parameters()}
    with pytest.raises(FamilyError, match="expected a model that was joined of 1 members"):
        answers_apart(joined, given.names[:1])


@pytest.mark.parametrize("name", FAMILIES)
def test_they_share_the_weights_of_the_joined_model(name: str) -> None:
    joined = registered(name)
    backbone, heads = backbone_and_heads(joined, family(name).names)
    parts = {path: weight for part in (backbone, *heads.values()) for path, weight in part.named_parameters()}
    assert parts.keys() == dict(joined.named_parameters()).keys()
    assert all(parts[path] is weight for path, weight in joined.named_parameters())
    assert all(path.startswith("backbone.") for path, _ in backbone.named_parameters())
    for each, head in heads.items():
        assert all(path.startswith(f"heads.{each}.") for path, _ in head.named_parameters())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_part_takes_any_number_of_rows(name: str) -> None:
    given = family(name)
    backbone, heads = backbone_and_heads(registered(name), given.names)
    few = tuple(rows[:1] for rows in given.rows)
    features = backbone(*few)
    assert len(features) == 1
    assert all(len(head(features)) == 1 for head in heads.values())


@pytest.mark.parametrize("name", ["mobile", "vit", "text"])
def test_as_onnx_files_they_answer_as_the_joined_model(name: str, tmp_path: Path) -> None:
    given = family(name)
    backbone, heads = backbone_and_heads(registered(name), given.names)
    inputs = [node.name for node in backbone.graph.find_nodes(op="placeholder")]
    file = export_onnx(backbone, given.rows, inputs, tmp_path / "model.onnx")
    features = run(file, *(rows.numpy() for rows in given.rows))
    answers = []
    for each, head in heads.items():
        part = export_onnx(head, (torch.from_numpy(features),), ["features"], tmp_path / f"head.{each}.onnx")
        answers.append(run(part, features).reshape(len(features), -1))
    wanted = registered(name)(*given.rows).detach().numpy()
    np.testing.assert_allclose(np.concatenate(answers, 1), wanted, atol=1e-4)


def test_a_head_without_layers_gives_the_features(tmp_path: Path) -> None:
    members = (of("features", resnet_trunk(), nn.Identity()), pair()[0])
    joined = untrained(join(members, shared_backbone(members)), IMAGES)
    backbone, heads = backbone_and_heads(joined, ["features", "kind"])
    features = backbone(IMAGES)
    assert torch.equal(heads["features"](features), members[0].model(IMAGES))
    file = export_onnx(heads["features"], (features,), ["features"], tmp_path / "head.onnx")
    np.testing.assert_array_equal(run(file, features.detach().numpy()), features.detach().numpy())


def test_other_numbers_of_names_are_refused() -> None:
    with pytest.raises(FamilyError, match=r"joined of 2 members \(kind, turn\), got one of 4"):
        backbone_and_heads(family("resnet").joined(), ["kind", "turn"])


def test_a_model_that_was_not_joined_is_refused() -> None:
    with pytest.raises(FamilyError, match="join the members of the family first"):
        backbone_and_heads(pair()[0].model, ["kind", "turn"])
