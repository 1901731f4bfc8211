"""The store of a benchmark's results, under keys of everything that they depend on."""

from rich.console import Console

from tasks.store import StageStore
from tests.benchmarks.record import ROOT

CACHE = ROOT / ".edgewright" / "bench" / "cache"
STORE = StageStore(CACHE)
console = Console()
