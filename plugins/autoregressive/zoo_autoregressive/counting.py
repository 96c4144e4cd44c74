"""Training without gradients: models whose likelihood is greatest where counts say so.

A model of this kind turns a batch into sufficient statistics and solves for its parameters in
closed form. The statistics are a network of their own beside the model: they are in checkpoints, so
that a run resumes, and not in the published weights.
"""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, distributed, nn

from zoo_core.errors import InvalidInput
from zoo_core.protocols import DensityModel
from zoo_core.training.likelihood import MaximumLikelihood
from zoo_core.training.protocols import Update

__all__ = ["Counted", "Counting", "check_alpha"]


class Counted(DensityModel, Protocol):
    """A density model with sufficient statistics."""

    def statistics(self, x: Tensor) -> Tensor:
        """Counts, int64, that are added over batches; their shape does not depend on the batch.

        x: inputs, (B, *event_shape), in [0, 1].
        """
        ...

    def fit(self, counts: Tensor) -> None:
        """Set the parameters to the most probable ones given the sum of the statistics."""
        ...


class Counting(MaximumLikelihood):
    """Adds up a model's statistics and solves for its parameters after each batch.

    Args:
        model: a Counted model.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        nothing = self.model.statistics(torch.empty(0, *self.model.event_shape))
        self.networks["statistics"] = _Sum(nothing)

    @torch.no_grad()
    def training_step(
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: torch.Generator,
        labels: Tensor | None = None,
        step: int = 1,
    ) -> dict[str, Tensor]:
        """Count a batch x, (B, *event_shape), and solve."""
        counts = self.model.statistics(x)
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(counts)
        total = self.networks["statistics"].total
        assert isinstance(total, Tensor)
        self.model.fit(total.add_(counts))
        return {"nll": -self.model.log_prob(x).mean()}


class _Sum(nn.Module):
    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros_like(start))


def check_alpha(alpha: float) -> float:
    """Return the count that is added to each cell.

    Raises InvalidInput unless it is above 0: what was never seen must stay possible.
    """
    if not 0 < alpha < float("inf"):
        raise InvalidInput(
            f"alpha is {alpha}; expected a number above 0: it is added to each count, so that what "
            "the training data never show keeps a probability."
        )
    return alpha
