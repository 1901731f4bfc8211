"""The registry: the one door to MLflow, where upstream models, runs and edge models are read and written.

In come names, versions and records as plain values; out go files, tags and records. Nothing outside this folder imports
MLflow. A registry that gives no answer raises RegistryUnavailable, which is never taken for a no.
"""

from tasks.registry.answers import Answers, RecordedAnswer
from tasks.registry.edge_models import EdgeModels, edge_name
from tasks.registry.edge_versions import (
    ANSWERS,
    APPROVED_UNTIL,
    NOT_ANSWERED,
    NOT_RECORDED,
    OF_WORKLOAD,
    Anchor,
    Candidate,
    EdgeVersion,
    Lineage,
)
from tasks.registry.ledger import Grant, LookLedger, TakenLook
from tasks.registry.runs import ANSWER, NOTE, UNDECIDED, Runs
from tasks.registry.upstream import RegisteredModel, Upstream, register_upstream
from tasks.registry.view import DeployedRelease, RegistryView, VersionAnswer
from tasks.registry.webhooks import register_webhook

__all__ = [
    "ANSWER",
    "ANSWERS",
    "APPROVED_UNTIL",
    "NOTE",
    "NOT_ANSWERED",
    "NOT_RECORDED",
    "OF_WORKLOAD",
    "UNDECIDED",
    "Anchor",
    "Answers",
    "Candidate",
    "DeployedRelease",
    "EdgeModels",
    "EdgeVersion",
    "Grant",
    "Lineage",
    "LookLedger",
    "RecordedAnswer",
    "RegisteredModel",
    "RegistryView",
    "Runs",
    "TakenLook",
    "Upstream",
    "VersionAnswer",
    "edge_name",
    "register_upstream",
    "register_webhook",
]
