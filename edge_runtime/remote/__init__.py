"""Measuring for somebody else: the device's half of a pipeline that measures over SSH, and the form of their messages.

In come frames on stdin: the models to measure, once each by their digests, and requests with their rows. Out go frames
on stdout: what edge_runtime.measurement measured in processes of this device, or the sentence of what failed. The
pipeline's half, which starts `python -P -m edge_runtime measure` over SSH, is not part of the runtime; it uses `Frame`,
`FrameReader` and `write_frame` of this package. Neither half trusts the sizes that the other one announces.
"""

from edge_runtime.remote.far_end import KINDS, PROTOCOL, Greeting, answer_pipeline
from edge_runtime.remote.frames import Frame, FrameReader, write_frame

__all__ = ["KINDS", "PROTOCOL", "Frame", "FrameReader", "Greeting", "answer_pipeline", "write_frame"]
