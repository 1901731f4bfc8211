"""Marks of processes, by which files are named."""

from tasks.processes import Process, has_ended_by_mark
from tests.tasks.processes import line, running

TOLD = """
    import sys
    from tasks.processes import Process

    print(Process.this().mark, flush=True)
    sys.stdin.readline()
"""


def test_a_mark_tells_whether_its_process_lives() -> None:
    assert has_ended_by_mark(Process.this().mark) is False
    with running(TOLD) as process:
        mark = line(process)
        assert has_ended_by_mark(mark) is False
        process.kill()
        process.wait()
    assert has_ended_by_mark(mark) is True


def test_a_mark_of_elsewhere_and_what_is_none_tell_nothing() -> None:
    _, pid, started = Process.this().mark.split("-")
    for mark in (f"0123456789ab-{pid}-{started}", "", "2.json", f"{Process.this().mark.split('-')[0]}-x-y"):
        assert has_ended_by_mark(mark) is None
