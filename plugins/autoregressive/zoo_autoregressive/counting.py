"""Closed-form maximum likelihood: models that are fitted by counting, without gradients.

A model turns a batch into sufficient statistics and solves for its parameters. The statistics are a
module of their own beside the model: saved in checkpoints, so that a run can be resumed, and left
out of the published weights.
"""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, distributed, nn

from zoo_core.config import Rate
from zoo_core.errors import InvalidInput
from zoo_core.protocols import DensityModel
from zoo_core.training.likelihood import MaximumLikelihood
from zoo_core.training.objective import network_of
from zoo_core.training.protocols import Update

__all__ = ["Counted", "Counting", "Total", "check_alpha"]


class Counted(DensityModel, Protocol):
    """A density model with sufficient statistics."""

    def statistics(self, x: Tensor) -> Tensor:
        """Counts to be summed over batches, int64; their shape does not depend on the batch.

        x: inputs, (B, *event_shape), in [0, 1].
        """
        ...

    def fit(self, counts: Tensor) -> None:
        """Set the parameters to the most probable ones given the sum of the statistics."""
        ...


def exact(x: Tensor) -> torch.autocast:
    """No mixed precision, where inputs x are: a sum of more than 256 is no number of bfloat16."""
    return torch.autocast(x.device.type, enabled=False)


class Counting(MaximumLikelihood):
    """Accumulates a model's statistics and fits its parameters after each batch.

    Args:
        model: a Counted model.
        noise: as that of MaximumLikelihood.
    """

    def __init__(self, model: nn.Module, noise: Rate = 0.0) -> None:
        super().__init__(model, noise)
        self.networks["statistics"] = Total(self.model)

    @torch.no_grad()
    def training_step(
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: torch.Generator,
        labels: Tensor | None = None,
        step: int = 1,
    ) -> dict[str, Tensor]:
        """Count a batch x, (B, *event_shape), and fit the model."""
        x = self.with_noise(x, generator)
        with exact(x):
            statistics = self.model.statistics(x)
        self.model.fit(network_of(self.networks, "statistics", Total).add(statistics))
        return {"nll": -self.model.log_prob(x).mean()}


class Total(nn.Module):
    """The sum of a model's statistics over batches, and over processes.

    Args:
        model: a Counted model.
    """

    total: Tensor

    def __init__(self, model: Counted) -> None:
        super().__init__()
        nothing = model.statistics(torch.empty(0, *model.event_shape))
        self.register_buffer("total", torch.zeros_like(nothing))

    def add(self, counts: Tensor) -> Tensor:
        """Add the statistics of a batch, of which each process has a part; return the sum."""
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(counts)
        return self.total.add_(counts)


def check_alpha(alpha: float) -> float:
    """Return the smoothing count that is added to each cell.

    Raises InvalidInput unless it is above 0: unseen values must stay possible.
    """
    if not 0 < alpha < float("inf"):
        raise InvalidInput(
            f"alpha is {alpha}; expected a number above 0: it is added to each count, so that "
            "values which the training data never show keep a probability."
        )
    return alpha
