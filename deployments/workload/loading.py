"""Workloads by their names: the module is imported, and one is made of the class."""

import importlib
import inspect

from deployments.answers import TASKS, check_attributes, prediction_task
from deployments.errors import ConfigurationError, one_line
from deployments.user_calls import call_user_code
from deployments.workload.workload_class import Workload
from edge_runtime.errors import EdgewrightError, is_of_system


def load_workload(reference: str) -> Workload:
    """Import `package.module:Class` and make one.

    Raises:
        ConfigurationError: the module does not import, or the class is no usable workload.
    """
    kind = _workload_class(reference)

    def made() -> Workload:
        workload = kind()
        check_attributes(workload)
        return workload

    try:
        return call_user_code(made, f"expected {kind.__name__}() to make one without arguments", "correct its __init__")
    except EdgewrightError as error:
        raise ConfigurationError(f"workload `{reference}`: {error}") from error


def _workload_class(reference: str) -> type[Workload]:
    module_name, _, class_name = reference.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # user code
        raise ConfigurationError(
            f"workload `{reference}`: expected module {module_name} to import, got {_described(error)}; "
            f"{_import_remedy(module_name, error)}"
        ) from error
    kind = getattr(module, class_name, None)
    if not (inspect.isclass(kind) and issubclass(kind, Workload)):
        raise ConfigurationError(
            f"workload `{reference}`: expected {class_name} to be a subclass of deployments.workload.Workload, got "
            f"{'nothing of that name' if kind is None else repr(kind)}; correct the recipe's `workload` or the module"
        )
    untaught = kind.loss is Workload.loss and not (kind.task in TASKS and prediction_task(kind.task).has_loss)
    if missing := sorted([*kind.__abstractmethods__, *(["loss"] if untaught else [])]):
        raise ConfigurationError(
            f"workload `{reference}`: expected the methods split and loss, got none for {', '.join(missing)}; write it"
        )
    return kind


def _import_remedy(module_name: str, error: BaseException) -> str:
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return "correct the module"
    if module_name == error.name or module_name.startswith(f"{error.name}."):
        return "put its folder on PYTHONPATH, or correct the recipe's `workload`"
    return f"install {error.name}, which the module imports"


def _described(error: BaseException) -> str:
    """Return a user's error as text; one of the memory or the disk is raised again, as no user can correct it."""
    if is_of_system(error):
        raise error
    return one_line(error)
