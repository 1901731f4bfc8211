"""Settings of the servers that Edgewright starts: nothing phones home, and the user's own settings stay."""

import logging
import os
import warnings
from pathlib import Path

from rich.console import Console

HOME = Path(os.environ.get("EDGEWRIGHT_HOME", ".edgewright"))
QUIET = {
    "DO_NOT_TRACK": "true",
    "ORT_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}
EMBEDDED = {
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",  # a server that Prefect starts by itself stays after a kill -9
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the error of a run is one sentence, said by the command
    "PREFECT_LOGGING_EXTRA_LOGGERS": "edgewright",
}
# Threads that spin while they wait make training ten times slower as soon as another process wants a core.
SHARED_MACHINE = {"OMP_WAIT_POLICY": "passive"}
EMBEDDED_API = "EDGEWRIGHT_EMBEDDED_PREFECT"
"""Variable with the address of a Prefect server that a command starts for itself, and that ends with it."""
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1"}
"""Half a minute for a registry that restarts. MLflow's own settings wait over four minutes without a word."""
NOISY = (
    "mlflow", "urllib3", "alembic", "httpx", "torchao", "torch", "torch.utils._pytree", "onnxscript", "onnx_ir",
    "prefect",
)  # fmt: skip


def quiet_libraries() -> None:
    """Show only the errors of the libraries on the terminal."""
    warnings.simplefilter("ignore")
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)


def prepare(home: Path) -> None:
    """Set the variables that Prefect and MLflow read when imported; the user's own stay, except for telemetry.

    Without a Prefect server of the user's own (PREFECT_API_URL), an embedded one keeps its database in `home`.
    """
    os.environ.update(QUIET)
    quiet_libraries()
    for key, value in (EMBEDDED | SHARED_MACHINE | IMPATIENT).items():
        os.environ.setdefault(key, value)
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(home.resolve() / "torch"))  # by default a temporary folder
    if "PREFECT_API_URL" not in os.environ:
        own = home.resolve() / "prefect"
        own.mkdir(parents=True, exist_ok=True)  # Prefect makes one level and goes on without its database
        os.environ.setdefault("PREFECT_HOME", str(own))


def tell_loading(console: Console) -> None:
    """Say that the large libraries are being loaded, which takes some seconds or, on a busy machine, minutes."""
    console.print("[bold]Edgewright[/]: loading torch, MLflow and Prefect ...")
