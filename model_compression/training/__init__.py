"""Fine-tuning as people run it: ground truth plus the parent's answers, on whatever device there is."""

from model_compression.training.batching import Arrays, batches, predict, tensors
from model_compression.training.loop import Augment, Progress, Teacher, TrainingResult, Validate, fine_tune
from model_compression.training.settings import Device, FineTuning, LossFunction, Precision

__all__ = [
    "Arrays",
    "Augment",
    "Device",
    "FineTuning",
    "LossFunction",
    "Precision",
    "Progress",
    "Teacher",
    "TrainingResult",
    "Validate",
    "batches",
    "fine_tune",
    "predict",
    "tensors",
]
