"""Keys of answers: everything whose change asks for a new one, and nothing else."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from deployments.device import DeviceProfile
from deployments.recipe import Recipe
from deployments.rows import DeploymentSample
from deployments.workload import Split, SplitName
from tasks import job as module
from tasks.job import Job
from tasks.workspace import Workspace
from tests.tasks import tiny


class Other(tiny.Blobs):
    """The same rows by another class of the same module."""


class Dated(tiny.Blobs):
    """Rows whose version somebody names."""

    version = "of Monday"

    def data_version(self) -> str:
        return self.version


def relabelled(job: Job, name: SplitName) -> Job:
    """The job with the labels of a split in another order."""
    split = job.splits[name]
    return replace(job, splits={**job.splits, name: replace(split, targets=np.roll(split.targets, 1))})


def resliced(job: Job, name: SplitName) -> Job:
    split = job.splits[name]
    slices = split.slices.assign(site=split.slices["site"].to_numpy()[::-1])
    return replace(job, splits={**job.splits, name: replace(split, slices=slices)})


def with_inputs(job: Job, name: SplitName) -> Job:
    split = job.splits[name]
    (points,) = (array.copy() for array in split.inputs)
    points[-1, -1] += 1e-3
    return replace(job, splits={**job.splits, name: replace(split, inputs=(points,))})


def sampled(job: Job, shift: float) -> Job:
    split = job.splits["test"]
    return replace(job, sample=DeploymentSample((split.inputs[0] + np.float32(shift),), split.slices))


CHANGES: dict[str, Callable[[Job], Job]] = {
    "another model under the number": lambda job: replace(job, identity="made anew"),
    "labels of test": lambda job: relabelled(job, "test"),
    "labels of train": lambda job: relabelled(job, "train"),
    "one value of calibration": lambda job: with_inputs(job, "calibration"),
    "slices of validation": lambda job: resliced(job, "validation"),
    "a deployment sample": lambda job: sampled(job, 0.0),
    "another class": lambda job: replace(job, workload=Other()),
    "a named version of the data": lambda job: replace(job, workload=Dated()),
    "a key of the recipe": lambda job: replace(job, recipe=job.recipe.model_copy(update={"critical_weight": 2.0})),
}


@pytest.fixture
def asked(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return tiny.job(Workspace.at(tmp_path_factory.mktemp("home")))


@pytest.mark.parametrize("change", CHANGES)
def test_what_an_answer_depends_on_asks_for_a_new_one(asked: Job, change: str) -> None:
    changed = CHANGES[change](asked)
    assert changed.run_key != asked.run_key
    assert changed.device_key(tiny.device()) != asked.device_key(tiny.device())
    assert changed.answer_key != asked.answer_key
    assert changed.question_key(tiny.device()) != asked.question_key(tiny.device())


@pytest.mark.parametrize("part", ["libraries", "code_digests"])
def test_a_new_toolchain_asks_for_a_new_answer_to_the_same_question(
    asked: Job, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    device, again = tiny.device(), replace(asked)
    before = asked.device_key(device), asked.question_key(device)
    monkeypatch.setattr(module, part, lambda *_: {"another": "one"})
    assert again.device_key(device) != before[0]
    assert again.question_key(device) == before[1]
    assert again.question_key(device.model_copy(update={"threads": 2})) != before[1]


@pytest.mark.parametrize("part", ["code_digest", "custom_metrics_digest"])
def test_a_line_of_edgewrights_own_or_of_a_library_is_no_other_question(
    asked: Job, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    device, again = tiny.device(), replace(asked)
    before = asked.run_key, asked.question_key(device)
    monkeypatch.setattr(module, part, lambda *_: "of other sources")
    assert again.run_key != before[0]
    assert again.question_key(device) == before[1]


def test_a_key_that_a_release_adds_with_a_default_is_no_other_question(asked: Job) -> None:
    class Newer(Recipe):
        added: float = 0.5

    class NewerProfile(DeviceProfile):
        added: str | None = None

    device = tiny.device()
    newer = replace(asked, recipe=Newer.model_construct(**dict(asked.recipe)))
    profile = NewerProfile.model_construct(**dict(device))
    assert newer.question_key(profile) == asked.question_key(device)
    stated = Newer.model_construct(**dict(asked.recipe), added=0.6)
    assert replace(asked, recipe=stated).question_key(device) != asked.question_key(device)


def test_the_same_question_has_the_same_key_in_another_home(asked: Job) -> None:
    again = tiny.job(Workspace.at(asked.workspace.home / "elsewhere"))
    assert (again.run_key, again.answer_key) == (asked.run_key, asked.answer_key)


def test_another_sample_is_another_question(asked: Job) -> None:
    assert sampled(asked, 0.0).run_key == sampled(asked, 0.0).run_key
    assert sampled(asked, 0.0).run_key != sampled(asked, 0.5).run_key


def test_a_device_is_a_question_of_its_own(asked: Job) -> None:
    """A device that is added or changed leaves the keys of the version and of the others as they are."""
    one, two = tiny.device(), tiny.device(name="two")
    more = replace(asked, recipe=asked.recipe.model_copy(update={"devices": (one, two)}))
    assert more.run_key == asked.run_key
    assert more.device_key(one) == asked.device_key(one)
    assert more.device_key(two) != asked.device_key(one)
    assert more.answer_key != asked.answer_key
    assert more.device_key(one.model_copy(update={"threads": 2})) != asked.device_key(one)


def test_data_with_a_version_are_not_digested(asked: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Split, "digest", property(lambda _: pytest.fail("it was digested")))
    dated = replace(asked, workload=Dated())
    assert dated.data == {"data_version": "of Monday"}
    monkeypatch.setattr(Dated, "version", "of Tuesday")
    assert replace(asked, workload=Dated()).run_key != dated.run_key


def test_data_without_a_version_are_told_by_their_digests(asked: Job) -> None:
    assert asked.data == {name: split.digest for name, split in asked.splits.items()}
    assert sampled(asked, 0.0).data.keys() == asked.data.keys() | {"deployment"}
