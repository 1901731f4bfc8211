"""The parts of the family's benchmark: recipes that cannot drift, kept compressions, figures, and the client."""

import shutil
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest

from deployments.recipe import read_recipe
from edge_runtime.bundle import manifest_path, verify_bundle
from edge_runtime.install import DeviceStore, FolderSource, InstallSettings, Limits, Tuning, install, running
from edge_runtime.settings import TensorSpec
from tasks.repository import PINNED, keys_folder
from tasks.workspace import Workspace
from tests.benchmarks.delivery.retrained import Change
from tests.benchmarks.family import beside_members, new_head
from tests.benchmarks.family.asking_client import asking
from tests.benchmarks.family.beside_members import MODULE, BothSides, SeenTask
from tests.benchmarks.family.family_parents import family_recipe
from tests.benchmarks.family.kept_compressions import (
    TRIES,
    UNDECIDED,
    Compressed,
    compress_once,
    compress_until_decided,
)
from tests.benchmarks.family.member_recipes import hardest_device, write_recipes
from tests.benchmarks.family.new_head import HeadUpdate, changed_beside, updated
from tests.benchmarks.runtime.processes_at_once import alive
from tests.edge_runtime.install.carried import DEVICE, MODEL, Carried, rows
from tests.edge_runtime.made_families import MadeFamily, head
from tests.edge_runtime.processes import wait_until
from tests.edge_runtime.threaded_server import ThreadedServer, serving
from tests.edge_runtime.trust.repositories import SignedRepository

OWN = {"name", "model", "workload", "gates", "members", "backbone"}


def test_a_member_alone_has_the_settings_of_the_family_and_its_own_gates(tmp_path: Path) -> None:
    written = write_recipes(tmp_path)
    family = read_recipe(written.family)
    assert family.members and list(written.members) == [member.name for member in family.members]
    for member in family.members:
        alone = read_recipe(written.members[member.name])
        for field in type(alone).model_fields.keys() - OWN:
            assert getattr(alone, field) == getattr(family, field), field
        assert (alone.model, alone.workload, alone.gates) == (member.model, member.workload, member.gates)


def test_both_sides_have_the_shipped_settings_for_the_hardest_device(tmp_path: Path) -> None:
    shipped, written = family_recipe(), read_recipe(write_recipes(tmp_path).family)
    (device,) = written.devices
    assert device in shipped.devices and device.name == hardest_device(shipped)
    assert device.budgets.size_bytes == min(each.budgets.size_bytes for each in shipped.devices)
    assert (written.prune, written.ladder, written.members) == (shipped.prune, shipped.ladder, shipped.members)


class Runs:
    """Runs of the command line, which end with given codes."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.words: list[tuple[str, ...]] = []

    def __call__(self, _: Path, *words: str) -> int:
        self.words.append(words)
        return self.codes.pop(0)


def test_a_version_that_was_not_decided_is_asked_for_again(tmp_path: Path) -> None:
    run = Runs(UNDECIDED, 0)
    compress_until_decided(tmp_path, "m", "1", run=run)
    assert run.words == [("compress", "m", "1")] * 2
    for codes in ((1,), (UNDECIDED,) * TRIES):
        with pytest.raises(RuntimeError, match="expected a published release, got the exit code"):
            compress_until_decided(tmp_path, "m", "1", run=(refused := Runs(*codes)))
        assert refused.codes == []


def test_an_ended_compression_is_kept_and_an_interrupted_one_begins_anew(tmp_path: Path) -> None:
    recipe, prepared = write_recipes(tmp_path / "recipes").members["polarity"], list[Workspace]()

    def prepare(workspace: Workspace) -> None:
        assert list(workspace.home.iterdir()) == []
        (workspace.home / "begun").touch()
        prepared.append(workspace)

    with pytest.raises(RuntimeError, match="the exit code 1"):
        compress_once(recipe, prepare, tmp_path, Runs(1))
    run = Runs(0)
    first = compress_once(recipe, prepare, tmp_path, run)
    assert run.words == [("compress", "fashion-polarity", "1", "--recipe", str(recipe))]
    assert first.workspace == prepared[1] and (first.model, first.device) == ("fashion-polarity", "camera")
    assert compress_once(recipe, prepare, tmp_path, Runs()) == first
    assert len(prepared) == 2


def task(name: str, parent: float, apart: float, family: float, seconds: float = 100) -> SeenTask:
    return SeenTask(name, parent, apart, family, 50_000, 0.1, seconds, 1.5)


SIDES = BothSides(
    (task("hard", 0.8, 0.79, 0.795, 200), task("easy", 0.99, 0.984, 0.975)), 60_000, 0.12, 300, (290, 195), 3, 4, 2.25
)


def test_the_worst_and_the_hardest_task_are_named() -> None:
    made = {figure.figure: figure for figure in beside_members.figures(SIDES)}
    expected = {
        "bytes of the family, to those of 2 models apart": (0.6, False),
        "latency of all 2 answers to a row, to that of 2 models apart": (0.6, False),
        "private memory, to that of 2 models apart": (0.75, False),
        "most that a task loses to its model apart: easy": (0.9, True),
        "most that a task loses to its own parent: easy": (1.5, False),
        "time of compressing the family, to that of its hardest member, hard": (1.5, True),
    }
    for name, (value, holds) in expected.items():
        assert made[name].value == pytest.approx(value) and made[name].holds is holds, name


def test_the_table_has_a_line_for_each_task_with_its_differences() -> None:
    lines = beside_members.table(SIDES).splitlines()
    assert lines[2] == "| hard | 0.8000 | 0.7900 | 0.7950 | -0.50 | +0.50 | 50.0 kB | 100 us | 200 s, load 1.5 |"
    assert lines[3].startswith("| easy | 0.9900 | 0.9840 | 0.9750 | -1.50 | -0.90 |")
    assert lines[-1] == "The family: 60.0 kB, 120 us for all answers to a row, compressed in 300 s, load 2.2."


def test_failed_requests_and_other_graphs_miss_their_goals() -> None:
    good = new_head.figures(HeadUpdate(100_000, 10_000, 10_500, (), 900, ()))
    assert [figure.value for figure in good] == [1.05, 0.1, 0, 0] and all(figure.holds for figure in good)
    bad = new_head.figures(HeadUpdate(100_000, 10_000, 12_000, ("model.onnx",), 900, ("503: busy",)))
    assert [figure.holds for figure in bad] == [False, True, False, False]


def carried(folder: Path, version: int, garment: int, polarity: int) -> Carried:
    heads = {"garment": head("garment", garment), "polarity": head("polarity", polarity)}
    return MadeFamily(folder / f"made-{version}", heads).carry(folder, version)


def test_a_graph_that_changed_beside_the_head_is_named(tmp_path: Path) -> None:
    made = [carried(tmp_path, version, *kinds) for version, kinds in enumerate(((2, 2), (3, 2), (4, 3)), 1)]
    one, two, three = (verify_bundle(manifest_path(tmp_path, MODEL, DEVICE, each.digest)) for each in made)
    assert changed_beside(Change(one, two)) == ()
    assert changed_beside(Change(two, three)) == ("head.polarity.onnx",)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_device_that_is_asked_meanwhile_fetches_a_new_head(tmp_path: Path) -> None:
    family = Compressed(MODEL, DEVICE, 1, 1, 0, tmp_path / "home")
    signed = SignedRepository(family.workspace.target, now=datetime.now(UTC).replace(microsecond=0))
    keys_folder(family.home).mkdir()
    (keys_folder(family.home) / PINNED).write_bytes(signed.shipped)
    target, first = family.workspace.target, tmp_path / "first"
    for version in (1, 2):
        heads = {"garment": head("garment", version + 1), "polarity": head("polarity", 9)}
        signed.publish(MadeFamily(tmp_path / f"made-{version}", heads).carry(target, version).data, MODEL, DEVICE)
        if version == 1:
            shutil.copytree(target, first)
    change = Change(*family.releases())
    (device := tmp_path / "device").mkdir()
    found = updated(device, family, change, first, (rows(),))
    assert found.failures == found.beside == () and found.requests > 0
    assert 0 < found.changed <= found.fetched < found.whole + found.changed
    running_bundle = running(DeviceStore(device / "state", DEVICE), MODEL).bundle
    assert running_bundle.manifest.version == "2"


def test_a_process_loads_what_the_device_has_installed(tmp_path: Path) -> None:
    bundle = carried(tmp_path / "carried", 1, 2, 2)
    store = DeviceStore(tmp_path / "device", DEVICE)
    settings = InstallSettings(Limits(time_s=300, memory_mb=4000), Tuning(tuned_graph=False))
    install(store, MODEL, bundle.data, FolderSource(bundle.root), settings)
    with alive(1, str(store.root), DEVICE, MODEL, module=MODULE) as (one,):
        assert one.said == {}
    with alive(1, str(store.root), DEVICE, "nothing", module=MODULE) as lived:
        assert lived == []


class Answering(BaseHTTPRequestHandler):
    """Answers as version 1, and fails at each third request."""

    asked = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        Answering.asked += 1
        body = b'{"model_version": "1"}' if Answering.asked % 3 else b"{}"
        self.send_response(200 if Answering.asked % 6 else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_the_client_counts_answers_by_version_and_whatever_is_no_answer() -> None:
    row = {TensorSpec("x", "float32", (None, 2)): np.ones((1, 2), np.float32)}
    with (
        serving(ThreadedServer(("127.0.0.1", 0), Answering), None) as server,
        asking(server.origin.removeprefix("http://"), "m", row) as client,
    ):
        wait_until(lambda: client.answered["1"] >= 8, seconds=60)
    assert client.requests == Answering.asked == client.answered["1"] + len(client.failures)
    assert len(client.failures) == Answering.asked // 3
    assert {failure.partition(":")[0] for failure in client.failures} == {"KeyError('model_version')", "503"}
