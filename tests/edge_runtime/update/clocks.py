"""A clock that tests move: by passed time, by setting it, and by reboots."""

from edge_runtime.update.carriers.aged_file import Moment


class FakeClock:
    def __init__(self, wall_s: float = 1.8e9) -> None:
        self.wall_s, self.uptime_s, self.boot = wall_s, 1000.0, 0
        self.passed_s = 0.0

    def now(self) -> Moment:
        return Moment(f"boot-{self.boot}", self.uptime_s, self.wall_s)

    def passes(self, seconds: float) -> None:
        self.wall_s += seconds
        self.uptime_s += seconds
        self.passed_s += seconds

    def reboots(self, down_s: float = 60.0, wall_s: float | None = None) -> None:
        self.boot += 1
        self.uptime_s = 10.0
        self.wall_s = self.wall_s + down_s + 10.0 if wall_s is None else wall_s
