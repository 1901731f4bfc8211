"""The real serving process in the reports of its device: while it answers, after its end, and after it was killed."""

from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from edge_runtime.bundle import QUANTILES, Spread
from edge_runtime.configuration import read_configuration
from edge_runtime.reports import DeviceReports, ModelInField, verified
from edge_runtime.statistics import LARGE_DRIFT, ServedFile
from tests.edge_runtime.install.carried import DEVICE, MODEL, WIDTH, Carried
from tests.edge_runtime.processes import wait_until
from tests.edge_runtime.server.served_process import LONGEST_S, ServedProcess
from tests.edge_runtime.serving.stored import Stored

REQUESTS = 60


class Reporting:
    """A device with one model, whose reports are made here and read at once."""

    def __init__(self, folder: Path) -> None:
        self._stored = Stored(folder)
        self.configuration = folder / "device.toml"
        self.configuration.write_text(
            f'device = "{DEVICE}"\nmodels = ["{MODEL}"]\nurl = "/x"\nstate = "{self._stored.store.root}"\n'
            'root = "/root.json"\n[reports]\nserved_s = 1\n'
        )

    def put(self) -> Carried:
        quantiles = tuple(float(each) for each in np.quantile(np.random.default_rng(1).normal(size=9999), QUANTILES))
        return self._stored.put(1, spreads=(Spread("x", 100, 0.0, 1.0, quantiles),))

    def model(self) -> ModelInField:
        reports = DeviceReports(read_configuration(self.configuration))
        reports.make()
        report = verified(reports.spool.waiting()[-1].read(), reports.key().key)
        (only,) = report.models
        return only

    def has_counted(self, requests: int) -> bool:
        record = ServedFile(self._stored.store.root).read()
        return record is not None and record.models[0].figures.requests["ok"] == requests


def ask(served: ServedProcess, row: np.ndarray) -> None:
    tensor = {"name": "x", "shape": [1, WIDTH], "datatype": "FP32", "data": row.tolist()}
    url = f"http://{served.address}/v2/models/{MODEL}/infer"
    assert httpx.post(url, json={"inputs": [tensor]}, timeout=LONGEST_S).status_code == 200


def _ended(served: ServedProcess) -> None:
    assert served.end() == 0


def _killed(served: ServedProcess) -> None:
    served.process.kill()
    served.process.wait(LONGEST_S)


@pytest.mark.parametrize("end", [_ended, _killed])
def test_a_model_is_reported_as_long_as_it_is_served(tmp_path: Path, end: Callable[[ServedProcess], None]) -> None:
    device = Reporting(tmp_path)
    carried = device.put()
    with ServedProcess(("--config", device.configuration), tmp_path) as served:
        served.wait_for_note("READY=1")
        for _ in range(REQUESTS):
            ask(served, np.full(WIDTH, 30.0))
        wait_until(lambda: device.has_counted(REQUESTS), LONGEST_S)
        model = device.model()
        assert (model.health, model.digest) == ("serving", carried.digest)
        assert model.served is not None and model.served.requests["ok"] == REQUESTS
        assert model.served.latency_s.count == REQUESTS and model.served.rss_bytes > 1 << 20
        (drift,) = model.served.drift
        assert drift.rows >= 16 and drift.counts[-1] == sum(drift.counts) == drift.rows * WIDTH
        assert drift.index > LARGE_DRIFT
        end(served)
    after, later = device.model(), device.model()
    assert after.health == later.health == "installed"
    assert after.served is not None and after.served.requests["ok"] == REQUESTS
    assert later.served is None
