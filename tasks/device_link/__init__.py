"""The place where a device profile's models are measured: a process on this machine, or a device over SSH.

In comes the `measure` section of a profile, and what edge_runtime.measurement takes; out goes what that returns. Over
SSH the device's own runtime measures, and its own CPU answers. A link that breaks, a device that is not there and an
output that is no answer are MeasurementInterrupted: they say nothing about a model. `machine_of` names the processor
that the figures are of, `instruction_set_of` the answers' class of CPU.
"""

from tasks.device_link.measuring import instruction_set_of, machine_of, measure, measure_in_turns, place_of

__all__ = ["instruction_set_of", "machine_of", "measure", "measure_in_turns", "place_of"]
