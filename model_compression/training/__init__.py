"""Training: fine-tuning on the ground truth and, by distillation, on the parent's answers.

A model, rows and settings come in. `fine_tune` changes the model in place on a processor or on GPUs and returns the
loss and the score. The losses of soft labels compare a model's answers with the parent's, one for each kind of output.
`tensors`, `batches` and `predict` feed rows to a model without training it.
"""

from model_compression.settings import Device, FineTuning, Precision
from model_compression.training.batching import Arrays, batches, is_out_of_memory, predict, tensors
from model_compression.training.loop import (
    Augment,
    LossFunction,
    Progress,
    Teacher,
    TrainingResult,
    Validate,
    fine_tune,
)
from model_compression.training.soft_labels import (
    SoftLabelLoss,
    are_probabilities,
    soft_binary_loss,
    soft_label_loss,
    soft_value_loss,
)

__all__ = [
    "Arrays",
    "Augment",
    "Device",
    "FineTuning",
    "LossFunction",
    "Precision",
    "Progress",
    "SoftLabelLoss",
    "Teacher",
    "TrainingResult",
    "Validate",
    "are_probabilities",
    "batches",
    "fine_tune",
    "is_out_of_memory",
    "predict",
    "soft_binary_loss",
    "soft_label_loss",
    "soft_value_loss",
    "tensors",
]
