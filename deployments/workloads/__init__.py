"""Workloads that ship with Edgewright: the data, the loss and the score of a task."""
