"""Deployed flows: what a worker imports to begin a run, so light that the run is at work within seconds.

In come the parameters of a run; the flow's own modules, with torch and MLflow, are imported when it has begun.
"""

from flows.deployed.compression import compress

__all__ = ["compress"]
