"""The one door to MLflow: upstream models, runs, edge models."""

from tasks.registry.edge_models import APPROVED_UNTIL, EdgeModels, EdgeVersion, edge_name
from tasks.registry.runs import Runs
from tasks.registry.upstream import RegisteredModel, Upstream, register_upstream

__all__ = [
    "APPROVED_UNTIL",
    "EdgeModels",
    "EdgeVersion",
    "RegisteredModel",
    "Runs",
    "Upstream",
    "edge_name",
    "register_upstream",
]
