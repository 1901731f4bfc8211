"""Sign-off: the persons who let a candidate that passed its gates be published. Pure: the caller says what time it is.

The records of persons decide, and nothing else: each is of one verdict and one file. A name is a claim, unless the
recipe lists keys: then only records that are signed with the key of their name count.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, Self, TypeAlias

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from edge_runtime.settings import is_plain_text
from quality_gates.errors import SignOffError
from quality_gates.signatures import is_signed, public_key

SignOffChoice: TypeAlias = Literal["publish", "refuse"]
SignOffState: TypeAlias = Literal["waiting", "complete", "refused", "expired"]
CHOICES: Mapping[SignOffChoice, str] = {"publish": "Signed off", "refuse": "Refused"}
LONGEST_NAME = 100
PURPOSE = "edgewright sign-off 1"
"""First line of what is signed, so that a signature given for another purpose is none here."""
_NO_NAME = re.compile(r'[()\[\]{}<>,;:"\\|`]')


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SignOffSubject(_Record):
    """The candidate that persons decide on: the version, the device, its run, and the digests of verdict and file."""

    model: str
    version: str
    device: str
    run: str
    verdict_sha256: str
    file_sha256: str


class SignOff(_Record):
    """One person's decision about one candidate, with a reason; `signature` is that of the statement, in base64."""

    subject: SignOffSubject
    name: str
    reason: str
    choice: SignOffChoice
    given: AwareDatetime
    signature: str | None = None

    @property
    def statement(self) -> bytes:
        """The text that is signed: the purpose, then everything but the signature as JSON with sorted keys."""
        content = self.model_dump(mode="json", exclude={"signature"})
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return f"{PURPOSE}\n{text}".encode("ascii")

    def with_signature(self, signature: str) -> Self:
        """Return a signed copy."""
        return self.model_copy(update={"signature": signature})


class SignOffs(_Record):
    """The sign-off that a candidate needs: how many persons, until when, and the decisions that count so far.

    `by_key` is set where each of them is signed with a key that the recipe lists; else names are claims. `expired` is
    set where the time ended before enough persons had signed.
    """

    persons: int = Field(ge=1)
    until: AwareDatetime
    by_key: bool = False
    given: tuple[SignOff, ...] = ()
    expired: bool = False

    @property
    def refusal(self) -> SignOff | None:
        """The first decision against publishing."""
        return next((each for each in self.given if each.choice == "refuse"), None)

    @property
    def state(self) -> SignOffState:
        """The state: one refusal outweighs every signature, and what has expired is a no."""
        if self.refusal is not None:
            return "refused"
        if self.expired:
            return "expired"
        return "complete" if len(self.given) >= self.persons else "waiting"

    @property
    def names(self) -> str:
        """The persons who have signed, each with how far the name can be trusted; a manifest holds this text."""
        return ", ".join(self.shown(each) for each in self.given if each.choice == "publish")

    @property
    def count(self) -> str:
        """The signatures given and needed in a few words."""
        signed = sum(each.choice == "publish" for each in self.given)
        return f"{signed} of {self.persons}"

    @property
    def sentence(self) -> str:
        """The state in words."""
        signed = f"Signed off by {self.names}." if self.names else "Nobody has signed."
        if self.refusal is not None:
            return f"Refused by {self.shown(self.refusal)}: {self.refusal.reason}"
        if self.state == "expired":
            return f"The sign-off ended on {self.day} with {self.count} persons, and no answer is no."
        if self.state == "complete":
            return signed
        return f"Waits for sign-off by {_persons(self.persons)} until {self.day}: {self.count}. {signed}"

    @property
    def day(self) -> str:
        """The end of the wait, as people read it."""
        return f"{self.until:%Y-%m-%d %H:%M} UTC"

    def shown(self, sign_off: SignOff) -> str:
        """Return a person's name, and whether it is claimed or proven by a key."""
        return f"{sign_off.name} ({'by key' if self.by_key else 'claimed'})"

    def at(self, now: datetime) -> Self:
        """Return the state at a moment: what was not decided until its end has expired."""
        over = self.state in ("waiting", "complete") and now > self.until
        return self.model_copy(update={"expired": True}) if over else self

    def counting(self, found: Iterable[SignOff], subject: SignOffSubject, signers: Mapping[str, str]) -> Self:
        """Return the state by the records that were found: of this very subject, in time, one for each name.

        Where the recipe lists signers, those that are not signed with the key of their name do not count.
        """
        keys = {folded(name): key for name, key in signers.items()}
        counted: dict[str, SignOff] = {}
        for each in sorted(found, key=lambda each: (each.given, each.name)):
            of_this = each.subject == subject and each.given <= self.until
            if of_this and (not signers or is_signed(each.statement, each.signature, keys.get(folded(each.name), ""))):
                counted.setdefault(folded(each.name), each)
        return self.model_copy(update={"given": tuple(counted.values()), "by_key": bool(signers)})


def folded(name: str) -> str:
    """Return a name in the one spelling by which persons are told apart: case, width and spaces do not count."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())


def check_person(name: str, reason: str) -> None:
    """Raise SignOffError unless a decision has a name without brackets and marks, and a reason, each on one line."""
    plain = is_plain_text(name.strip()) and len(name.strip()) <= LONGEST_NAME and not _NO_NAME.search(name)
    if not plain:
        raise SignOffError(
            f"expected the name of a person, of at most {LONGEST_NAME} characters without brackets, commas and quotes, "
            f"got {name[:80]!r}; say who signs"
        )
    if not is_plain_text(reason.strip()):
        raise SignOffError(f"expected a reason on one line of plain text, got {reason[:80]!r}; say why in a sentence")


def check_asked(persons: int | None, days: float | None, signers: Mapping[str, str]) -> None:
    """Raise SignOffError unless what a recipe says about its sign-off fits together."""
    if persons is None:
        if days is not None or signers:
            key = "sign_off_within_days" if days is not None else "signers"
            raise SignOffError(f"key `{key}`: expected `sign_off` beside it, got none; add `sign_off: 1`, or remove it")
        return
    if days is None:
        raise SignOffError(
            "key `sign_off`: expected `sign_off_within_days` beside it, got none; add it, it has no default"
        )
    if signers:
        _check_signers(persons, signers)


def _check_signers(persons: int, signers: Mapping[str, str]) -> None:
    """Raise SignOffError unless the signers are enough different persons, each with a key of their own."""
    if len(signers) < persons:
        raise SignOffError(
            f"key `signers`: expected at least {_persons(persons)}, as `sign_off` asks for, got {len(signers)}; list "
            "every person who may sign, or remove the key"
        )
    names, keys = list(signers), []
    for name in names:
        try:
            check_person(name, "listed")
            keys.append(public_key(signers[name]).public_bytes_raw())
        except SignOffError as error:
            raise SignOffError(f"key `signers.{name}`: {error}") from error
    for what, values in (("name", [folded(name) for name in names]), ("key", keys)):
        twice = next((name for at, name in enumerate(names) if values[at] in values[:at]), None)
        if twice is not None:
            raise SignOffError(
                f"key `signers.{twice}`: expected a {what} of its own, got that of another signer; one person signs "
                "once, so remove it"
            )


def _persons(count: int) -> str:
    return "1 person" if count == 1 else f"{count} persons"
