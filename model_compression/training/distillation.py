"""Learning from the parent."""

import torch.nn.functional as F
from torch import Tensor

from model_compression.errors import TrainingError


def soft_label_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of the student's softened class probabilities from the teacher's.

    Logits of shape (rows, classes); scaled by temperature^2 so that the gradient keeps its size.
    Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015.
    """
    if student.shape != teacher.shape or student.dim() != 2:
        raise TrainingError(
            f"expected logits of one shape (rows, classes) from student and teacher, got {tuple(student.shape)} "
            f"and {tuple(teacher.shape)}; distillation by soft labels needs a classifier"
        )
    log_student = F.log_softmax(student / temperature, dim=1)
    log_teacher = F.log_softmax(teacher / temperature, dim=1)
    return F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True) * temperature**2
