"""An upstream team that has no torch program to give: it registers an ONNX file."""

import mlflow
import torch
from onnx import ModelProto

from model_compression.onnx_files import to_onnx
from tests.end_to_end.tiny import upstream


def trained_graph() -> ModelProto:
    """The trained network of the tiny case as a float graph with a dynamic batch, its input called `images`."""
    return to_onnx(upstream.trained(), (torch.zeros(2, 1, 8, 8),), ["images"])


def register_graph(tracking_uri: str, name: str, graph: ModelProto) -> str:
    """Register a version as MLflow's onnx flavour; returns the version."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(tracking_uri)
    try:
        with mlflow.start_run():
            info = mlflow.onnx.log_model(graph, name="model", registered_model_name=name, pip_requirements=["onnx"])
    finally:
        mlflow.set_tracking_uri(before)
    return str(info.registered_model_version)
