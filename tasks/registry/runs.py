"""Runs, the pages of MLflow that people look at: one per version and recipe, with child runs per stage and device."""

import json
import logging
import re
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_LOGGED_ARTIFACTS, MLFLOW_PARENT_RUN_ID

from tasks.errors import RegistryError, one_line
from tasks.processes import Process
from tasks.registry.client import MISSING, all_pages, client_for, experiment_id, unavailable
from tasks.registry.run_owner import OWNER, owner_of, owner_tag, why_left

logger = logging.getLogger("edgewright")
KEY = "edgewright.run_key"
STAGE = "edgewright.stage"
VERSION = "edgewright.version"
MODEL = "edgewright.model"
DEVICE = "edgewright.device"
DEVICE_KEY = "edgewright.device_key"
QUESTION_KEY = "edgewright.question_key"
ANSWER = "edgewright.answer"
UNDECIDED = "undecided"
"""The answer of a run that learned nothing of the version: it is asked again."""
WAITING = "waiting"
"""The answer of a run whose candidate passed its gates and waits for persons to sign."""
FAILED = ("error", UNDECIDED)
"""Answers of runs that failed."""
CLOSED = "edgewright.closed_because"
NOTE = "mlflow.note.content"
LONGEST_NAME = 250
LONGEST_DIGEST = 36


class Runs:
    """The runs of one upstream model, in an experiment of its own."""

    def __init__(self, tracking_uri: str, model: str) -> None:
        self.client: MlflowClient = client_for(tracking_uri)
        self.model = model
        self.experiment = experiment_id(self.client, f"edgewright-{model}")

    def parent(self, version: str, run_key: str, name: str, tags: Mapping[str, str]) -> str:
        """Return the run of this version and recipe; one that a killed process left behind is taken up again."""
        found = self.search({KEY: run_key, STAGE: "compress", VERSION: version})
        if found:
            return self._taken_up(found[0])
        fixed = {KEY: run_key, STAGE: "compress", MODEL: self.model, VERSION: version, **_own()}
        return str(self.client.create_run(self.experiment, run_name=name, tags={**tags, **fixed}).info.run_id)

    def child(self, parent: str, stage: str) -> str:
        """Return the child run of a stage or device; made where it is missing."""
        found = self.search({MLFLOW_PARENT_RUN_ID: parent, STAGE: stage})
        if found:
            return self._taken_up(found[0]) if CLOSED in found[0].data.tags else str(found[0].info.run_id)
        tags = {MLFLOW_PARENT_RUN_ID: parent, STAGE: stage, MODEL: self.model, **_own()}
        return str(self.client.create_run(self.experiment, run_name=stage, tags=tags).info.run_id)

    def find_child(self, parent: str, stage: str) -> str | None:
        """Return the child run of a stage; None where it has not begun."""
        found = self.search({MLFLOW_PARENT_RUN_ID: parent, STAGE: stage})
        return str(found[0].info.run_id) if found else None

    def device(self, parent: str, version: str, device: str, key: str, question: str = "") -> str:
        """Return the child run that works on a device's answer; one that gave an answer is not taken up again.

        `question` is the part of the key that people decide on.
        """
        for run in self.search({MLFLOW_PARENT_RUN_ID: parent, DEVICE_KEY: key}):
            if ANSWER not in run.data.tags:
                return self._taken_up(run)
        fixed = {STAGE: device, DEVICE: device, DEVICE_KEY: key, VERSION: version, MODEL: self.model, **_own()}
        tags = {MLFLOW_PARENT_RUN_ID: parent, QUESTION_KEY: question, **fixed}
        return str(self.client.create_run(self.experiment, run_name=_run_name(fixed), tags=tags).info.run_id)

    def name_by(self, run: str, answer: str) -> None:
        """Name the run of a version or a device with what came of it, such as `digits v3 camera: refused`."""
        name = _run_name(self.tags(run))
        if name:
            self.client.update_run(run, name=f"{name}: {answer}"[:LONGEST_NAME])

    def data(self, run: str, workload: str, splits: Mapping[str, tuple[int, str]]) -> None:
        """Log the data of a run as MLflow's datasets: for each split its number of rows and its sha256."""
        name = workload.rpartition(":")[2]
        inputs = [
            DatasetInput(
                Dataset(
                    name=f"{name} {split}",
                    digest=sha256[:LONGEST_DIGEST],
                    source_type="code",
                    source=json.dumps({"workload": workload, "split": split, "sha256": sha256}),
                    profile=json.dumps({"num_rows": rows}),
                ),
                [InputTag(MLFLOW_DATASET_CONTEXT, split)],
            )
            for split, (rows, sha256) in splits.items()
        ]
        self.client.log_inputs(run, inputs)

    def offer_view(self, key: str, title: str, tags: Sequence[str]) -> None:
        """Offer a view of the experiment's list with these tags as columns; the experiment's description links to it.

        A description that a person wrote stays.
        """
        state = {"selectedColumns": [f"tags.`{tag}`" for tag in tags]}
        self.client.set_experiment_tag(self.experiment, f"mlflow.sharedViewState.{key}", json.dumps(state))
        if NOTE not in self.client.get_experiment(self.experiment).tags:
            link = f"#/experiments/{self.experiment}/runs?viewStateShareKey={key}"
            self.client.set_experiment_tag(self.experiment, NOTE, f"[{title}]({link})")

    def close_dead(self) -> list[str]:
        """Close as KILLED the runs that were left RUNNING by processes that have ended; returns their ids.

        A tag says why. One that has its answer ends as the answer says: the kill came after all of its work. A run of
        another machine, or one that does not tell its process, is left alone for 7 days.
        Raises RegistryUnavailable.
        """
        closed = []
        try:
            for run in _running(self.client, [self.experiment]):
                reason = why_left(run.data.tags, run.info.start_time)
                if reason is not None:
                    self.close(run, reason)
                    closed.append(str(run.info.run_id))
        except MlflowException as error:
            raise unavailable(self.client.tracking_uri, error) from error
        return closed

    def close(self, run: Run, reason: str) -> None:
        """Close a run as KILLED, or as its answer says; one that somebody took up since it was read is left to them."""
        now = self.client.get_run(run.info.run_id)
        if now.info.status != "RUNNING" or now.data.tags.get(OWNER) != run.data.tags.get(OWNER):
            return
        answer = now.data.tags.get(ANSWER)
        if answer is not None:
            self.finish(run.info.run_id, failed=answer in FAILED)
        else:
            self.client.set_tag(run.info.run_id, CLOSED, reason)
            self.client.set_terminated(run.info.run_id, status="KILLED")
            logger.info("run %s was closed as killed: %s", run.info.run_id, reason)

    def log(
        self,
        run: str,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float | None] | None = None,
        tags: Mapping[str, str] | None = None,
        step: int = 0,
    ) -> None:
        """Log parameters, metrics (those that are None are left out) and tags in one call.

        MLflow lets no parameter change. A run that is taken up again keeps the first value, and tells the new one in
        the tag `edgewright.again.NAME`.
        """
        now = int(time.time() * 1000)
        figures = {allowed_name(key): value for key, value in (metrics or {}).items() if value is not None}
        given = {key: str(value)[:6000] for key, value in (params or {}).items()}
        known = self.client.get_run(run).data.params if given else {}
        again = {f"edgewright.again.{key}": value for key, value in given.items() if known.get(key, value) != value}
        self.client.log_batch(
            run,
            metrics=[Metric(key, float(value), now, step) for key, value in figures.items()],
            params=[Param(key, value) for key, value in given.items() if key not in known],
            tags=[RunTag(allowed_name(key), str(value)[:8000]) for key, value in {**(tags or {}), **again}.items()],
        )

    def text(self, run: str, name: str, content: str) -> None:
        """Log a text artifact: HTML and JSON are shown in the UI."""
        self.log_texts(run, {name: content})

    def log_texts(self, run: str, contents: Mapping[str, str]) -> None:
        """Log text artifacts, by name, without asking for the run before each one."""
        with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
            for name, content in contents.items():
                path = Path(scratch, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content, encoding="utf-8")
            self.client.log_artifacts(run, scratch)

    def tables(self, run: str, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Log table artifacts, by name, that the UI can show and compare between runs; one without rows is left out.

        They have the form of MLflow's own log_table(), which takes six calls for each.
        """
        frames = {name: pd.DataFrame(list(rows)) for name, rows in tables.items() if rows}
        if not frames:
            return
        self.log_texts(run, {name: frame.to_json(orient="split", index=False) for name, frame in frames.items()})
        known = json.loads(self.tags(run).get(MLFLOW_LOGGED_ARTIFACTS, "[]"))
        added = [told for name in frames if (told := {"path": name, "type": "table"}) not in known]
        if added:
            self.client.set_tag(run, MLFLOW_LOGGED_ARTIFACTS, json.dumps([*known, *added]))

    def folder(self, run: str, local: Path, name: str) -> str:
        """Log a folder of files; returns its artifact URI."""
        self.client.log_artifacts(run, str(local), name)
        return f"{self.client.get_run(run).info.artifact_uri}/{name}"

    def file(self, run: str, path: Path, folder: str) -> None:
        """Log a file into a folder of the run."""
        self.client.log_artifact(run, str(path), folder)

    def fetch(self, run: str, name: str, folder: Path) -> Path:
        """Download an artifact of a run into a folder. Raises RegistryError where it cannot be had."""
        try:
            return Path(self.client.download_artifacts(run, name, str(folder)))
        except (MlflowException, OSError) as error:
            raise RegistryError(
                f"run {run}: expected its artifact {name}, got {one_line(error)}; restore the artifact store"
            ) from error

    def finish(self, run: str, *, failed: bool = False) -> None:
        """End a run; one that failed ends with those of its children that are open."""
        for child in self.search({MLFLOW_PARENT_RUN_ID: run}) if failed else ():
            if child.info.status == "RUNNING":
                self.client.set_terminated(child.info.run_id, status="FAILED")
        self.client.set_terminated(run, status="FAILED" if failed else "FINISHED")

    def tags(self, run: str) -> dict[str, str]:
        """Return a run's tags."""
        return dict(self.client.get_run(run).data.tags)

    def read_text(self, run: str, name: str) -> str:
        """Return a text artifact; raises RegistryError where it is not there."""
        with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
            try:
                return Path(self.client.download_artifacts(run, name, scratch)).read_text()
            except (MlflowException, OSError) as error:
                raise RegistryError(
                    f"run {run}: expected its artifact {name}, got {one_line(error)}; restore the artifact store, or "
                    "run edgewright compress again"
                ) from error

    def texts(self, run: str, folder: str) -> list[str]:
        """Return the text artifacts in a folder, in the order of their names; none where there is no such folder.

        Raises RegistryError where one cannot be read.
        """
        return [self.read_text(run, item.path) for item in self.client.list_artifacts(run, folder)]

    def find_text(self, run: str, name: str) -> str | None:
        """Return a text artifact, None where the run has none.

        Raises RegistryError where it cannot be read or the run is gone, RegistryUnavailable where MLflow is away.
        """
        try:
            there = any(item.path == name for item in self.client.list_artifacts(run))
        except MlflowException as error:
            if error.error_code != MISSING:
                raise unavailable(self.client.tracking_uri, error) from error
            raise RegistryError(f"run {run}: expected it in MLflow, got none; restore it") from error
        return self.read_text(run, name) if there else None

    def _taken_up(self, run: Run) -> str:
        """Return the id of a run that was closed or left behind, which is this process's from now on."""
        found = str(run.info.run_id)
        self.client.update_run(found, status="RUNNING", name=_run_name(run.data.tags) or None)
        if CLOSED in run.data.tags:
            self.client.delete_tag(found, CLOSED)
        for key, value in _own().items():
            self.client.set_tag(found, key, value)
        return found

    def search(self, tags: Mapping[str, str]) -> list[Run]:
        """Return all runs with these tags, newest first."""
        condition = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        newest = ["attributes.start_time DESC"]
        return all_pages(
            lambda token: self.client.search_runs(
                [self.experiment], condition, max_results=1000, order_by=newest, page_token=token
            )
        )


def close_runs_of(tracking_uri: str, dead: Collection[Process]) -> list[str]:
    """Close the runs of all models that are those of processes which others know to be dead; returns their ids.

    One that a later process took up is that one's. Raises RegistryUnavailable.
    """
    client, closed = client_for(tracking_uri), []
    try:
        experiments = all_pages(
            lambda token: client.search_experiments(filter_string="name LIKE 'edgewright-%'", page_token=token)
        )
        for run in _running(client, [each.experiment_id for each in experiments]):
            owner = owner_of(run.data.tags)
            if owner in dead and MODEL in run.data.tags:
                Runs(tracking_uri, run.data.tags[MODEL]).close(run, f"{owner} gave no sign of life any more")
                closed.append(str(run.info.run_id))
    except MlflowException as error:
        raise unavailable(tracking_uri, error) from error
    return closed


def _running(client: MlflowClient, experiments: list[str]) -> list[Run]:
    condition = "attributes.status = 'RUNNING'"
    return all_pages(
        lambda token: client.search_runs(experiments, condition, max_results=1000, page_token=token)
    ) if experiments else []  # fmt: skip


def find_run(tracking_uri: str, run: str) -> tuple[str, str]:
    """Return the model and the version that a run is about. Raises RegistryError for any other run."""
    try:
        tags = client_for(tracking_uri).get_run(run).data.tags
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise unavailable(tracking_uri, error) from error
        tags = {}
    if MODEL not in tags or VERSION not in tags:
        raise RegistryError(
            f"run {run}: expected the run of a version or a device, got another or none; name MODEL/VERSION instead"
        )
    return tags[MODEL], tags[VERSION]


def _run_name(tags: Mapping[str, str]) -> str:
    """Return the name of a version's or a device's run before it has an answer; empty for the run of a stage."""
    if VERSION not in tags:
        return ""
    return " ".join([tags[MODEL], f"v{tags[VERSION]}", *([tags[DEVICE]] if DEVICE in tags else [])])


def _own() -> dict[str, str]:
    return {OWNER: owner_tag(Process.this())}


def allowed_name(name: str) -> str:
    """Replace the characters that MLflow does not allow in a name; the value of a slice may have some."""
    return re.sub(r"[^\w.\- ]", "_", name)[:250]
