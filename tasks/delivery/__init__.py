"""TODO."""

from tasks.delivery.approvals import approve_version
from tasks.delivery.publication import publish
from tasks.delivery.recorded_approvals import with_recorded_approval

__all__ = ["approve_version", "publish", "with_recorded_approval"]
