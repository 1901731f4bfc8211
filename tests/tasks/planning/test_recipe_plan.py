"""The runs that a recipe wants, read off the registry: new versions, what an alias names, what changed, old answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deployments.device import DeviceProfile
from deployments.recipe import Recipe
from tasks.answer_parts import AnswerKeys, profile_parts, recipe_parts
from tasks.planning import MOST_ATTEMPTS, RecipePlan, plan_recipe
from tasks.registry import Answered, AnsweredDevice, DeployedRelease, RegistryView, Rollback
from tests.tasks.tiny import recipe as tiny_recipe

NOW = datetime(2026, 11, 27, tzinfo=UTC)
RELEASE = 7


@pytest.fixture
def recipe() -> Recipe:
    """A recipe for one device."""
    return tiny_recipe()


@pytest.fixture
def two(recipe: Recipe) -> Recipe:
    """The recipe for two devices."""
    return recipe.model_copy(update={"devices": (*recipe.devices, recipe.devices[0].model_copy(update={"name": "b"}))})


def parts_of(recipe: Recipe) -> dict[str, dict[str, str]]:
    """The parts that a watcher knows, by device."""
    return {device.name: {**recipe_parts(recipe), **profile_parts(device)} for device in recipe.devices}


def answered(recipe: Recipe, version: str, answer: str, days: float = 0, **changed: Any) -> Answered:
    """An answer to a version, the same on each device, from so many days ago."""
    own = changed.pop("own", {})
    released = RELEASE if answer == "published" else None
    devices = {
        name: AnsweredDevice(answer, "key", "question", release=released, parts=parts, **own)
        for name, parts in parts_of(recipe).items()
    }
    ended = int(1000 * (NOW - timedelta(days=days)).timestamp())
    decided = 0 if answer == "undecided" else ended
    said = {"run": f"run {version}", "ended": ended, "decided": decided, "key": "all", "devices": devices, **changed}
    return Answered(recipe.model, version, recipe.name, answer=answer, **said)


def view(recipe: Recipe, *known: Answered, versions: str = "123", **changed: Any) -> RegistryView:
    """A registry with so many versions and these answers; what is published is deployed on each device."""
    edges = [f"{recipe.model}-{device.name}" for device in recipe.devices]
    release, source = changed.pop("deployed", (0, ""))
    sources, rollback = changed.pop("released", source), changed.pop("rollback", None)
    by = changed.pop("by", recipe.name)
    held = frozenset(changed.pop("held", ""))
    return RegistryView(
        versions={recipe.model: tuple(versions)},
        answers={(recipe.model, each.version): {each.recipe: each} for each in known},
        aliases={recipe.model: changed.pop("aliases", {})},
        deployed={edge: DeployedRelease(release, source, None, rollback, by) for edge in edges} if release else {},
        held={edges[0]: held},
        released={edge: frozenset(sources) for edge in edges},
        **changed,
    )


def planned(recipe: Recipe, seen: RegistryView, depths: Any = None) -> RecipePlan:
    return plan_recipe("tiny", recipe, seen, NOW, depths)


def asked(recipe: Recipe, seen: RegistryView) -> list[str]:
    """Return the versions that are wanted."""
    return [each.version for each in planned(recipe, seen).wanted]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({}, ["1", "2", "3"]),
        ({"1": "published"}, ["2", "3"]),
        ({"2": "refused"}, ["3"]),
        ({"3": "error"}, []),
        ({"1": "published", "2": "undecided"}, ["2", "3"]),
        ({"1": "published", "2": "refused", "3": "published"}, []),
    ],
)
def test_versions_after_the_last_answered_one_are_wanted(
    recipe: Recipe, answers: dict[str, str], expected: list[str]
) -> None:
    assert asked(recipe, view(recipe, *(answered(recipe, *each) for each in answers.items()))) == expected


def test_versions_are_numbers(recipe: Recipe) -> None:
    seen = replace(view(recipe, answered(recipe, "9", "published")), versions={recipe.model: ("9", "10")})
    assert asked(recipe, seen) == ["10"]


def test_the_newest_alone_where_it_supersedes(recipe: Recipe) -> None:
    recipe = recipe.model_copy(update={"newer": "supersede"})
    assert asked(recipe, view(recipe, answered(recipe, "1", "published"))) == ["3"]


def test_a_model_that_nobody_registered_waits(recipe: Recipe) -> None:
    plan = planned(recipe, view(recipe, versions=""))
    assert not plan.wanted and plan.waits == (f"nobody has registered a version of the model {recipe.model}",)


def test_what_an_older_release_answered_is_not_new(recipe: Recipe) -> None:
    seen = view(recipe, told={recipe.model: frozenset({"1", "2", "3"})})
    (wanted,) = planned(recipe, seen).wanted
    assert (wanted.version, wanted.cause) == ("3", "recipe tiny has no answer to version 3 yet")


def test_another_recipe_of_the_model_has_answers_of_its_own(recipe: Recipe) -> None:
    seen = view(recipe, replace(answered(recipe, "3", "published"), recipe="other"))
    (wanted,) = planned(recipe, seen).wanted
    assert wanted.cause == "recipe tiny has no answer to version 3 yet"


def test_a_changed_key_of_the_recipe_asks_for_the_newest_and_says_which(recipe: Recipe) -> None:
    seen = view(recipe, answered(recipe, "2", "published"), answered(recipe, "3", "refused"))
    assert asked(recipe, seen) == []
    heavier = recipe.model_copy(update={"critical_weight": 3.0})
    (wanted,) = planned(heavier, seen).wanted
    assert (wanted.version, wanted.cause) == ("3", "critical_weight of the recipe changed")
    (heaviest,) = planned(recipe.model_copy(update={"critical_weight": 4.0}), seen).wanted
    assert heaviest.key != wanted.key


@pytest.mark.parametrize("changes", [{"again_after_days": 300.0}, {"newer": "supersede"}, {"layer_losses": False}])
def test_when_to_run_is_no_reason_to_run(recipe: Recipe, changes: dict[str, Any]) -> None:
    seen = view(recipe, answered(recipe, "3", "published"))
    assert asked(recipe.model_copy(update=changes), seen) == []


def test_a_changed_or_new_device_is_asked_alone(recipe: Recipe, two: Recipe) -> None:
    seen = view(two, answered(two, "3", "published"), deployed=(RELEASE, "3"))
    first, second = two.devices
    changed = two.model_copy(update={"devices": (first, second.model_copy(update={"threads": 2}))})
    plan = planned(changed, seen)
    ((wanted,), (stands,)) = plan.wanted, plan.stands
    assert [(each.device, each.why) for each in wanted.devices] == [("b", "threads of the device profile changed")]
    assert (stands.device, stands.why) == (first.name, f"published as release {RELEASE}")
    (new,) = planned(two, view(recipe, answered(recipe, "3", "published"))).wanted
    assert [(each.device, each.why) for each in new.devices] == [("b", "the device is new in the recipe")]


def test_what_a_person_went_back_from_is_left_to_persons(recipe: Recipe) -> None:
    changed = recipe.model_copy(update={"critical_weight": 3.0})
    known = answered(recipe, "1", "published"), answered(recipe, "3", "published")
    left = planned(changed, view(recipe, *known, deployed=(8, "1"), released={"1", "3"}))
    assert not left.wanted and "was taken back from" in left.waits[0]
    assert asked(changed, view(recipe, *known, deployed=(8, "1"), released={"1"})) == ["3"]  # it was refused, not left


def test_what_an_alias_names_is_never_left_to_persons(recipe: Recipe) -> None:
    changed = recipe.model_copy(update={"critical_weight": 3.0})
    follows = Recipe.model_validate({**dict(changed), "follow": {"alias": "champion"}})
    seen = view(recipe, answered(recipe, "2", "refused"), aliases={"champion": "2"}, deployed=(8, "1"), released="12")
    (wanted,) = planned(follows, seen).wanted
    assert (wanted.version, wanted.back) == ("2", True)


def test_watcher_and_schedule_want_the_same_run_of_a_change_that_both_see(recipe: Recipe) -> None:
    changed = recipe.model_copy(update={"critical_weight": 3.0})
    seen = view(recipe, answered(recipe, "3", "refused"))
    (watched,), (scheduled,) = (
        planned(changed, seen).wanted,
        planned(changed, seen, Known(today(changed, "new", "new"))).wanted,
    )
    assert watched.key == scheduled.key


BACK: dict[str, Any] = {
    "deployed": (8, "1"),
    "rollback": Rollback(RELEASE, 1, "Ada", "today", "it fails"),
    "released": {"1", "3"},
}


def test_what_is_held_is_not_wanted_whatever_changed_until_it_is_lifted(recipe: Recipe) -> None:
    known = answered(recipe, "3", "published")
    heavier = recipe.model_copy(update={"critical_weight": 3.0})
    for changed in (recipe, heavier):
        plan = planned(changed, view(recipe, known, held="3", **BACK))
        assert not plan.wanted and plan.stands[0].why == "version 3 is held back"
    (wanted,) = planned(recipe, view(recipe, known, **BACK)).wanted
    assert (wanted.version, wanted.cause) == ("3", "version 3 is held no more")
    refused = view(recipe, answered(recipe, "3", "refused"), **BACK)
    assert asked(recipe, refused) == []  # it was asked for once more, and gates answered


def test_what_is_held_is_not_wanted_for_its_age(recipe: Recipe) -> None:
    recipe = recipe.model_copy(update={"again_after_days": 30.0})
    assert asked(recipe, view(recipe, answered(recipe, "3", "published", 99), held="3", **BACK)) == []


def test_a_newer_version_than_the_held_one_is_wanted(recipe: Recipe) -> None:
    seen = view(recipe, answered(recipe, "3", "published"), versions="1234", held="3", **BACK)
    assert asked(recipe, seen) == ["4"]


def test_a_device_without_a_hold_is_served_beside_one_that_has_it(two: Recipe) -> None:
    heavier = two.model_copy(update={"critical_weight": 3.0})
    seen = view(two, answered(two, "3", "published"), held="3", deployed=(RELEASE, "3"))
    (wanted,) = planned(heavier, seen).wanted
    assert [each.device for each in wanted.devices] == ["b"]


def test_an_alias_that_names_a_held_version_starts_nothing(recipe: Recipe) -> None:
    recipe = Recipe.model_validate({**dict(recipe), "follow": {"alias": "champion"}})
    known = answered(recipe, "3", "published")
    assert asked(recipe, view(recipe, known, aliases={"champion": "3"}, held="3", **BACK)) == []
    assert asked(recipe, view(recipe, known, aliases={"champion": "3"}, **BACK)) == ["3"]


def test_an_attempt_at_an_old_answer_that_decided_nothing_is_made_again(recipe: Recipe) -> None:
    recipe = recipe.model_copy(update={"again_after_days": 30.0})
    known = answered(recipe, "3", "refused", 31)
    tried = replace(known, answer="undecided", ended=int(1000 * NOW.timestamp()), attempts=1)
    (first,), (second,) = (planned(recipe, view(recipe, each)).wanted for each in (known, tried))
    assert first.key == second.key


def test_an_old_answer_is_not_asked_for_where_a_newer_version_is_deployed(recipe: Recipe) -> None:
    recipe = recipe.model_copy(update={"again_after_days": 30.0})
    known = answered(recipe, "1", "refused", 31)
    assert not planned(recipe, view(recipe, known, versions="1", deployed=(8, "2"))).wanted


@pytest.mark.parametrize(("days", "expected"), [(29.0, []), (31.0, ["3"])])
def test_an_old_answer_is_asked_for_again(recipe: Recipe, days: float, expected: list[str]) -> None:
    recipe = recipe.model_copy(update={"again_after_days": 30.0})
    found = planned(recipe, view(recipe, answered(recipe, "3", "published", days))).wanted
    assert [each.version for each in found] == expected
    assert all(each.again and each.cause == "the answer to version 3 is 31 days old" for each in found)


@pytest.mark.parametrize(
    ("alias", "answers", "deployed", "expected", "back"),
    [
        ({}, {}, (0, ""), [], False),
        ({"other": "2"}, {}, (0, ""), [], False),
        ({"champion": "2"}, {}, (0, ""), ["2"], False),
        ({"champion": "2"}, {"1": "published"}, (1, "1"), ["2"], False),
        ({"champion": "2"}, {"2": "published"}, (1, "2"), [], False),
        ({"champion": "2"}, {"2": "refused"}, (1, "1"), [], False),
        ({"champion": "2"}, {"2": "undecided"}, (1, "1"), ["2"], False),
        ({"champion": "1"}, {"1": "published", "2": "published"}, (2, "2"), ["1"], True),
        ({"champion": "1"}, {"2": "published"}, (2, "2"), ["1"], True),
        ({"champion": "3"}, {"2": "published", "3": "error"}, (2, "2"), [], False),
    ],
)
def test_an_alias_names_what_is_wanted_and_back_is_a_release_of_its_own(
    recipe: Recipe, alias: dict[str, str], answers: dict[str, str], deployed: tuple[int, str], expected: list[str],
    back: bool,
) -> None:  # fmt: skip
    recipe = Recipe.model_validate({**dict(recipe), "follow": {"alias": "champion"}})
    known = (answered(recipe, *each) for each in answers.items())
    found = planned(recipe, view(recipe, *known, aliases=alias, deployed=deployed)).wanted
    assert [each.version for each in found] == expected
    assert all(each.back is back for each in found)


def test_an_alias_asks_only_the_devices_that_neither_have_nor_refused_it(two: Recipe) -> None:
    two = Recipe.model_validate({**dict(two), "follow": {"alias": "champion"}})
    known = answered(two, "2", "published")
    first, second = (device.name for device in two.devices)
    refused = replace(known.devices[second], answer="refused", release=None)
    partly = replace(known, answer="partly published", devices={first: known.devices[first], second: refused})
    seen = view(two, partly, aliases={"champion": "2"}, deployed=(RELEASE, "2"))
    assert not planned(two, replace(seen, deployed={f"{two.model}-{first}": DeployedRelease(RELEASE, "2")})).wanted
    moved = planned(two, replace(seen, deployed={f"{two.model}-{first}": DeployedRelease(8, "1")}))
    assert [[each.device for each in run.devices] for run in moved.wanted] == [[first]]


def test_an_alias_that_goes_to_and_fro_wants_a_run_each_time(recipe: Recipe) -> None:
    recipe = Recipe.model_validate({**dict(recipe), "follow": {"alias": "champion"}})
    known = answered(recipe, "1", "published"), answered(recipe, "2", "published")
    keys = [
        planned(recipe, view(recipe, *known, aliases={"champion": to}, deployed=deployed)).wanted[0].key
        for to, deployed in (("1", (2, "2")), ("2", (3, "1")), ("1", (4, "2")))
    ]
    assert len(set(keys)) == 3


@dataclass(frozen=True)
class Known:
    """Knowledge of somebody who can read the workload: the keys of today, and whether bundles are there."""

    today: Mapping[str, AnswerKeys]
    all_devices: str = "all"
    there: bool = True
    left: bool = False
    waits: bool = True
    read: list[str] = field(default_factory=list)

    def keys(self, version: str) -> Mapping[str, AnswerKeys]:
        self.read.append(version)
        return self.today

    def answer_key(self, _version: str) -> str:
        return self.all_devices

    def is_there(self, _device: DeviceProfile, _release: int) -> bool:
        return self.there

    def looks_are_left(self, _version: str, _device: DeviceProfile) -> bool:
        return self.left

    def still_waits(self, _version: str, _device: DeviceProfile) -> bool:
        return self.waits


def today(recipe: Recipe, key: str = "key", question: str = "question", **parts: str) -> dict[str, AnswerKeys]:
    """The keys of today, where some parts changed."""
    return {name: AnswerKeys(key, question, {**own, **parts}) for name, own in parts_of(recipe).items()}


def test_a_library_asks_again_for_what_is_published_and_not_for_what_was_refused_on_its_answers(recipe: Recipe) -> None:
    new = Known(today(recipe, "new", **{"library/onnxruntime": "1.31.1"}))
    published = view(recipe, answered(recipe, "3", "published"), deployed=(RELEASE, "3"))
    (wanted,) = planned(recipe, published, new).wanted
    assert wanted.cause == "onnxruntime - > 1.31.1"
    refused = planned(recipe, view(recipe, answered(recipe, "3", "refused", own={"final": True})), new)
    assert not refused.wanted and "no second chance" in refused.stands[0].why
    too_large = planned(recipe, view(recipe, answered(recipe, "3", "refused")), new)
    assert [run.cause for run in too_large.wanted] == ["onnxruntime - > 1.31.1"]
    by_hand = Known(today(recipe, "new", "another question", **{"rows/test": "new"}))
    asked_again = planned(recipe, view(recipe, answered(recipe, "3", "refused", own={"final": True})), by_hand)
    assert [run.cause for run in asked_again.wanted] == ["the rows of test changed"]


def test_what_nobody_can_name_is_a_reason_too(recipe: Recipe) -> None:
    (wanted,) = planned(recipe, view(recipe, answered(recipe, "3", "refused")), Known(today(recipe, "new"))).wanted
    assert wanted.cause == "something that its answer depends on changed"


@pytest.mark.parametrize(
    ("there", "deployed", "wants"),
    [
        (True, (RELEASE, "3"), False),
        (False, (RELEASE, "3"), True),
        (False, (RELEASE + 1, "3"), False),  # it was replaced: a later one is there
        (True, (0, ""), True),
    ],
)
def test_a_published_answer_needs_its_bundle(
    recipe: Recipe, there: bool, deployed: tuple[int, str], wants: bool
) -> None:
    seen = view(recipe, answered(recipe, "3", "published"), deployed=deployed)
    found = planned(recipe, seen, Known(today(recipe), there=there)).wanted
    assert [run.cause for run in found] == ["its bundle is no longer where it was published"] * wants


@pytest.mark.parametrize("left", [True, False])
def test_what_was_withheld_waits_for_looks(recipe: Recipe, left: bool) -> None:
    seen = view(recipe, answered(recipe, "3", "refused", own={"withheld": True}))
    assert bool(planned(recipe, seen, Known(today(recipe), left=left)).wanted) is left


UNTOLD = "persons have decided, and its answer does not tell"
OVERTAKEN = "another release was deployed while it waited for sign-off"
LATER, EARLIER = (int(1000 * (NOW + timedelta(days=days)).timestamp()) for days in (1, -1))


@pytest.mark.parametrize(
    ("own", "deployed", "waits", "why"),
    [
        ({"against": None, "until": LATER}, (0, ""), True, None),
        ({"against": 6, "until": LATER}, (6, "2"), True, None),
        ({"against": 6, "until": LATER}, (7, "2"), True, OVERTAKEN),
        ({"against": None, "until": LATER}, (1, "2"), True, OVERTAKEN),
        ({"against": 6, "until": LATER}, (7, "3"), True, None),  # signed a moment ago
        ({"against": 6, "until": LATER}, (7, "3"), False, UNTOLD),
        ({"against": 6, "until": EARLIER}, (6, "2"), True, "nobody signed in time"),
        ({"against": 6, "until": LATER}, (6, "2"), False, UNTOLD),
    ],
)
def test_what_waits_for_persons_is_left_to_them_until_it_is_over(
    recipe: Recipe, own: dict[str, Any], deployed: tuple[int, str], waits: bool, why: str | None
) -> None:
    seen = view(recipe, answered(recipe, "3", "waiting", own=own), deployed=deployed)
    plan = planned(recipe, seen, Known(today(recipe), waits=waits))
    assert [run.cause for run in plan.wanted] == ([] if why is None else [why])
    told = "version 3 on bench waits for sign-off until 2026-11-28 00:00 UTC: edgewright sign-off tiny/3 --device bench"
    assert [each.partition(" --name")[0] for each in plan.waits] == ([told] if why is None else [])
    assert not plan.stands
    if waits:  # a watcher, which reads no workload, sees it too
        assert [run.cause for run in planned(recipe, seen).wanted] == ([] if why is None else [why])


def test_a_release_of_the_same_version_under_another_recipe_overtakes_what_waits(recipe: Recipe) -> None:
    known = answered(recipe, "3", "waiting", own={"against": 6, "until": LATER})
    (wanted,) = planned(recipe, view(recipe, known, deployed=(7, "3"), by="other")).wanted
    assert wanted.cause == OVERTAKEN


def test_what_waits_is_left_alone_where_an_alias_names_it(recipe: Recipe) -> None:
    recipe = Recipe.model_validate({**dict(recipe), "follow": {"alias": "champion"}})
    known = answered(recipe, "2", "waiting", own={"against": RELEASE, "until": LATER})
    assert not planned(recipe, view(recipe, known, aliases={"champion": "2"}, deployed=(RELEASE, "1"))).wanted


@pytest.mark.parametrize(
    ("attempts", "key", "wants"),
    [(MOST_ATTEMPTS - 1, "all", True), (MOST_ATTEMPTS, "all", False), (MOST_ATTEMPTS, "before", True)],
)
def test_what_cannot_be_decided_is_asked_again_with_a_bound(
    recipe: Recipe, attempts: int, key: str, wants: bool
) -> None:
    seen = view(recipe, answered(recipe, "3", "undecided", attempts=attempts, key=key), versions="3")
    plan = planned(recipe, seen, Known(today(recipe)))
    assert bool(plan.wanted) is wants and bool(plan.needs_a_person) is not wants


def test_no_workload_is_read_for_a_new_version(recipe: Recipe) -> None:
    known = Known(today(recipe))
    assert planned(recipe, view(recipe), known).wanted and not known.read


def test_an_undecided_device_of_a_decided_version_is_asked_again_with_a_bound(two: Recipe) -> None:
    second = two.devices[1].name
    known = answered(two, "3", "published")
    known = replace(known, devices={**known.devices, second: replace(known.devices[second], answer="undecided")})
    seen = view(two, known, deployed=(RELEASE, "3"))
    plan = planned(two, seen)
    assert [[each.device for each in run.devices] for run in plan.wanted] == [[second]]
    tried = replace(seen, answers={(two.model, "3"): {two.name: replace(known, attempts=MOST_ATTEMPTS)}})
    given_up = planned(two, tried, Known(today(two)))
    assert not given_up.wanted and "got none in 5 attempts" in given_up.needs_a_person[0]
    later = replace(tried, answers={(two.model, "3"): {two.name: replace(known, ended=known.ended + 1)}})
    assert planned(two, later).wanted[0].key == plan.wanted[0].key  # another attempt at the same run


@pytest.mark.parametrize("newer", ["finish", "supersede"])
def test_a_version_that_was_begun_is_finished_beside_a_newer_one(recipe: Recipe, newer: str) -> None:
    recipe = recipe.model_copy(update={"newer": newer})
    seen = view(recipe, answered(recipe, "1", "undecided"), answered(recipe, "3", "refused"))
    assert asked(recipe, seen) == (["1"] if newer == "finish" else [])


def test_a_version_that_is_older_than_what_is_deployed_waits_for_a_person(recipe: Recipe) -> None:
    plan = planned(recipe, view(recipe, versions="12", deployed=(RELEASE, "3")))
    assert not plan.wanted and all("a newer one is deployed" in sentence for sentence in plan.waits)


def test_what_waits_for_sign_off_is_not_asked_for_its_age(recipe: Recipe) -> None:
    recipe = recipe.model_copy(update={"again_after_days": 30.0})
    waiting = answered(recipe, "3", "waiting", 31, own={"until": int(1000 * NOW.timestamp()) + 1})
    assert asked(recipe, view(recipe, waiting)) == []


def test_an_alias_asks_for_a_changed_older_version_as_a_way_back(recipe: Recipe) -> None:
    recipe = Recipe.model_validate({**dict(recipe), "follow": {"alias": "champion"}})
    refused = answered(recipe, "1", "refused")
    changed = recipe.model_copy(update={"critical_weight": 3.0})
    (wanted,) = planned(changed, view(recipe, refused, aliases={"champion": "1"}, deployed=(RELEASE, "2"))).wanted
    assert (wanted.version, wanted.back) == ("1", True)
