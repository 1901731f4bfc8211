"""The watcher: it looks at the registry, starts the runs that are wanted once each, and finds those that died.

In come webhooks of MLflow and what a look at the registry shows; out go flow runs on a Prefect server. Nothing here
compresses anything, imports a workload or loads a model.
"""

from flows.watch.command import watch_command
from flows.watch.process_label import say_who_works
from flows.watch.starting import start_runs

__all__ = ["say_who_works", "start_runs", "watch_command"]
