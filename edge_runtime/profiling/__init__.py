"""Profiling: what a bundle costs and does on this very device, measured in processes of its own.

In comes a verified bundle and how it runs here; out goes a `ModelProfile`: the figures and the batch curve in the form
that the pipeline's `measure` stage keeps, the memory that processes share and that which each has for itself, the
operators that really ran and their time, and why this graph and this session run. `profile_lines` writes it for people,
`ModelProfile.to_plain` for machines. `memory_of` is what the kernel says of a process.
Every failure is a MeasurementFailed.
"""

from edge_runtime.profiling.model_profile import ModelProfile, profile_model
from edge_runtime.profiling.profile_text import profile_lines
from edge_runtime.profiling.shared_memory import memory_of

__all__ = ["ModelProfile", "memory_of", "profile_lines", "profile_model"]
