"""Stop when the validation score no longer grows, and keep the best epoch's weights."""

from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass
class EarlyStopping:
    """Follows the score over epochs. Without `patience` it only looks on."""

    patience: int | None
    best: float | None = None
    _waited: int = 0
    _weights: dict[str, Tensor] = field(default_factory=dict)

    def seen(self, score: float | None, model: nn.Module) -> bool:
        """Note an epoch's score; returns whether to stop."""
        if score is None:
            return False
        if self.best is None or score > self.best:
            self.best, self._waited = score, 0
            if self.patience is not None:
                self._weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            return False
        self._waited += 1
        return self.patience is not None and self._waited >= self.patience

    def restore(self, model: nn.Module) -> None:
        """Put the best epoch's weights back, where they were kept."""
        if self._weights:
            model.load_state_dict(self._weights)
