"""Moving averages of the weights (EMA), which are validated and published in the weights' place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from timm.utils import ModelEmaV3

from zoo_core.training.callbacks import Callback

if TYPE_CHECKING:
    from zoo_core.training.loop import Loop

__all__ = ["MovingAverages"]


class MovingAverages(Callback):
    """An average of each network that has an optimiser, moved by each of its updates.

    Args:
        decay: of what an average has been, in (0, 1); smaller in the first steps.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.of: dict[str, ModelEmaV3] = {}

    def prepare(self, loop: Loop) -> None:
        """Begin from the networks as they are, in a checkpoint and for what is published."""
        for name in loop.optimizers.of:
            # of a sharded network only some tensors are shares, and a list has one kind
            foreach = name not in loop.optimizers.whole
            average = ModelEmaV3(loop.networks[name], self.decay, use_warmup=True, foreach=foreach)
            self.of[name] = average
            loop.state[f"{name}.ema"] = average.module
            loop.keep(name, average.module)

    def after_update(self, loop: Loop, network: str) -> None:
        """Move the average of a network."""
        self.of[network].update(loop.networks[network], loop.progress.step + 1)
