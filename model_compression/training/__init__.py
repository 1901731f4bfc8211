"""Training: fine-tuning on the ground truth and, by distillation, on the parent's answers.

A model, rows and settings come in. `fine_tune` changes the model in place on a processor or on GPUs and returns the
loss and the score. `soft_label_loss` compares a student's answers with the parent's. `tensors`, `batches` and `predict`
feed rows to a model without training it.
"""

from model_compression.training.batching import Arrays, batches, is_out_of_memory, predict, tensors
from model_compression.training.loop import (
    Augment,
    Progress,
    Teacher,
    TrainingResult,
    Validate,
    fine_tune,
    soft_label_loss,
)
from model_compression.training.training_settings import Device, FineTuning, LossFunction, Precision

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
    "is_out_of_memory",
    "predict",
    "soft_label_loss",
    "tensors",
]
