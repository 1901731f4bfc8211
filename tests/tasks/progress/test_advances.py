"""Advances reach the one who listens, and cost nothing where nobody does."""

from pathlib import Path

from tasks.progress import Advance, as_task, steps, tell, told_to

ADVANCE = Advance("rungs", 1, 2, "PTQ: it holds", "camera")


def test_an_advance_reaches_the_innermost_listener_alone() -> None:
    outer: list[Advance] = []
    inner: list[Advance] = []
    tell(ADVANCE)
    with told_to(outer.append):
        tell(ADVANCE)
        with told_to(inner.append):
            tell(Advance("gates", 1, 1, "pass"))
        with told_to(None):
            tell(ADVANCE)
    tell(ADVANCE)
    assert (outer, [each.stage for each in inner]) == ([ADVANCE], ["gates"])


def test_the_steps_of_a_training_are_advances() -> None:
    heard: list[Advance] = []
    with told_to(heard.append), steps("fine-tuning round 1") as report:
        report(1, 40, 0.5, None)
        report(40, 40, 0.25, 0.875)
    assert [(each.stage, each.done, each.total, each.lines) for each in heard] == [
        ("training", 1, 40, ()),
        ("training", 40, 40, ()),
    ]
    assert heard[-1].said == "fine-tuning round 1: step 40 of 40, loss 0.250, validation 0.875"


def test_a_stage_is_no_task_where_nobody_listens() -> None:
    def produce(folder: Path) -> str:
        return folder.name

    assert as_task("measure", "measure camera", produce) is produce
