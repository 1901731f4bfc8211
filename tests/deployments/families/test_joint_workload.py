"""Workloads of families: each task's own loss, score and words, and what does not fit on one backbone."""

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from deployments.answers import NOT_A_NUMBER, answers_of
from deployments.errors import ConfigurationError
from deployments.leaks import shared_rows
from deployments.workload import (
    DeploymentSample,
    Split,
    SplitName,
    Workload,
    check_leaks,
    check_row_of_outputs,
    read_sample,
    read_splits,
    soft_labels_of,
)
from tests.deployments.families.different_tasks import (
    TOTAL,
    Bright,
    Grouped,
    Images,
    Masks,
    Mean,
    family,
    images,
    outputs_for,
)

PARTS = {"bright": slice(0, 3), "mean": slice(3, 4), "masks": slice(4, TOTAL)}


def test_the_loss_is_the_weighted_sum_of_each_tasks_own_on_its_rows() -> None:
    workload = family()
    train = read_splits(workload)["train"]
    outputs = torch.from_numpy(outputs_for(len(train))).requires_grad_()
    got = workload.loss(outputs, torch.from_numpy(train.targets))
    expected = torch.zeros(())
    for weight, (name, own, truth) in zip((1, 0.5, 2), workload.known_targets(train.targets), strict=True):
        rows = ~np.isnan(train.targets[:, {"bright": 0, "mean": 1, "masks": 2}[name]])
        mine = outputs[torch.from_numpy(rows)][:, PARTS[name]]
        shaped = mine.reshape(-1, 2, 4, 4) if name == "masks" else mine
        expected = expected + weight * own.loss(shaped, torch.from_numpy(truth))
    torch.testing.assert_close(got, expected)
    got.backward()
    assert outputs.grad is not None
    unknown = np.isnan(train.targets[:, 1])
    assert unknown.any() and not outputs.grad[torch.from_numpy(unknown)][:, 3].any()


def test_a_batch_that_no_task_knows_has_no_loss_and_a_gradient() -> None:
    workload = family()
    width = read_splits(workload)["train"].targets.shape[1]
    outputs = torch.zeros(2, TOTAL, requires_grad=True)
    loss = workload.loss(outputs, torch.full((2, width), float("nan")))
    loss.backward()
    assert loss.item() == 0


def test_a_loss_that_fails_names_its_task() -> None:
    class Broken(Bright):
        def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            return F.cross_entropy(outputs, targets, reduction="none")

    workload = family(bright=Broken())
    train = read_splits(workload)["train"]
    with pytest.raises(ConfigurationError, match="task `bright`: expected one number as the loss of a batch"):
        workload.loss(torch.zeros(len(train), TOTAL), torch.from_numpy(train.targets))


def test_soft_labels_are_each_tasks_own_on_all_rows() -> None:
    workload = family()
    validation = read_splits(workload)["validation"]
    soft = soft_labels_of(workload, outputs_for(len(validation)), validation.targets)
    assert soft is not None
    student, teacher = (torch.from_numpy(outputs_for(5, seed)) for seed in (1, 2))
    expected = torch.zeros(())
    truths = {name: truth for name, _, truth in workload.known_targets(validation.targets)}
    for weight, (name, own) in zip((1, 0.5, 2), zip(PARTS, workload.of_models, strict=True), strict=True):
        shape = (5, 2, 4, 4) if name == "masks" else (5, -1)
        ours, theirs = (each[:, PARTS[name]].reshape(shape) for each in (student, teacher))
        alone = own.meaning.soft_labels(theirs.numpy(), truths[name])
        assert alone is not None
        expected = expected + weight * alone(ours, theirs, 4.0)
    torch.testing.assert_close(soft(student, teacher, 4.0), expected)
    assert soft(student, student, 4.0).abs() < 1e-6


def test_a_task_without_a_loss_of_soft_labels_leaves_the_family_without_one() -> None:
    class Own(Bright):
        task = "own"

        def predictions(self, outputs: np.ndarray) -> np.ndarray:
            return np.asarray(outputs.argmax(axis=1))

        def score(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
            return np.asarray(outputs.argmax(axis=1) == targets).astype(float)

    workload = family(bright=Own())
    validation = read_splits(workload)["validation"]
    assert soft_labels_of(workload, outputs_for(len(validation)), validation.targets) is None


def test_rows_are_answered_and_scored_by_their_own_task() -> None:
    workload = family()
    test = read_splits(workload)["test"]
    outputs = outputs_for(len(test))
    found = answers_of(workload, outputs, test.targets)
    for name, own in zip(PARTS, workload.of_models, strict=True):
        rows = np.flatnonzero(test.slices["task"] == name)
        mine = outputs[rows][:, PARTS[name]].reshape(len(rows), *((2, 4, 4) if name == "masks" else (-1,)))
        alone = answers_of(own, mine, own.split("test").targets)
        assert found.predictions[rows].tolist() == alone.predictions.tolist()
        np.testing.assert_array_equal(found.scores[rows], alone.scores)
    np.testing.assert_array_equal(workload.score(outputs, test.targets), found.scores)


def test_a_broken_head_breaks_the_rows_of_its_own_task_alone() -> None:
    workload = family()
    test = read_splits(workload)["test"]
    outputs = outputs_for(len(test))
    outputs[:, 0] = np.nan
    found = answers_of(workload, outputs, test.targets)
    broken = found.predictions == NOT_A_NUMBER
    assert broken.tolist() == (test.slices["task"] == "bright").tolist()


def test_the_answers_of_all_tasks_to_a_row_are_one_text() -> None:
    workload = family()
    assert workload.predictions(outputs_for(3))[0].startswith("bright ")
    assert ", mean " in workload.predictions(outputs_for(3))[0]
    assert workload.right_answers(read_splits(workload)["train"].targets[FIRST:]) is not None


FIRST = 24  # the rows from here on are of the mean alone


def test_outputs_of_another_size_are_refused() -> None:
    workload = family()
    splits = read_splits(workload)
    check_row_of_outputs(workload, (TOTAL,), splits)
    with pytest.raises(ConfigurationError, match=f"{TOTAL} numbers for each row, the outputs of all tasks"):
        check_row_of_outputs(workload, (TOTAL + 1,), splits)


def test_outputs_that_do_not_fit_a_members_task_name_it() -> None:
    class More(Bright):
        labels = ("left", "right", "none", "more")

    workload = family(bright=More())
    with pytest.raises(ConfigurationError, match=r"task `bright`: key `outputs`.* a column for each of the 4 `labels`"):
        check_row_of_outputs(workload, (TOTAL,), read_splits(workload))


def test_what_is_said_of_all_tasks() -> None:
    workload = family()
    assert workload.preprocessing == "as they are"
    assert workload.purpose.startswith("bright: Tells which of three parts of an image is bright. mean: Tells the mean")
    assert not workload.answers_are_shares and not workload.scores_are_errors and workload.answers_are_values
    shares = family(mean=Bright(), masks=Bright())
    assert shares.answers_are_shares and not shares.answers_are_values
    assert workload.data_version() is None and workload.group is None and workload.shared_rows is None


def test_the_version_of_the_data_is_that_of_all_members() -> None:
    class Dated(Bright):
        def data_version(self) -> str | None:
            return "2026-01"

    assert family(bright=Dated()).data_version() is None
    dated = family(bright=Dated(), mean=Dated(), masks=Dated())
    assert dated.data_version() == "bright: 2026-01; mean: 2026-01; masks: 2026-01"


def test_pictures_and_texts_are_those_of_the_rows_own_member() -> None:
    class Telling(Bright):
        def text(self, split: Split, row: int) -> str | None:
            assert split.targets.dtype == np.int64 and list(split.slices.columns) == ["label", "site"]
            return f"{split.slices['label'][row]} {split.targets[row]}"

    workload = family(bright=Telling())
    splits = read_splits(workload)
    test, train = splits["test"], splits["train"]
    row = int(np.flatnonzero(test.slices["task"] == "bright")[4])
    assert workload.text(test, row) == "right 1"
    assert workload.text(train, 2) == "none 2"
    assert workload.text(test, int(np.flatnonzero(test.slices["task"] == "mean")[0])) is None
    picture = workload.picture(test, row)
    assert picture is not None
    np.testing.assert_array_equal(picture, test.inputs[0][row])
    assert not workload.tells_text


class Flipped(Bright):
    """Changes rows for training."""

    def augment(self, inputs: tuple[torch.Tensor, ...], _generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        return tuple(each.flip(-1) for each in inputs)


def test_rows_are_changed_for_training_where_all_tasks_change_them_alike() -> None:
    rows = (torch.arange(4.0).reshape(1, 1, 1, 4),)
    alike = family(bright=Flipped(), mean=Flipped(), masks=Flipped())
    assert alike.augments and alike.augment(rows, torch.Generator())[0].flatten().tolist() == [3, 2, 1, 0]
    assert not family().augments and family().augment(rows, torch.Generator()) is rows
    with pytest.raises(ConfigurationError, match=r"the same `augment` of all tasks.* ones of bright and masks"):
        family(bright=Flipped())


def test_rows_that_are_prepared_in_two_ways_are_refused() -> None:
    class Scaled(Mean):
        preprocessing = "divided by 255"

    with pytest.raises(ConfigurationError, match=r"one `preprocessing` of all tasks.*'as they are' of bright and 'div"):
        family(mean=Scaled())


def test_inputs_of_another_form_are_refused() -> None:
    class Larger(Mean):
        def rows(self, name: SplitName) -> np.ndarray:
            return np.tile(super().rows(name), (1, 1, 2, 1))

    with pytest.raises(ConfigurationError, match=r"task `mean`: expected rows of the inputs float32 \(1, 4, 4\)"):
        read_splits(family(mean=Larger()))


def test_a_member_whose_rows_cannot_be_used_is_named() -> None:
    class Broken(Mean):
        def split(self, name: SplitName) -> Split:
            split = super().split(name)
            return split if name != "test" else Split(split.inputs, split.targets * np.nan, split.slices)

    with pytest.raises(ConfigurationError, match=r"task `mean`: workload `.*`: split `test`: expected finite numbers"):
        read_splits(family(mean=Broken()))


def test_a_members_column_of_the_name_task_is_refused() -> None:
    class Named(Mean):
        def split(self, name: SplitName) -> Split:
            split = super().split(name)
            return Split(split.inputs, split.targets, split.slices.assign(task="mine"))

    with pytest.raises(ConfigurationError, match="task `mean`: split `train`: expected no slice column task"):
        read_splits(family(mean=Named()))


class Leaking(Mean):
    """Its training rows have some of the others' test rows."""

    first, extra = 0, 0

    def rows(self, name: SplitName) -> np.ndarray:
        own = super().rows(name) + 1
        return own if name != "train" else np.concatenate([own, images("test", 0, 5)])


def test_a_training_row_of_one_task_may_be_no_test_row_of_another() -> None:
    workload = family(mean=Leaking())
    splits = read_splits(workload)
    with pytest.raises(ConfigurationError, match="10 of 48 test rows in train"):
        check_leaks(workload, splits)


def test_a_reason_excuses_the_rows_of_its_own_task_alone() -> None:
    class Excused(Bright):
        shared_rows = "the plant has only these"

    class Both(Masks):
        shared_rows = "the plant has only these"

    one = family(bright=Excused(), mean=Leaking())
    assert one.shared_rows == "bright: the plant has only these"
    with pytest.raises(ConfigurationError, match="5 of 16 test rows in train"):
        check_leaks(one, read_splits(one))
    both = family(bright=Excused(), mean=Leaking(), masks=Both())
    assert [each.rows for each in check_leaks(both, read_splits(both)) if each.is_leak] == [10]


def test_groups_are_those_of_the_members_that_have_some() -> None:
    workload = family(bright=Grouped())
    splits = read_splits(workload)
    assert workload.group == "patient"
    test = splits["test"].slices
    assert test["patient"][test["task"] == "bright"].nunique() == 4
    assert test["patient"][test["task"] != "bright"].is_unique
    assert splits["train"].slices["patient"][:4].nunique() == 1


def test_a_group_of_one_task_in_training_and_of_another_in_test_is_refused() -> None:
    class Later(Grouped):
        first = 100

        def split(self, name: SplitName) -> Split:
            split = super().split(name)
            patients = split.slices["patient"].str.replace("train-25", "test-0")
            return Split(split.inputs, split.targets, split.slices.assign(patient=patients))

    with pytest.raises(ConfigurationError, match="expected every patient, which is the workload's `group`"):
        read_splits(family(bright=Grouped(), mean=Later()))


def test_two_columns_of_groups_are_refused() -> None:
    class Machines(Mean):
        group = "machine"

    with pytest.raises(ConfigurationError, match=r"one `group` of all tasks.* patient of bright and machine of mean"):
        family(bright=Grouped(), mean=Machines())


def test_rows_of_the_sites_are_those_of_all_members() -> None:
    class Sampled(Bright):
        def deployment_sample(self) -> DeploymentSample | None:
            slices = pd.DataFrame({"site": [0, 1, 0]})
            return DeploymentSample((images("test", 500, 3),), slices, np.array([0, 1, 2]))

    class Unlabelled(Mean):
        def deployment_sample(self) -> DeploymentSample | None:
            return DeploymentSample((images("test", 501, 3),), pd.DataFrame({"size": [1.0, 2.0, 3.0]}))

    workload = family(bright=Sampled(), mean=Unlabelled())
    sample = read_sample(workload, read_splits(workload))
    assert len(sample) == 4 and list(sample.slices.columns) == ["bright.site", "mean.size"]
    assert sample.targets is not None and np.isnan(sample.targets[3]).all()
    none = family()
    with pytest.raises(ConfigurationError, match="expected rows for the recipe's `representativeness`, got None"):
        read_sample(none, read_splits(none))


def test_a_workload_of_one_model_has_one_task() -> None:
    workload: Workload = Bright()
    splits = read_splits(workload)
    outputs = outputs_for(16)[:, :3]
    assert workload.asked(outputs, splits["test"].targets) is None
    assert workload.of_tasks(outputs) == ((workload, outputs),)
    assert list(workload.judged(splits)) == [(splits, None)]
    assert shared_rows(splits) and isinstance(workload, Images)
