"""The HTTP side of serving: the Open Inference Protocol, version 2, over the models that this process serves.

In come ServedModels and ServerSettings; out go answers over HTTP, metrics for Prometheus, log lines and notes to the
service manager until a signal ends `serve`. Requests are JSON or the protocol's binary data. Whatever a client sends is
read within ServerLimits. This package alone needs the extra `serve` (Starlette and uvicorn).
"""

from edge_runtime.server.application import InferenceApplication
from edge_runtime.server.limits import ServerLimits
from edge_runtime.server.log_lines import log_as_lines
from edge_runtime.server.serving_process import ServerSettings, serve

__all__ = ["InferenceApplication", "ServerLimits", "ServerSettings", "log_as_lines", "serve"]
