"""Shoulder exercises as a smartwatch feels them, read out of the wheel of `seglearn`; `make exercises` fetches it.

Source: Burns DM, Leung N, Hardisty M, Whyne CM, Henry P, McLachlin S. Shoulder physiotherapy exercise recognition:
machine learning the inertial signals from a smartwatch. Physiological Measurement 2018;39:075007.
"""

import codecs
import io
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.lib import format as npy
from torch import Tensor

from deployments.errors import ConfigurationError
from deployments.workload import Split, SplitName, Workload
from deployments.workloads.wheels import Wheels

WHEELS = Wheels("Exercises", "EXERCISES", "make exercises")
WHEEL, FILE = "seglearn-*.whl", "seglearn/data/watch_dataset.npy"
CLASSES = (
    "pendulum", "abduction", "forward elevation", "internal rotation", "external rotation", "trapezius", "row"
)  # fmt: skip
SENSORS = ("ax", "ay", "az", "wx", "wy", "wz")
SUBJECTS: dict[SplitName, tuple[int, ...]] = {"train": (1, 2, 3, 4, 5), "validation": (6, 7), "test": (8, 9, 10)}
"""Persons: nobody whose movements judge a model was there when it was trained."""
AVERAGED = 5  # samples at 50 Hz in a step of the window
STEPS, STRIDE = 40, 10  # 4 s, every second
CALIBRATION_ROWS = 256
TURN = 0.3  # radians around each axis: nobody wears a watch as another one does
GAIN = 0.15

_REBUILD: Callable[..., Any] = np.empty(0).__reduce__()[0]  # type: ignore[assignment] # how numpy itself unpickles
_UNPICKLED: Mapping[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _REBUILD,
    ("numpy._core.multiarray", "_reconstruct"): _REBUILD,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,
}


class Exercises(Workload):
    """4,397 windows of 4 s from 140 recordings of 10 persons: 3 axes of acceleration and 3 of rotation, at 10 Hz.

    Windows overlap, so bounds count recordings in place of rows. Each person has 14: 7 exercises with either arm.
    """

    labels = CLASSES
    group = "recording"

    def __init__(self) -> None:
        windows, self.targets, self.told = _windows(_recordings())
        subject = self.told["subject"].to_numpy()
        self.rows = {name: np.flatnonzero(np.isin(subject, persons)) for name, persons in SUBJECTS.items()}
        train = self.rows["train"]
        chosen = np.linspace(0, len(train) - 1, min(CALIBRATION_ROWS, len(train))).astype(int)
        self.rows["calibration"] = train[chosen]  # some of every exercise
        center, spread = windows[train].mean(axis=(0, 1)), windows[train].std(axis=(0, 1))
        self.preprocessing = {
            "average of so many samples at 50 Hz": AVERAGED,
            "steps of a window": STEPS,
            "subtract": center.round(4).tolist(),
            "divide by": spread.round(4).tolist(),
        }
        self.center, self.spread = center.astype(np.float32), spread.astype(np.float32)
        self.values = ((windows - center) / spread).astype(np.float32)

    def split(self, name: SplitName) -> Split:
        """Return the rows of a split: windows of (steps, sensors)."""
        rows = self.rows[name]
        return Split((self.values[rows],), self.targets[rows], self.told.iloc[rows].reset_index(drop=True))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross entropy."""
        return F.cross_entropy(outputs, targets)

    def augment(self, inputs: tuple[Tensor, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
        """Turn the watch on the wrist by a random angle around each axis, and make all signals stronger or weaker."""
        (windows,) = inputs
        center, spread = (torch.from_numpy(values).to(windows) for values in (self.center, self.spread))
        signals = (windows * spread + center).unflatten(2, (2, 3))  # acceleration and rotation turn alike
        turned = torch.einsum("rskx,rxy->rsky", signals, _turns(len(windows), generator).to(windows)).flatten(2)
        gain = 1 + GAIN * torch.randn(len(windows), 1, 1, generator=generator).to(windows)
        return ((turned * gain - center) / spread,)

    def text(self, split: Split, row: int) -> str:
        """Return the mean of each sensor in the window and its spread, in the sensors' own units."""
        window = split.inputs[0][row] * self.spread + self.center
        figures = zip(SENSORS, window.mean(axis=0), window.std(axis=0), strict=True)
        return ", ".join(f"{name} {mean:.2f} ± {spread:.2f}" for name, mean, spread in figures)


class _Arrays(pickle.Unpickler):
    """Reader of pickled arrays, lists and texts. Whatever else a pickle names is refused: it would be run."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what rebuilds an array; raises UnpicklingError for any other name."""
        try:
            return _UNPICKLED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no array") from None


def _turns(count: int, generator: torch.Generator) -> Tensor:
    """Return random rotations, (count, 3, 3): matrix exponentials of skew matrices of angles."""
    angles = TURN * torch.randn(count, 3, generator=generator)
    skew = torch.zeros(count, 3, 3)
    skew[:, 0, 1], skew[:, 0, 2], skew[:, 1, 2] = -angles[:, 2], angles[:, 1], -angles[:, 0]
    return torch.matrix_exp(skew - skew.transpose(1, 2))


def _recordings() -> Mapping[str, Any]:
    """Read the recordings `X` of (samples, sensors), and of each the exercise `y`, the `subject` and the `side`."""
    with WHEELS.opened(WHEEL) as archive:
        file = io.BytesIO(archive.read(FILE))
    try:
        npy.read_magic(file)
        npy.read_array_header_1_0(file)
        found: Mapping[str, Any] = _Arrays(file).load().item()
        return {name: found[name] for name in ("X", "y", "subject", "side")}
    except (ValueError, TypeError, KeyError, AttributeError, EOFError, pickle.UnpicklingError) as error:
        raise ConfigurationError(
            f"{WHEELS.title}: expected recordings in {FILE} of {WHEELS.path(WHEEL)}, got {error}; delete it and run "
            f"{WHEELS.command}"
        ) from error


def _windows(recordings: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Return windows of (steps, sensors), the exercise of each, and who made it with which arm in which recording."""
    windows, lengths = [], []
    for samples in recordings["X"]:
        whole = samples[: len(samples) // AVERAGED * AVERAGED]
        steps = whole.reshape(-1, AVERAGED, whole.shape[1]).mean(axis=1)
        starts = range(0, len(steps) - STEPS + 1, STRIDE)
        windows += [steps[start : start + STEPS] for start in starts]
        lengths.append(len(starts))
    recording = np.repeat(np.arange(len(lengths)), lengths)
    targets = np.asarray(recordings["y"], dtype=np.int64)[recording]
    told = pd.DataFrame(
        {
            "exercise": np.array(CLASSES)[targets],
            "side": np.where(np.asarray(recordings["side"])[recording] == 1, "right", "left"),
            "subject": np.asarray(recordings["subject"])[recording],
            "recording": recording,
        }
    )
    return np.stack(windows), targets, told
