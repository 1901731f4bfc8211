"""The versions of a family's members: those that a person names, else the newest of each."""

from collections.abc import Mapping

from deployments.recipe import FamilyMember, FamilyRecipe
from deployments.workload import load_workload
from tasks.errors import PreflightError, RegistryError
from tasks.families.family_record import FamilyRecord, RecordedMember
from tasks.registry import Upstream


def asked_for(recipe: FamilyRecipe, upstream: Upstream, chosen: Mapping[str, str]) -> FamilyRecord:
    """Return the record of the versions that the family is to be made of; `chosen` names versions by member.

    Raises PreflightError for a name that no member has, RegistryError for a member or a version that is not registered.
    """
    names = [member.name for member in recipe.members]
    unknown = next((name for name in chosen if name not in names), None)
    if unknown is not None:
        raise PreflightError(
            f"--member {unknown}={chosen[unknown]}: expected a member of {recipe.name} ({', '.join(names)}), got "
            f"`{unknown}`; correct the name"
        )
    members = tuple(_recorded(member, upstream, chosen.get(member.name)) for member in recipe.members)
    return FamilyRecord(members, recipe.backbone)


def _recorded(member: FamilyMember, upstream: Upstream, chosen: str | None) -> RecordedMember:
    try:
        version = chosen or _newest(member.model, upstream)
        upstream.check(member.model, version)
    except RegistryError as error:
        raise RegistryError(f"member `{member.name}`: {error}") from error
    identity = upstream.identity(member.model, version)
    output = load_workload(member.workload).output
    return RecordedMember(member.name, member.model, version, identity, tuple(member.outputs), output)


def _newest(model: str, upstream: Upstream) -> str:
    versions = upstream.versions(model)
    if not versions:
        raise RegistryError(f"model `{model}`: expected a registered version, got none; register one")
    return versions[-1]
