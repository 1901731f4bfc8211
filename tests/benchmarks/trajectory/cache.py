"""What a benchmark computed once is kept, by all that it was computed from."""

from rich.console import Console

from tasks.store import StageStore
from tests.benchmarks.record import ROOT

CACHE = ROOT / ".edgewright" / "bench" / "cache"
STORE = StageStore(CACHE)
console = Console()
