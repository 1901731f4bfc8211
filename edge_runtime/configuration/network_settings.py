"""Settings of the network, as the configuration has them."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class NetworkSettings:
    """Settings of the network; None for a proxy means the environment's, an empty text means none."""

    proxy: str | None = None
    bytes_per_day: int | None = None
    timeout_s: float = 30.0
    ca_file: Path | None = None
    redirect_hosts: tuple[str, ...] = ()
