"""Publishers beside each other in processes of their own, and a device that reads all the time: nothing is lost."""

import multiprocessing
import random
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

from tasks.repository import FolderObjects
from tests.tasks.repository.publishers import Device, Publisher

TIMES, READY_S = 12, 300.0
SPAWN = multiprocessing.get_context("spawn")
"""New interpreters: a fork of a process in which Prefect has logged ends with 1, as Prefect waits for lost threads."""


def publish_many(folder: Path, model: str, device: str, begin: Barrier) -> None:
    publisher = Publisher(folder, FolderObjects(folder / "target"))
    begin.wait(READY_S)
    for number in range(TIMES):
        time.sleep(random.uniform(0, 0.01))
        publisher.repository().publish(model, device, f"{model} {device} {number}".encode())


def resign_many(folder: Path, begin: Barrier) -> None:
    publisher = Publisher(folder, FolderObjects(folder / "target"))
    begin.wait(READY_S)
    for _ in range(TIMES):
        publisher.repository().resign()


def test_publishers_beside_each_other_lose_nothing_and_devices_verify_all_the_time(
    fresh: Callable[[], Publisher], tmp_path: Path
) -> None:
    publisher = fresh()
    asked = [("m", "camera"), ("n", "camera"), ("m", "gateway")]
    begin = SPAWN.Barrier(len(asked) + 2)
    work = [SPAWN.Process(target=publish_many, args=(publisher.folder, *each, begin)) for each in asked]
    work.append(SPAWN.Process(target=resign_many, args=(publisher.folder, begin)))
    for process in work:
        process.start()
    begin.wait(READY_S)
    device, seen, reads = Device.shipped(tmp_path / "device", publisher.store), [-1] * len(asked), 0
    while any(process.is_alive() for process in work):
        for at, each in enumerate(asked):
            found = device.manifest(*each)  # raises where anything does not verify, or is older than what it saw
            number = -1 if found in (None, b"first") else int(str(found, "ascii").split()[-1])
            assert number >= seen[at]
            seen[at], reads = number, reads + 1
    for process in work:
        process.join()
        assert process.exitcode == 0
    assert reads > 3
    assert [device.manifest(*each) for each in asked] == [
        f"{model} {name} {TIMES - 1}".encode() for model, name in asked
    ]
    published = {path.name for path in (publisher.folder / "target" / "targets" / "m" / "camera").iterdir()}
    assert len(published) == TIMES + 1
