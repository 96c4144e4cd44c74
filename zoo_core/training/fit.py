"""The loop with all that a recipe adds around it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_core.training.averages import MovingAverages
from zoo_core.training.batches import Batches, Hold
from zoo_core.training.checksums import Checksums
from zoo_core.training.loop import Loop
from zoo_core.training.patience import Patience
from zoo_core.training.previews import Previews
from zoo_core.training.publishing import Publish, Publishing
from zoo_core.training.report import Reporting

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from zoo_core.data import Dataset
    from zoo_core.protocols import Trainer
    from zoo_core.training.callbacks import Callback
    from zoo_core.training.recipe import Recipe

__all__ = ["make_loop"]


def make_loop(
    trainer: Trainer,
    recipe: Recipe,
    train: Dataset,
    validation: Dataset,
    folder: Path,
    *,
    fabric: Fabric,
    publish: Publish | None = None,
    callbacks: Sequence[Callback] = (),
    quiet: bool = False,
    hold: Hold = lambda _, make: make(),
) -> Loop:
    """Make the loop that trains by a recipe.

    trainer: the objective and its networks.
    train, validation: the splits that are learnt from, and by which the best weights are chosen.
    folder: the run folder, which exists.
    fabric: where to train; launched.
    publish: writes the weights that the recipe keeps.
    callbacks: others, which come before those of the recipe.
    quiet: whether to show nothing.
    hold: makes data sets, as Batches takes it.
    """
    usual: list[Callback] = [*callbacks]
    if recipe.ema:
        usual.append(MovingAverages(recipe.ema))
    if publish:
        usual.append(Publishing(publish, recipe.keep))
    usual += [Reporting(quiet=quiet), Previews(quiet=quiet), Checksums()]
    if recipe.patience:
        usual.append(Patience(recipe.patience))
    batches = Batches(recipe, train, validation, trainer, fabric, hold)
    return Loop(trainer, batches, recipe, folder, fabric=fabric, callbacks=usual)
