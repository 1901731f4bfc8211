"""Composition of a family: its members joined into one model, which is registered as upstream teams register theirs."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import torch
from torch import Tensor, fx

from deployments.recipe import FamilyRecipe, read_recipe
from model_compression.errors import FamilyError
from model_compression.families import (
    SharedBackbone,
    backbone_and_heads,
    export_program,
    join,
    shared_backbone,
    some_rows,
)
from model_compression.intake import rebuild
from tasks.errors import PreflightError, RegistryError
from tasks.families.family_record import FamilyRecord
from tasks.families.member_programs import ReadMember, read_members
from tasks.families.member_versions import asked_for
from tasks.registry import Upstream, register_upstream
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")
LITTLE = 0.5  # of a member's parameters, below which sharing saves little


@dataclass(frozen=True)
class Composition:
    """A version of a family's model: its members, and their shared backbone where it was made now.

    Where the newest version was made of the same members, it is that version, and `backbone` is None.
    """

    model: str
    version: str
    record: FamilyRecord
    backbone: SharedBackbone | None


def compose(path: Path, workspace: Workspace, chosen: Mapping[str, str] | None = None) -> Composition:
    """Join the members of a family and register the result as the next version of the family's model.

    `chosen` names versions of members; of the others, the newest is taken. Where the newest version of the family was
    made of the same, nothing is done. Raises PreflightError for a recipe of one model, and for members that do not fit
    each other; FamilyError where they share no backbone; and what reading a member raises.
    """
    recipe = read_recipe(path)
    if not isinstance(recipe, FamilyRecipe):
        raise PreflightError(
            f"{path}: expected the recipe of a family, with `members`, got that of one model; compress it with "
            "`edgewright compress`, or name the models of the family in `members`"
        )
    upstream = Upstream(workspace.tracking_uri)
    with workspace.exclusive(recipe.model):
        asked = asked_for(recipe, upstream, chosen or {})
        made = _newest(recipe.model, upstream)
        if made is not None and asked.same_members(made[1]):
            return Composition(recipe.model, made[0], made[1], None)
        recipe.load_workload()  # the tasks fit each other
        members = read_members(recipe, asked.members, workspace)
        backbone, joined = joined_model(members, recipe.backbone)
        _warn_of_little(backbone)
        record = replace(asked, digest=backbone.digest)
        return Composition(recipe.model, _registered(recipe.model, joined, members, record, upstream), record, backbone)


def _newest(model: str, upstream: Upstream) -> tuple[str, FamilyRecord] | None:
    """Return the newest version of a family's model with what it was made of, None where there is none.

    Raises PreflightError for a model that has versions that no family is in.
    """
    try:
        version = upstream.versions(model)[-1:]
    except RegistryError:  # the first version of a family makes its model
        return None
    if not version:
        return None
    record = FamilyRecord.of(upstream.tags(model, version[0]))
    if record is None:
        raise PreflightError(
            f"model `{model}` version {version[0]}: expected a model that families are registered under, got a version "
            "that was made of no members; give the family a `model` of its own in its recipe"
        )
    return version[0], record


def _warn_of_little(backbone: SharedBackbone) -> None:
    """Warn of members that share less than they keep to themselves, as those do whose backbone was trained too."""
    name, share = min(backbone.share.items(), key=lambda each: each[1])
    if share < LITTLE:
        logger.warning(
            "expected a backbone that holds most of each member, got %.0f %% of `%s`, as the members part behind its "
            "`%s`; train the heads on one frozen backbone where more was to be shared",
            100 * share,
            name,
            backbone.cut[name],
        )


def joined_model(members: Sequence[ReadMember], declared: str | None) -> tuple[SharedBackbone, fx.GraphModule]:
    """Join members, and show on rows of each that the model answers bit by bit as they do, also once it is registered.

    Raises FamilyError where they share no backbone, and where an answer differs.
    """
    named = [each.member for each in members]
    backbone = shared_backbone(named, declared)
    joined = join(named, backbone)
    exported = rebuild(export_program(joined, members[0].rows))
    for form, model in (("joined", joined), ("joined and exported", exported)):
        _check_answers(form, model, members)
    _check_parts(exported, members)
    return backbone, joined


@torch.no_grad()
def _check_answers(form: str, model: fx.GraphModule, members: Sequence[ReadMember]) -> None:
    start = 0
    for each in members:
        size = prod(each.recorded.outputs)
        wanted = each.member.model(*each.rows).reshape(-1, size)
        _check_same(f"the {form} model", model(*each.rows)[:, start : start + size], wanted, each)
        start += size


@torch.no_grad()
def _check_parts(model: fx.GraphModule, members: Sequence[ReadMember]) -> None:
    """Show that the backbone and a head behind each other answer as the member does."""
    backbone, heads = backbone_and_heads(model, [each.recorded.name for each in members])
    for each in members:
        features = backbone(*each.rows)
        if features.shape[:1] != each.rows[0].shape[:1]:
            raise FamilyError(
                f"expected a backbone that gives features for each of {len(each.rows[0])} rows, got shape "
                f"{list(features.shape)}; declare an end of the backbone in the recipe where the rows come first"
            )
        _check_same(
            "the backbone and the head", heads[each.recorded.name](features), each.member.model(*each.rows), each
        )


def _check_same(form: str, got: Tensor, wanted: Tensor, member: ReadMember) -> None:
    if got.shape != wanted.shape or not torch.equal(got, wanted):
        difference = float((got - wanted).abs().max()) if got.shape == wanted.shape else float("nan")
        raise FamilyError(
            f"expected {form} to answer bit by bit as `{member.recorded.name}` does, got answers of shape "
            f"{list(got.shape)} that differ by {difference:.3g}; report this with the models' graphs"
        )


def _registered(
    model: str, joined: fx.GraphModule, members: Sequence[ReadMember], record: FamilyRecord, upstream: Upstream
) -> str:
    """Register the joined model as upstream teams do; returns its version."""
    rows = tuple(each.numpy() for each in some_rows(members[0].rows))
    versions = {member.name: f"{member.model} version {member.version}" for member in record.members}
    params = {**versions, "backbone": record.digest}
    version = register_upstream(upstream.tracking_uri, model, joined, rows, params, record.tags)
    logger.info("model `%s` version %s: joined of %s", model, version, ", ".join(versions.values()))
    return version
