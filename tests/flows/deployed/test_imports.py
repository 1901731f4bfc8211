"""Imports of a run before it is at work, and before its checks: each library costs it a second or more."""

import subprocess
import sys

import pytest

from tests.tasks.processes import ROOT


def loaded_by(module: str) -> set[str]:
    """Return the modules that a fresh process has loaded after importing one."""
    code = f"import sys, {module}; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(ended.stdout.split())


@pytest.fixture(scope="module")
def before_it_is_at_work() -> set[str]:
    """Return what a worker's child loads to find the flow."""
    return loaded_by("flows.deployed")


@pytest.fixture(scope="module")
def before_its_checks() -> set[str]:
    """Return what the flow loads before it checks recipe, workload and version."""
    return loaded_by("flows.compress")


@pytest.mark.parametrize("library", ["torch", "mlflow", "onnxruntime", "scipy", "pandas", "flows.compress"])
def test_a_run_is_at_work_before_it_loads_a_library(before_it_is_at_work: set[str], library: str) -> None:
    assert "prefect" in before_it_is_at_work
    assert library not in before_it_is_at_work


@pytest.mark.parametrize("library", ["torchao", "torch._dynamo", "scipy.stats", "onnxscript"])
def test_the_checks_wait_for_no_library_that_only_later_stages_need(before_its_checks: set[str], library: str) -> None:
    assert {"torch", "mlflow"} <= before_its_checks
    assert library not in before_its_checks
