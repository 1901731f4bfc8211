"""The registry: the one door to MLflow, where upstream models, runs and edge models are read and written.

In come names, versions and records as plain values; out go files, tags and records. Nothing outside this folder imports
MLflow. A registry that gives no answer raises RegistryUnavailable, which is never taken for a no.
"""

from tasks.registry.absence import AGAIN_S, was_away
from tasks.registry.anchors import Anchor
from tasks.registry.answered import Answered, AnsweredDevice
from tasks.registry.answers import Answers, RecordedAnswer
from tasks.registry.client import is_made
from tasks.registry.edge_models import EdgeModels
from tasks.registry.edge_versions import (
    ANSWERS,
    APPROVED_UNTIL,
    NOT_ANSWERED,
    NOT_RECORDED,
    OF_WORKLOAD,
    Candidate,
    EdgeVersion,
    Hold,
    Lineage,
    ReleasePage,
    Rollback,
    edge_name,
    standing_holds,
)
from tasks.registry.field_records import FieldCount, FieldFigures, FieldRecords, FieldRelease
from tasks.registry.looks import Grant, LookBudget, LookLedger, Spending, TakenLook, spent
from tasks.registry.runs import NOTE, UNDECIDED, WAITING, Runs, close_runs_of, find_run
from tasks.registry.upstream import RegisteredModel, Upstream, register_upstream
from tasks.registry.view import DeployedRelease, RegistryView
from tasks.registry.webhooks import register_webhook

__all__ = [
    "AGAIN_S",
    "ANSWERS",
    "APPROVED_UNTIL",
    "NOTE",
    "NOT_ANSWERED",
    "NOT_RECORDED",
    "OF_WORKLOAD",
    "UNDECIDED",
    "WAITING",
    "Anchor",
    "Answered",
    "AnsweredDevice",
    "Answers",
    "Candidate",
    "DeployedRelease",
    "EdgeModels",
    "EdgeVersion",
    "FieldCount",
    "FieldFigures",
    "FieldRecords",
    "FieldRelease",
    "Grant",
    "Hold",
    "Lineage",
    "LookBudget",
    "LookLedger",
    "RecordedAnswer",
    "RegisteredModel",
    "RegistryView",
    "ReleasePage",
    "Rollback",
    "Runs",
    "Spending",
    "TakenLook",
    "Upstream",
    "close_runs_of",
    "edge_name",
    "find_run",
    "is_made",
    "register_upstream",
    "register_webhook",
    "spent",
    "standing_holds",
    "was_away",
]
