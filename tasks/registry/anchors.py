"""The anchor of a model on a device: the record that names it, and the checks that the record still holds.

The record is a tag of the registered model, so that it outlives the alias and the release that it names. The alias
`anchor` is only its shown form.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.errors import AnchorLost
from tasks.registry.edge_versions import ANCHOR_TAGS, FILE_DIGEST, EdgeVersion

ANCHOR = "anchor"
ANCHOR_RECORD = "edgewright.anchor"
ANCHOR_BY = f"{ANCHOR_TAGS}by"
ANCHOR_WHEN = f"{ANCHOR_TAGS}when"
ANCHOR_REASON = f"{ANCHOR_TAGS}reason"


@dataclass(frozen=True)
class Anchor:
    """The release that cumulative margins are held against, and who chose it, when and why.

    Nobody chose the first release that passed: the pipeline named it, and a person may name another one.
    """

    edge: EdgeVersion
    by: str | None = None
    when: str | None = None
    reason: str | None = None

    @property
    def sentence(self) -> str:
        """The release and its choice in words."""
        named = f"release {self.edge.release} of version {self.edge.source_version}"
        return f"{named}, {_choice(self.by, self.when, self.reason)}"

    @property
    def tags(self) -> dict[str, str]:
        """The choice as tags of the registered version: its page keeps them when another release is chosen."""
        said = {ANCHOR_BY: self.by, ANCHOR_WHEN: self.when, ANCHOR_REASON: self.reason}
        return {key: text for key, text in said.items() if text is not None}

    @property
    def record(self) -> str:
        """The text of the record, which one write replaces as a whole."""
        told = {"release": self.edge.release, FILE_DIGEST: self.edge.file_sha256, **self.tags}
        return json.dumps(told, sort_keys=True)


@dataclass(frozen=True)
class AnchorState:
    """Everything that the registry holds about the anchor of one edge model.

    `record` is the text of the tag, `alias` the version that the alias names, and `releases` are those that are there.
    """

    model: str
    device: str
    record: str | None
    alias: str | None
    releases: Sequence[EdgeVersion]

    def anchor(self, without: int | None = None) -> Anchor | None:
        """Return the anchor; None before a release has passed.

        The release `without` is being decided. It is no anchor of its own unless a person chose it. Raises AnchorLost
        where the record is missing or names no release that passed, and where the alias names another one.
        """
        if self.record is None:
            passed = [each.release for each in self.releases if each.passed and each.release != without]
            if passed:
                raise self._lost("a record of the anchor", f"none, though {_named(passed)} passed")
            return None
        anchor = self._recorded(self.record)
        if anchor.by is None and anchor.edge.release == without:
            return None
        if self.alias != anchor.edge.version:
            raise self._lost(f"the alias `{ANCHOR}` to name {anchor.sentence}", self._aliased())
        return anchor

    def _recorded(self, record: str) -> Anchor:
        try:
            told = dict(json.loads(record))
            release, sha256 = int(told["release"]), str(told[FILE_DIGEST])
        except (ValueError, KeyError, TypeError) as error:
            raise self._lost(f"a record of the anchor in the tag `{ANCHOR_RECORD}`", "text of another form") from error
        said = tuple(told.get(key) for key in (ANCHOR_BY, ANCHOR_WHEN, ANCHOR_REASON))
        found = next((each for each in self.releases if (each.release, each.file_sha256) == (release, sha256)), None)
        wanted = f"the anchor, release {release}, {_choice(*said)},"
        if found is None:
            raise self._lost(f"{wanted} to be registered with its file {sha256[:12]}", "no such release")
        if not found.passed:
            raise self._lost(f"{wanted} to be one that passed", "it published against its gates")
        return Anchor(found, *said)

    def _aliased(self) -> str:
        if self.alias is None:
            return "no release under it"
        found = next((each for each in self.releases if each.version == self.alias), None)
        return f"release {found.release}" if found else f"version {self.alias}, which is no release"

    def _lost(self, expected: str, got: str) -> AnchorLost:
        remedy = f"Name the anchor: edgewright anchor set {self.model} {self.device} RELEASE --by NAME --reason TEXT."
        if not any(each.passed for each in self.releases):
            remedy = (
                f"No release that passed is there to be named: restore it, or delete the tag `{ANCHOR_RECORD}` of its "
                "registered model, so that the next one that passes is the anchor."
            )
        return AnchorLost(f"{self.model} on {self.device}: expected {expected}, got {got}.", remedy)


def _choice(by: str | None, when: str | None, reason: str | None) -> str:
    return "the first that passed its gates" if by is None else f"set by {by} on {when}: {reason}"


def _named(releases: Sequence[int]) -> str:
    return f"release{'s' if len(releases) > 1 else ''} {', '.join(map(str, sorted(releases)))}"
