"""The part of Prefect's REST API that people and other systems call."""

import time
from types import TracebackType
from typing import Any

import httpx

from tests.edge_runtime.processes import wait_until

FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
BUSY_SECONDS = 30


class PrefectApi:
    """A client that knows nothing of Edgewright's code."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=address, timeout=60, trust_env=False)

    def __enter__(self) -> "PrefectApi":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.client.close()

    def deployment(self, name: str) -> dict[str, Any]:
        """Return a deployment by `FLOW/NAME`."""
        found: dict[str, Any] = self._json("GET", f"/deployments/name/{name}")
        return found

    def submit(self, name: str, parameters: dict[str, Any]) -> httpx.Response:
        """Ask for a run of a deployment."""
        return self._ask("POST", f"/deployments/{self.deployment(name)['id']}/create_flow_run", parameters=parameters)

    def finished(self, name: str, parameters: dict[str, Any], seconds: float = 400) -> dict[str, Any]:
        """Run a deployment to its end."""
        identity = self.submit(name, parameters).raise_for_status().json()["id"]
        deadline = time.monotonic() + seconds
        run: dict[str, Any]
        while (run := self._json("GET", f"/flow_runs/{identity}"))["state_type"] not in FINAL:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name}: expected an end within {seconds} s, got {run['state_name']}")
            time.sleep(1)
        return run

    def ended(self, flow: str, seconds: float = 400) -> list[dict[str, Any]]:
        """Return all runs of a flow once there is one and none waits or works."""
        wait_until(lambda: _have_ended(self.runs_of(flow)), seconds)
        return self.runs_of(flow)

    def runs_of(self, flow: str, state: str | None = None) -> list[dict[str, Any]]:
        """Return all runs of a flow, or those in one state."""
        states = {"flow_runs": {"state": {"type": {"any_": [state]}}}} if state else {}
        found: list[dict[str, Any]] = self._json(
            "POST", "/flow_runs/filter", flows={"name": {"any_": [flow]}}, **states
        )
        return found

    def planned(self, flow: str) -> list[dict[str, Any]]:
        """Return the runs that the server's scheduler has made for later."""
        return [run for run in self.runs_of(flow, "SCHEDULED") if run["auto_scheduled"]]

    def pause(self, name: str) -> None:
        """Stop a deployment's schedules and drop the runs that were planned."""
        self._ask("POST", f"/deployments/{self.deployment(name)['id']}/pause_deployment").raise_for_status()

    def messages(self, run: str) -> list[str]:
        """Return what a run logged."""
        return [entry["message"] for entry in self.lines(run)]

    def lines(self, run: str) -> list[dict[str, Any]]:
        """Return what a run logged, each line with its logger and its time."""
        found: list[dict[str, Any]] = []
        while True:
            page = self._json("POST", "/logs/filter", logs={"flow_run_id": {"any_": [run]}}, offset=len(found))
            found += page
            if not page:
                return found

    def states(self, run: str) -> list[dict[str, Any]]:
        """Return the states that a run went through, each with its timestamp."""
        found: list[dict[str, Any]] = self._ask("GET", f"/flow_run_states/?flow_run_id={run}").raise_for_status().json()
        return found

    def tasks(self, run: str) -> list[dict[str, Any]]:
        """Return the task runs of a run that Prefect has recorded by now."""
        found: list[dict[str, Any]] = self._json("POST", "/task_runs/filter", flow_runs={"id": {"any_": [run]}})
        return found

    def cancel(self, run: str) -> None:
        """Ask a run to end, as a person does, and wait until it has."""
        state = {"type": "CANCELLING", "message": "the measurement is over"}
        self._ask("POST", f"/flow_runs/{run}/set_state", state=state).raise_for_status()
        deadline = time.monotonic() + BUSY_SECONDS
        while self._json("GET", f"/flow_runs/{run}")["state_type"] not in FINAL and time.monotonic() < deadline:
            time.sleep(0.1)

    def task_runs(self, run: str) -> list[dict[str, Any]]:
        """Return the task runs of a flow run, the earliest first."""
        found: list[dict[str, Any]] = self._json(
            "POST", "/task_runs/filter", flow_runs={"id": {"any_": [run]}}, sort="EXPECTED_START_TIME_ASC"
        )
        return sorted(found, key=lambda each: each["start_time"] or "")

    def artifacts(self, run: str) -> dict[str, dict[str, Any]]:
        """Return the artifacts of a flow run by their keys."""
        found = self._json("POST", "/artifacts/filter", artifacts={"flow_run_id": {"any_": [run]}})
        return {each["key"]: each for each in found}

    def _json(self, method: str, path: str, **body: Any) -> Any:
        return self._ask(method, path, **body).raise_for_status().json()

    def _ask(self, method: str, path: str, **body: Any) -> httpx.Response:
        """Ask again for a while when the server is busy, as Prefect's own clients do."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            response = self.client.request(method, path, json=body or None)
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                return response
            time.sleep(0.5)


def _have_ended(runs: list[dict[str, Any]]) -> bool:
    return bool(runs) and all(run["state_type"] in FINAL for run in runs)
