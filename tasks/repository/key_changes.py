"""A change of root or targets on its way: signed by several persons on several machines, then published.

A change is a file without secrets. It is carried from one person to the next, each of whom looks at it and adds
signatures. Whoever reaches the repository publishes it, and a publication that was killed is said again.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from securesystemslib.signer import Key
from tuf.api.metadata import Root, Targets

from edge_runtime.files import write_atomic
from tasks.errors import KeysError, SystemFailure, one_line
from tasks.repository.signed_repository import SignedRepository
from tasks.repository.signing import (
    SignedFile,
    Signers,
    is_trusted,
    keys_of,
    name_of,
    read,
    short,
    written,
)
from tasks.repository.state import State

FORM = "edgewright key change 1"
_MOST_BYTES = 20_000_000
Document: TypeAlias = SignedFile[Any]
"""A root or a targets file."""


@dataclass(frozen=True)
class KeyChange:
    """New versions of root and targets in the order of their publication, and why they are made.

    `signed_by` is a new online key, which must have signed what readers see before the next root counts. The roles
    `emptied` offer nothing under their new key until something is published. A change that `rebuilds` does not look at
    what the old online key has signed, which may be nonsense; readers wait until the new one has signed everything.
    """

    why: str
    documents: tuple[Document, ...]
    signed_by: str | None = None
    emptied: tuple[str, ...] = ()
    rebuilds: bool = False

    def with_signatures(self, before: Root, signers: Signers) -> "KeyChange":
        """Return the change with the signatures of the keys at hand that are asked for and were not given yet."""
        signed, root = [], before
        for document in self.documents:
            metadata, after = document.metadata, document.signed
            role = _role(document)
            keys: dict[str, Key] = {}
            for delegator in _delegators(document, root):
                keys |= keys_of(delegator, role)
            wanted = {keyid: key for keyid, key in keys.items() if keyid not in metadata.signatures}
            for signer in signers(role, wanted):
                metadata.sign(signer, append=True)
            signed.append(written(metadata))
            root = after if isinstance(after, Root) else root
        return replace(self, documents=tuple(signed))

    def missing(self, before: Root) -> list[str]:
        """Say which signatures are missing, a sentence for each document and set of keys; empty where none is."""
        said, root = [], before
        for document in self.documents:
            for delegator in _delegators(document, root):
                said += _missing(document, delegator, is_old=delegator is root and delegator is not document.signed)
            root = document.signed if isinstance(document.signed, Root) else root
        return list(dict.fromkeys(said))

    def save(self, path: Path) -> None:
        """Write the change as a file, which holds no secret."""
        content = {
            "form": FORM, "why": self.why, "signed_by": self.signed_by, "emptied": list(self.emptied),
            "rebuilds": self.rebuilds,
            "documents": [document.metadata.to_dict() for document in self.documents],
        }  # fmt: skip
        try:
            write_atomic(path, json.dumps(content, indent=1).encode())
        except OSError as error:
            raise KeysError(
                f"{path}: expected a file that can be written, got {error.strerror}; name another"
            ) from error

    @classmethod
    def load(cls, path: Path) -> "KeyChange":
        """Read a change. Raises KeysError for another file."""
        try:
            with path.open("rb") as file:
                content: dict[str, Any] = json.loads(file.read(_MOST_BYTES))
            if content["form"] != FORM:
                raise ValueError(f"the form {content['form']!r}")
            documents = tuple(_document(each) for each in content["documents"])
            signed_by = None if content["signed_by"] is None else str(content["signed_by"])
            emptied, rebuilds = tuple(map(str, content["emptied"])), bool(content["rebuilds"])
            return cls(str(content["why"]), documents, signed_by, emptied, rebuilds)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise KeysError(
                f"{path}: expected a change that edgewright keys wrote, got {one_line(error)}; ask for it again"
            ) from error


def publish_change(repository: SignedRepository, change: KeyChange) -> None:
    """Create the files of a change in their order, and bring what readers see up to each of them. Safe to repeat.

    Raises KeysError where signatures are missing, or where another change was published meanwhile.
    """
    roots = repository.reader.roots()
    news = [each for each in change.documents if not _is_published(repository, each)]
    if missing := change.missing(_root_before(roots, change.documents)):
        raise KeysError(f"{change.why}: expected every signature, got fewer: {' '.join(missing)}")
    if change.signed_by is not None or not all(isinstance(each.signed, Root) for each in change.documents):
        newest = [each.signed for each in change.documents if isinstance(each.signed, Root)][-1:] or [roots[-1].signed]
        repository.check_online(newest[0])
    for document in change.documents:
        if document in news:
            if isinstance(document.signed, Root) and not change.rebuilds:
                _check_readers(repository.reader.state(), document.signed)
            if not repository.store.create(name_of(_role(document), document.version), document.data):
                _is_published(repository, document)
        repository.reader.rebuilds = False  # from here on the new key's signatures are the only ones that count
        repository.complete(signed_by=_as_known(repository, change.signed_by), emptied=change.emptied)


def change_lines(change: KeyChange, before: State) -> list[str]:
    """Return what a change would do, in lines that a person reads before signing."""
    lines = [change.why]
    root, targets = before.root.signed, before.targets.signed
    for document in change.documents:
        new = document.signed
        until = f"counts until {new.expires:%Y-%m-%d}"
        lines.append(f"{name_of(_role(document), document.version)}: {until}")
        if isinstance(new, Root):
            lines += _differences(root, new, ("root", "targets", "snapshot", "timestamp"))
            root = new
        else:
            roles = [*_roles(targets), *(role for role in _roles(new) if role not in _roles(targets))]
            lines += _differences(targets, new, roles)
            targets = new
    return lines


def _differences(old: Root | Targets, new: Root | Targets, roles: Sequence[str]) -> Iterator[str]:
    for role in roles:
        before, after = _known_keys(old, role), _known_keys(new, role)
        changes = [*(f"+{short(each)}" for each in after if each not in before),
                   *(f"-{short(each)}" for each in before if each not in after)]  # fmt: skip
        if changes:
            yield f"  {role}: {' '.join(changes)}"


def _known_keys(delegator: Root | Targets, role: str) -> dict[str, Key]:
    try:
        return keys_of(delegator, role)
    except ValueError:
        return {}


def _roles(targets: Targets) -> list[str]:
    delegations = targets.delegations
    return [] if delegations is None or delegations.roles is None else list(delegations.roles)


def _role(document: Document) -> str:
    return "root" if isinstance(document.signed, Root) else "targets"


def _delegators(document: Document, root: Root) -> list[Root]:
    """Return the roots whose keys must sign a document: a new root is signed by the keys before and by its own."""
    return [root, document.signed] if isinstance(document.signed, Root) else [root]


def _missing(document: Document, delegator: Root, *, is_old: bool) -> list[str]:
    role = _role(document)
    found = delegator.get_verification_result(role, document.metadata.signed_bytes, document.metadata.signatures)
    if found.verified:
        return []
    of = f"the {role} keys " + ("that count now" if is_old else "that shall count")
    return [
        f"{name_of(role, document.version)} needs {found.missing} more of {of}: "
        f"{', '.join(short(each) for each in found.unsigned)}."
    ]


def _is_published(repository: SignedRepository, document: Document) -> bool:
    """Tell whether a document is in the repository already. Raises KeysError where another has its number."""
    name = name_of(_role(document), document.version)
    found = repository.store.read(name, _MOST_BYTES)
    if found not in (None, document.data):
        raise KeysError(
            f"{repository.store.address}/{name}: expected nothing under this number but the change's own file, "
            "got another one; make the change again"
        )
    return found is not None


def _check_readers(state: State, root: Root) -> None:
    """Raise SystemFailure where a new root would make readers refuse what is shown to them."""
    shown: dict[str, SignedFile[Any] | None] = {
        "targets": state.targets, "snapshot": state.snapshot.best, "timestamp": state.timestamp.best,
    }  # fmt: skip
    for role, file in shown.items():
        if file is not None and not is_trusted(file, role, root):
            raise SystemFailure(
                f"{role}: expected that it is signed with a key of the new root {root.version} before that counts, got "
                "one that is not, and devices would refuse it; another machine signed it meanwhile: run again"
            )


def _as_known(repository: SignedRepository, signed_by: str | None) -> str | None:
    """Return a new online key once a root names it."""
    root = repository.reader.root().signed
    return signed_by if signed_by in root.roles["timestamp"].keyids else None


def _root_before(roots: Sequence[SignedFile[Root]], documents: Sequence[Document]) -> Root:
    """Return the root that counted when a change was made. Raises KeysError where roots are missing between."""
    numbers = [each.version for each in documents if isinstance(each.signed, Root)]
    before = numbers[0] - 1 if numbers else len(roots)
    if not 0 < before <= len(roots):
        raise KeysError(
            f"root {before}: expected it in the repository, as the change follows it, got {len(roots)} roots; publish "
            "the change before this one first"
        )
    return roots[before - 1].signed


def _document(content: dict[str, Any]) -> Document:
    data = json.dumps(content).encode()
    found: Document | None = read(Root, data)
    found = found or read(Targets, data)
    if found is None:
        raise ValueError("metadata that is neither root nor targets")
    return written(found.metadata)
