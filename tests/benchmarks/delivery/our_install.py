"""Our install step as a subject of power cuts: `python -m edge_runtime install` from a carried, signed folder.

It is the real program of a device, from the metadata of the repository to the last sync. The model has the size of the
other subjects' models.
"""

import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import edge_runtime
from edge_runtime.bundle import BundleError
from edge_runtime.errors import InstallError
from edge_runtime.install import DeviceStore, running
from edge_runtime.model_files import model_files
from model_compression.onnx_files import make_portable
from tests.edge_runtime.install.carried import DEVICE, MODEL, Carried, carry, wide_model
from tests.edge_runtime.trust.repositories import SignedRepository
from tests.power_cuts import subjects
from tests.power_cuts.subjects import VERSIONS, Found, Version, digest_of_files, python, run

_CODE = sorted(path for path in Path(edge_runtime.__file__).parent.rglob("*.py") if "measurement" not in path.parts)
_SIDE = 1400  # two matrices of 8 MB


class OurInstall:
    """`python -m edge_runtime install` as a subject; the carried folders are made in `work`."""

    name = "edge_runtime install"
    success = "runs from now on"

    def __init__(self, work: Path) -> None:
        self.identity = digest_of_files(Path(__file__), Path(subjects.__file__), *_CODE)
        self._work = Path(tempfile.mkdtemp(dir=work))
        repository = SignedRepository(self._work / "repository", now=datetime.now(UTC))
        (self._work / "root.json").write_bytes(repository.shipped)
        self._carried: dict[Version, Carried] = {}
        for seed, version in enumerate(VERSIONS, start=1):
            whole = wide_model(self._work / f"whole-{version}", seed, _SIDE)
            files = model_files(make_portable(whole, self._work / f"made-{version}"))
            self._carried[version] = carry(repository.folder, self._work, seed, files=files)
            repository.publish(self._carried[version].data, MODEL, DEVICE)
            shutil.copytree(repository.folder, self._folder(version))

    def prepare(self, root: Path) -> None:
        """Install version A."""
        run(self._command(root, "A"))

    def command(self, root: Path) -> Sequence[str]:
        """Return the command that installs version B."""
        return self._command(root, "B")

    def boot(self, root: Path) -> None:
        """Do nothing: what the state names is what runs."""

    def found(self, root: Path) -> Found:
        """Return the version that the device would run, every byte of it verified."""
        try:
            digest = running(DeviceStore(root / "state", DEVICE), MODEL).bundle.digest
        except (InstallError, BundleError, OSError) as error:
            return Found(None, str(error))
        return Found(next((each for each in VERSIONS if self._carried[each].digest == digest), None), digest)

    def _command(self, root: Path, version: Version) -> Sequence[str]:
        configuration = self._work / f"{root.name}.toml"
        settings = {"device": DEVICE, "url": self._folder(version), "state": root / "state",
                    "root": self._work / "root.json"}  # fmt: skip
        lines = [f'models = ["{MODEL}"]', *(f'{key} = "{value}"' for key, value in settings.items())]
        configuration.write_text("\n".join(lines) + "\n")
        return python("edge_runtime", "install", self._folder(version), "--config", configuration)

    def _folder(self, version: Version) -> Path:
        return self._work / f"carried-{version}"
