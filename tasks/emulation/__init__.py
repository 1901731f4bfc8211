"""Answers on the device's own instruction set, where this machine has another: emulated, and never timed."""
