"""A shadow in the real serving process: chosen in the store, asked beside what serves, and told to Prometheus."""

from pathlib import Path

import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from tests.edge_runtime.install.carried import DEVICE, MODEL
from tests.edge_runtime.processes import wait_until
from tests.edge_runtime.server.served_process import LONGEST_S, ServedProcess
from tests.edge_runtime.serving.stored import Stored, some_rows


def configured(stored: Stored, folder: Path) -> Path:
    """Write the configuration of a device with this store."""
    keys = {"device": DEVICE, "url": "/media/usb", "state": stored.store.root, "root": folder / "root.json"}
    lines = [f'models = ["{MODEL}"]', *(f'{key} = "{value}"' for key, value in keys.items())]
    (folder / "device.toml").write_text("\n".join(lines))
    return folder / "device.toml"


def answer(served: ServedProcess) -> np.ndarray:
    """Ask for some rows over HTTP."""
    x = some_rows()
    tensor = {"name": "x", "datatype": "FP32", "shape": list(x.shape), "data": x.ravel().tolist()}
    url = f"http://{served.address}/v2/models/{MODEL}/infer"
    (output,) = httpx.post(url, json={"inputs": [tensor]}, timeout=LONGEST_S).raise_for_status().json()["outputs"]
    return np.array(output["data"], np.float32).reshape(output["shape"])


def told(served: ServedProcess) -> dict[str, float]:
    """Return the metrics of the shadow, by their names and outcomes."""
    families = text_string_to_metric_families(served.get("/metrics").text)
    samples = (each for family in families if family.name.startswith("edgewright_shadow_") for each in family.samples)
    return {f"{each.name}{each.labels.get('outcome', '')}": each.value for each in samples}


def test_a_shadow_is_asked_over_http_and_its_answers_stay_inside(tmp_path: Path) -> None:
    stored = Stored(tmp_path)
    stored.put(1)
    with ServedProcess(("--config", configured(stored, tmp_path)), tmp_path) as served:
        served.wait_for_note("READY=1")
        assert told(served) == {}
        stored.shadow(2)
        one, other = (stored.right(seed, some_rows()) for seed in (1, 2))

        def has_compared() -> bool:
            np.testing.assert_allclose(answer(served), one, rtol=1e-3, atol=1e-3)
            return told(served).get("edgewright_shadow_requests_totalcompared", 0) > 0

        wait_until(has_compared, LONGEST_S)
        found = told(served)
        assert found["edgewright_shadow_rows_total"] == 2 * found["edgewright_shadow_requests_totalcompared"]
        np.testing.assert_allclose(found["edgewright_shadow_largest_gap"], np.abs(one - other).max(), rtol=1e-3)
        stored.end_shadow()
        wait_until(lambda: told(served) == {}, LONGEST_S)
        assert served.end() == 0
