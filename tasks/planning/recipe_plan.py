"""The plan of one recipe: what it wants of the versions of its model, read off a view of the registry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from deployments.device import DeviceProfile
from deployments.recipe import FollowedAlias, Recipe
from tasks.answer_parts import SOMETHING, AnswerKeys, changed_parts, profile_parts, recipe_parts
from tasks.planning.wanted_run import DeviceReason, WantedRun, in_one
from tasks.registry import UNDECIDED, WAITING, Answered, AnsweredDevice, DeployedRelease, RegistryView

DAY_S = 86_400
MOST_ATTEMPTS = 5
"""Runs after which a version that none of them could decide is no longer asked for by itself."""
WAITS_FOR = "waits for sign-off"
LOST = "its bundle is no longer where it was published"


class Depths(Protocol):
    """Knowledge beyond the registry, of whoever can read the workload and the destination."""

    def keys(self, version: str) -> Mapping[str, AnswerKeys]:
        """Return the keys that answers to a version would have now, by device; reads the workload and its data."""

    def answer_key(self, version: str) -> str:
        """Return the key that the answers of all devices share."""

    def is_there(self, device: DeviceProfile, release: int) -> bool:
        """Tell whether the destination holds the whole bundle of a release."""

    def looks_are_left(self, version: str, device: DeviceProfile) -> bool:
        """Tell whether gates that were withheld may look at the test rows by now."""

    def still_waits(self, version: str, device: DeviceProfile) -> bool:
        """Tell whether an answer that waits for sign-off stands: nobody has decided, and nothing has overtaken it."""


@dataclass(frozen=True)
class RecipePlan:
    """The runs that a recipe wants, the oldest version first; what stands on each device, and what waits, as sentences.

    `needs_a_person` are those of what nothing but a person will ask for again.
    """

    path: str
    recipe: Recipe
    wanted: tuple[WantedRun, ...]
    stands: tuple[DeviceReason, ...] = ()
    waits: tuple[str, ...] = ()
    needs_a_person: tuple[str, ...] = ()


def plan_recipe(
    path: str, recipe: Recipe, view: RegistryView, now: datetime, depths: Depths | None = None
) -> RecipePlan:
    """Return the plan of a recipe; `path` is the recipe as a run is told it.

    Without `depths`, only what the registry, the recipe and its device profiles tell is known: a changed workload, its
    data and the libraries are not.
    """
    return _RecipePlanner(path, recipe, view, now, depths).plan()


def _joined(plans: Sequence[RecipePlan]) -> RecipePlan:
    """Return plans of one recipe as one."""
    first, *others = plans
    for each in others:
        first = RecipePlan(
            first.path, first.recipe, first.wanted + each.wanted, first.stands + each.stands, first.waits + each.waits,
            first.needs_a_person + each.needs_a_person,
        )  # fmt: skip
    return first


@dataclass(frozen=True)
class _RecipePlanner:
    path: str
    recipe: Recipe
    view: RegistryView
    now: datetime
    depths: Depths | None

    def plan(self) -> RecipePlan:
        recipe, versions = self.recipe, self.view.versions.get(self.recipe.model, ())
        if not versions:
            return self._waits(f"nobody has registered a version of the model {recipe.model}")
        if isinstance(recipe.follow, FollowedAlias):
            return self._of_alias(recipe.follow.alias)
        newest = self.view.newest_answered(recipe.model)
        fresh = [version for version in versions if int(version) > newest]
        if recipe.newer == "supersede":
            fresh = fresh[-1:]
        else:
            fresh = [version for version in versions if int(version) < newest and self._is_begun(version)] + fresh
        planned = [self._of_fresh(fresh)] if fresh else []
        if not fresh or int(fresh[-1]) < newest:
            planned.append(self._of_answered(versions[-1]))
        return _joined(planned)

    def _of_fresh(self, versions: list[str]) -> RecipePlan:
        """Plan versions that have no answer: those newer than every answered one, and those that were begun."""
        wanted, given_up, waits = list[WantedRun](), list[str](), list[str]()
        for version in versions:
            tried = self._attempts(self._answered(version))
            if tried >= MOST_ATTEMPTS:
                given_up.append(self._given_up(version, tried))
                continue
            why = f"version {version} is new{f', and {tried} attempts could not decide it' if tried else ''}"
            reasons = tuple(
                each for each in self._everywhere(why) if not self._is_older(version, self._deployed(each.device))
            )
            if reasons:
                wanted.append(self._wanted(version, reasons, f"new under {self.recipe.digest}"))
            else:
                command = f"edgewright compress {self.recipe.model} {version} --recipe {self.path} --back"
                waits.append(f"version {version}: a newer one is deployed; {command} asks for it")
        return RecipePlan(self.path, self.recipe, tuple(wanted), waits=tuple(waits), needs_a_person=tuple(given_up))

    def _is_begun(self, version: str) -> bool:
        """Tell whether a version was begun under this recipe, and never decided."""
        known = self._answered(version)
        return known is not None and not known.is_decided

    def _is_older(self, version: str, deployed: DeployedRelease | None) -> bool:
        return deployed is not None and int(version) < int(deployed.source_version)

    def _of_alias(self, alias: str) -> RecipePlan:
        """Plan the version that an alias names, on each device that has neither it nor its refusal."""
        version = self.view.aliases.get(self.recipe.model, {}).get(alias)
        if version is None:
            return self._waits(f"the alias {alias} names no version of the model {self.recipe.model}")
        asked = tuple(device for device in self.recipe.devices if self._lacks(version, device))
        if not asked:
            return self._of_answered(version)
        deployed = [self._deployed(device.name) for device in self.recipe.devices]
        newest = max((each.release for each in deployed if each is not None), default=0)
        back = any(self._is_older(version, each) for each in deployed)
        reasons = tuple(DeviceReason(device.name, f"the alias {alias} names version {version}") for device in asked)
        return RecipePlan(
            self.path, self.recipe, (self._wanted(version, reasons, f"{alias} after {newest}", back=back),)
        )

    def _lacks(self, version: str, device: DeviceProfile) -> bool:
        """Tell whether a device has neither a version nor its refusal, and may have it."""
        deployed, own = self._deployed(device.name), self._own(self._answered(version), device)
        has_it = deployed is not None and deployed.source_version == version
        is_answered = own is not None and own.answer not in ("published", UNDECIDED)
        return not (has_it or is_answered or self._is_held(version, device))

    def _of_answered(self, version: str) -> RecipePlan:
        """Plan a version that has answers: on each device, for what has changed since; as a whole, for its age."""
        known = self._answered(version)
        if not self._follows_alias and self._was_taken_back(version):
            return self._waits(f"version {version} was taken back from; register a newer one, or ask for it by hand")
        told = [(device.name, *self._on_device(version, device, known)) for device in self.recipe.devices]
        asked = tuple(DeviceReason(name, why) for name, is_asked, why in told if is_asked)
        rest = tuple(DeviceReason(name, why) for name, is_asked, why in told if not is_asked)
        waiting = [each for each in rest if each.why.startswith(WAITS_FOR)]
        stands = tuple(each for each in rest if each not in waiting)
        waits = tuple(f"version {version} on {each.device} {each.why}" for each in waiting)
        plan = RecipePlan(self.path, self.recipe, (), stands, waits)
        if asked:
            wanted = self._wanted(version, asked, self._mark(version, known, asked), back=self._follows_alias)
            return replace(plan, wanted=(wanted,))
        tried = self._attempts(known)
        if tried >= MOST_ATTEMPTS:
            return replace(plan, needs_a_person=(self._given_up(version, tried),))
        return self._of_age(version, known, plan)

    def _of_age(self, version: str, known: Answered | None, plan: RecipePlan) -> RecipePlan:
        """Return a plan of nothing, or what an age of the answer asks for in its place."""
        allowed = self.recipe.again_after_days
        if known is None or allowed is None or not known.is_decided:
            return plan
        days = (self.now.timestamp() - known.decided / 1000) / DAY_S
        if days <= allowed:
            return plan
        why = f"the answer to version {version} is {days:.0f} days old"
        waiting = {name for name, each in known.devices.items() if each.answer == WAITING}
        free = tuple(
            DeviceReason(device.name, why) for device in self.recipe.devices
            if not self._not_for(version, device) and device.name not in waiting
        )  # fmt: skip
        if not free:
            return plan
        wanted = self._wanted(version, free, f"after {known.decided}", again=True, back=self._follows_alias)
        return replace(plan, wanted=(wanted,), stands=())

    def _on_device(self, version: str, device: DeviceProfile, known: Answered | None) -> tuple[bool, str]:
        """Tell whether a device wants an answer, and why, or why it wants none."""
        own = self._own(known, device)
        if reason := self._not_for(version, device):
            return False, reason
        if known is None:
            return True, f"recipe {self.recipe.name} has no answer to version {version} yet"
        if own is None:
            return True, "the device is new in the recipe"
        return self._since(version, device, known, own)

    def _since(self, version: str, device: DeviceProfile, known: Answered, own: AnsweredDevice) -> tuple[bool, str]:
        """Tell whether something since a device's answer asks for another one."""
        if own.answer == UNDECIDED:
            return self._attempts(known) < MOST_ATTEMPTS, f"{known.attempts} attempts could not decide it"
        if why := self._decided_by_persons(version, device, own):
            return True, why
        if self.depths is None:
            parts = {**recipe_parts(self.recipe), **profile_parts(device)}
            if own.parts and (changes := changed_parts(own.parts, parts)):
                return True, "; ".join(changes)
            return False, self._standing(version, device, own)
        return self._in_depth(version, device, own, self.depths)

    def _not_for(self, version: str, device: DeviceProfile) -> str:
        """Return why a device may not have a version today, whatever came of it; empty where it may."""
        if self._is_held(version, device):
            return f"version {version} is held back"
        if self._is_older(version, self._deployed(device.name)) and not self._follows_alias:
            return f"a newer version than {version} is deployed"
        return ""

    def _decided_by_persons(self, version: str, device: DeviceProfile, own: AnsweredDevice) -> str:
        """Return why persons' decisions ask for an answer again; empty where they do not."""
        deployed = self._deployed(device.name)
        if own.answer == "published" and deployed is not None and self._was_left(version, device, deployed, own):
            return f"version {version} is held no more"
        return self._waits_no_more(version, device, own) if own.answer == WAITING else ""

    def _in_depth(self, version: str, device: DeviceProfile, own: AnsweredDevice, depths: Depths) -> tuple[bool, str]:
        keys = depths.keys(version)[device.name]
        if keys.key != own.key:
            if own.final and keys.question == own.question:
                return False, f"{own.answer} on its answers, for which a new toolchain is no second chance"
            return True, "; ".join(changed_parts(own.parts, keys.parts)) or SOMETHING
        if own.answer == "published" and not self._is_there(device, own, depths):
            return True, LOST
        if own.withheld and depths.looks_are_left(version, device):
            return True, "its gates were withheld, and looks at the test rows are left by now"
        return False, self._standing(version, device, own)

    def _waits_no_more(self, version: str, device: DeviceProfile, own: AnsweredDevice) -> str:
        """Return why an answer that was told to wait for sign-off is to be looked at again; empty where it waits."""
        if own.until is not None and self.now.timestamp() * 1000 > own.until:
            return "nobody signed in time"
        deployed = self._deployed(device.name)
        origin = None if deployed is None else (deployed.source_version, deployed.recipe)
        is_published = origin == (version, self.recipe.name)  # it is signed, and told soon
        if (None if deployed is None else deployed.release) != own.against and not is_published:
            return "another release was deployed while it waited for sign-off"
        if self.depths is None or self.depths.keys(version)[device.name].key != own.key:
            return ""  # what has changed is told as for every other answer
        return "" if self.depths.still_waits(version, device) else "persons have decided, and its answer does not tell"

    def _is_there(self, device: DeviceProfile, own: AnsweredDevice, depths: Depths) -> bool:
        deployed = self._deployed(device.name)
        if deployed is None or own.release is None or deployed.release < own.release:
            return False
        if own.release in (deployed.release, deployed.rollback.restored if deployed.rollback else None):
            return depths.is_there(device, deployed.release)
        return True

    def _standing(self, version: str, device: DeviceProfile, own: AnsweredDevice) -> str:
        if own.answer == WAITING:
            last = None if own.until is None else datetime.fromtimestamp(own.until / 1000, UTC)
            end = "" if last is None else f" until {last:%Y-%m-%d %H:%M} UTC"
            who = f"{self.recipe.model}/{version} --device {device.name} --name NAME --reason WHY"
            return f"{WAITS_FOR}{end}: edgewright sign-off {who}"
        return f"published as release {own.release}" if own.release is not None else own.answer

    def _mark(self, version: str, known: Answered | None, asked: tuple[DeviceReason, ...]) -> str:
        """Return what tells this change from earlier ones; a change to and fro is one of its own each time.

        A change that is seen without depths has one mark for the watcher and the schedule, whoever sees it first.
        """
        ended = 0 if known is None else known.decided
        shallow, names = replace(self, depths=None), {each.device for each in asked}
        devices = [device for device in self.recipe.devices if device.name in names]
        if self.depths is None or any(shallow._on_device(version, device, known)[0] for device in devices):
            return f"recipe {self.recipe.digest} after {ended}"
        return f"{self.depths.answer_key(version)} after {ended}"

    def _was_taken_back(self, version: str) -> bool:
        """Tell whether a person went back from a version on a device; after a rollback, holds say what it may have."""
        for device in self.recipe.devices:
            deployed = self._deployed(device.name)
            if deployed is not None and deployed.rollback is None and self._had(version, device, deployed):
                return True
        return False

    def _was_left(self, version: str, device: DeviceProfile, deployed: DeployedRelease, own: AnsweredDevice) -> bool:
        """Tell whether a rollback left the release of an answer, or went back behind its version."""
        left = deployed.rollback is not None and deployed.rollback.left == own.release
        return left or self._had(version, device, deployed)

    def _had(self, version: str, device: DeviceProfile, deployed: DeployedRelease) -> bool:
        """Tell whether a device had a version that is newer than what is deployed there."""
        is_older = int(deployed.source_version) < int(version)
        return is_older and self.view.was_released(self.recipe.model, device.name, version)

    def _attempts(self, known: Answered | None) -> int:
        """Return how many runs under today's keys could not decide a version; without depths nobody knows."""
        if known is None or self.depths is None or known.key != self.depths.answer_key(known.version):
            return 0
        return known.attempts

    def _given_up(self, version: str, attempts: int) -> str:
        model = self.recipe.model
        return (
            f"version {version}: expected an answer, got none in {attempts} attempts; see its runs for the causes, and "
            f"ask again with edgewright compress {model} {version} --recipe {self.path}"
        )

    @property
    def _follows_alias(self) -> bool:
        """True where an alias says which version is wanted: a person's word, which no rule for newer ones overrides."""
        return isinstance(self.recipe.follow, FollowedAlias)

    def _deployed(self, device: str) -> DeployedRelease | None:
        return self.view.deployed_on(self.recipe.model, device)

    def _is_held(self, version: str, device: DeviceProfile) -> bool:
        return version in self._held_on(device.name)

    def _held_on(self, device: str) -> frozenset[str]:
        return self.view.held_on(self.recipe.model, device)

    def _own(self, known: Answered | None, device: DeviceProfile) -> AnsweredDevice | None:
        return None if known is None else known.devices.get(device.name)

    def _answered(self, version: str) -> Answered | None:
        return self.view.answered(self.recipe.model, version, self.recipe.name)

    def _everywhere(self, why: str) -> tuple[DeviceReason, ...]:
        return tuple(DeviceReason(device.name, why) for device in self.recipe.devices)

    def _waits(self, sentence: str) -> RecipePlan:
        return RecipePlan(self.path, self.recipe, (), waits=(sentence,))

    def _wanted(
        self, version: str, devices: tuple[DeviceReason, ...], mark: str, *, again: bool = False, back: bool = False
    ) -> WantedRun:
        return WantedRun(self.recipe.model, version, self.path, in_one(devices), mark, again, back, devices)
