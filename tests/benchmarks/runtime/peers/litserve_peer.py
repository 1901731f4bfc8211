"""LitServe with a model of ONNX Runtime: `litserve_peer.py MODEL PORT`."""

import sys
from collections.abc import Sequence
from typing import Any

import litserve
import numpy as np
import onnxruntime


class Answers(litserve.LitAPI):
    """Rows of x to rows of y, in batches."""

    def setup(self, device: object) -> None:  # noqa: ARG002
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])

    def decode_request(self, request: dict[str, Any]) -> np.ndarray:
        return np.asarray(request["x"], np.float32)

    def batch(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, x: np.ndarray) -> np.ndarray:
        y: np.ndarray = self.session.run(None, {"x": x})[0]
        return y

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        return {"y": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Answers(max_batch_size=32, batch_timeout=0.005), accelerator="cpu", timeout=30)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="error")
