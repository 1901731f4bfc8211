"""The record of what a version of a family was made of, as tags of that version in the registry."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

FAMILY = "edgewright.family.members"
BACKBONE = "edgewright.family.backbone"
MEMBER = "edgewright.family.member."
"""Names with a second dot: `edgewright.NAME` holds the verdict on the device of that name, which may be any."""


@dataclass(frozen=True)
class RecordedMember:
    """A member: its name in the family, its registered version, and what the registry holds under it.

    `outputs` is the shape of a row of its outputs. `output` is the name of the one that is scored, of a model that has
    several.
    """

    name: str
    model: str
    version: str
    identity: str
    outputs: tuple[int, ...]
    output: str | None = None


@dataclass(frozen=True)
class FamilyRecord:
    """The members of a version of a family in their order, the end of their backbone that the recipe declares, if any.

    `digest` is that of the backbone's program: two versions of one digest have the same backbone.
    """

    members: tuple[RecordedMember, ...]
    declared: str | None
    digest: str = ""

    @property
    def tags(self) -> dict[str, str]:
        """The record as tags: the order of the members, a tag for each, and the backbone."""
        names = [member.name for member in self.members]
        order = json.dumps({"members": names, "backbone": self.declared})
        each = {f"{MEMBER}{member.name}": json.dumps(asdict(member)) for member in self.members}
        return {**each, BACKBONE: self.digest, FAMILY: order}

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> "FamilyRecord | None":
        """Read the record from a version's tags, None where it has none that is whole."""
        try:
            order = json.loads(tags[FAMILY])
            members = [json.loads(tags[f"{MEMBER}{name}"]) for name in order["members"]]
            read = tuple(RecordedMember(**{**each, "outputs": tuple(each["outputs"])}) for each in members)
            return cls(read, order["backbone"], tags[BACKBONE])
        except (KeyError, TypeError, ValueError):
            return None

    def same_members(self, other: "FamilyRecord | None") -> bool:
        """Tell whether another version was made of the same, so that nothing new would come of it."""
        return other is not None and (self.members, self.declared) == (other.members, other.declared)
