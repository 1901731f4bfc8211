"""The one door to MLflow: upstream models, runs, edge models."""

from tasks.registry.edge_models import EdgeModels, EdgeVersion, edge_name
from tasks.registry.runs import Runs
from tasks.registry.upstream import RegisteredModel, Upstream, register_upstream

__all__ = ["EdgeModels", "EdgeVersion", "RegisteredModel", "Runs", "Upstream", "edge_name", "register_upstream"]
