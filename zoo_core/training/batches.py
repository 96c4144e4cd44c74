"""Rows of a data set become the tensors of a step; nothing else does this.

A recipe decides what is done to them: which labels are known, which labelled rows are added to each
batch, and whether grey values are binarized, once or afresh in each step. Captions take the labels'
place where a trainer reads them. Of several processes each has its share of every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from zoo_core.data import Dataset, binarize, binarize_dataset, with_labels
from zoo_core.errors import InvalidInput
from zoo_core.training.protocols import CaptionReader
from zoo_core.training.seeds import seed_for, stream

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from zoo_core.protocols import Trainer
    from zoo_core.training.recipe import Recipe

__all__ = ["Batch", "Batches", "Hold", "Part"]

_VALIDATION_BATCH = 500

Hold = Callable[[str, Callable[[], Dataset]], Dataset]
"""Given a name and what makes a data set, makes it, or takes what was made under that name."""


class Batch(NamedTuple):
    """What a trainer is given of some rows, on its device."""

    x: Tensor
    """(B, *event_shape), in [0, 1]."""
    labels: Tensor | None
    """(B,), int64, -1 where a label is not known; or (B, …), what the trainer reads of captions."""


class Part(NamedTuple):
    """Rows of a step that are computed at once, by one process."""

    rows: Tensor
    """(B,)"""
    weight: float
    """Of their mean loss: summed over the parts, and averaged over the processes, weighted means
    are the mean over all rows of the step."""
    places: slice = slice(None)
    """Among the rows that are computed at once, by all processes."""
    of: int = 0
    """How many rows of the step are computed at once, by all processes."""


class Batches:
    """The batches of a run.

    Args:
        recipe: the settings.
        train: the training split.
        validation: the split by which the best weights are chosen.
        trainer: the objective; captions are read for one that is a CaptionReader.
        fabric: says the device, and which process of how many this is.
        hold: given a name and what makes a data set, makes it; `Host.load` does so once for the
            processes of a machine.

    Raises InvalidInput where the recipe asks for labels, or the trainer for captions, that the data
    do not have.
    """

    def __init__(
        self,
        recipe: Recipe,
        train: Dataset,
        validation: Dataset,
        trainer: Trainer,
        fabric: Fabric,
        hold: Hold = lambda _, make: make(),
    ) -> None:
        self.recipe, self.fabric = recipe, fabric
        self.digests = {"training": train.digest, "validation": validation.digest}
        """Of the splits before anything is done to them."""
        if recipe.labels:
            train = with_labels(train, recipe.labels, seed_for(recipe.seed, "labels"))
        if isinstance(trainer, CaptionReader):
            train, validation = (_encode_captions(trainer, data) for data in (train, validation))
        self.train, self.validation = _binarize(recipe, train, validation, hold)
        self.labelled = _labelled_rows(self.train) if recipe.labelled else None
        self.steps_per_epoch = -(-len(self.train) // recipe.batch_size)

    def seen(self, step: int) -> int:
        """How many rows the first steps are given, in all processes, each pass counted."""
        epochs, rest = divmod(step, self.steps_per_epoch)
        return epochs * len(self.train) + rest * self.recipe.batch_size

    def mean(self) -> Tensor:
        """The mean of the training split, event_shape, in [0, 1]; one process computes it."""
        # of all rows as floats at once, whose sum the last bits of older runs are of
        own = self.train.floats().mean(0) if self.fabric.is_global_zero else None
        mean = self.fabric.broadcast(own)
        assert mean is not None
        return mean

    def rows(self, epoch: int) -> tuple[Tensor, ...]:
        """The rows of each batch of an epoch, (B,) each, of all processes together."""
        random = stream(self.recipe.seed, "epoch", epoch)
        order = torch.randperm(len(self.train), generator=random)
        return torch.split(order, self.recipe.batch_size)

    def parts(self, rows: Tensor, step: int) -> list[Part]:
        """This process's share of a step, in as many parts as the recipe accumulates.

        Every process has as many parts, and together they compute the same rows at once as one.
        Labelled rows come behind the others, where the recipe adds them.

        rows: of the step, of all processes together, (B,).
        step: number of steps before this one.
        """
        rows = rows if self.labelled is None else self._more(rows, step)
        return [self._share(part, len(rows)) for part in rows.chunk(self.recipe.accumulate)]

    def training(self, rows: Tensor, random: torch.Generator) -> Batch:
        """Rows of the training split.

        random: samples binary values from grey ones, where the recipe says so.
        """
        batch = self._batch(self.train, rows)
        if self.recipe.binarize == "dynamic":
            batch = batch._replace(x=binarize(batch.x, random))
        return batch

    def validation_share(self) -> Iterator[tuple[int, Batch]]:
        """This process's batches of the validation split, each with its number."""
        parts = torch.arange(len(self.validation)).split(_VALIDATION_BATCH)
        for number in range(self.fabric.global_rank, len(parts), self.fabric.world_size):
            yield number, self._batch(self.validation, parts[number])

    def held_out(self, first: int) -> Batch:
        """The first rows of the validation split."""
        return self._batch(self.validation, torch.arange(len(self.validation))[:first])

    def _batch(self, data: Dataset, rows: Tensor) -> Batch:
        device = self.fabric.device
        labels = None if data.labels is None else data.labels[rows].to(device)
        return Batch(data.floats(rows).to(device), labels)

    def _more(self, rows: Tensor, step: int) -> Tensor:
        """The rows of a batch with some of the labelled ones behind them."""
        assert self.labelled is not None
        random = stream(self.recipe.seed, "labelled", step)
        chosen = torch.randperm(len(self.labelled), generator=random)[: self.recipe.labelled]
        return torch.cat([rows, self.labelled[chosen]])

    def _share(self, rows: Tensor, of_step: int) -> Part:
        """This process's share of rows that are computed at once."""
        places = self._places(len(rows))
        share = rows[places]
        # a share of all rows is what each process has where there are too few
        processes = 1 if len(share) == len(rows) else self.fabric.world_size
        return Part(share, len(share) * processes / of_step, places, len(rows))

    def _places(self, rows: int) -> slice:
        """The places in a batch that are this process's; all of them when there are too few."""
        processes = self.fabric.world_size
        enough = rows >= processes
        return slice(self.fabric.global_rank, None, processes) if enough else slice(None)


def _binarize(
    recipe: Recipe, train: Dataset, validation: Dataset, hold: Hold
) -> tuple[Dataset, Dataset]:
    """Binarize validation once, also where training is in each step, and training if it is `fixed`.

    The other place is `Batches.training`, for `dynamic`.
    """
    if recipe.binarize == "none":
        return train, validation

    def once(data: Dataset, split: str) -> Dataset:
        make = partial(binarize_dataset, data, seed_for(recipe.seed, f"binarize {split}"))
        return hold(f"{split}-binarized", make) if data.levels == 256 else make()

    fixed = once(validation, "validation")
    return once(train, "train") if recipe.binarize == "fixed" else train, fixed


def _encode_captions(trainer: CaptionReader, data: Dataset) -> Dataset:
    """The data set with what the trainer reads of its captions in the labels' place."""
    if not data.texts:
        raise InvalidInput(
            f"{data.name} has no captions; this architecture takes a Hugging Face data set with a "
            "column `text` or `caption`."
        )
    return replace(data, labels=trainer.read_captions(data.texts), classes=())


def _labelled_rows(data: Dataset) -> Tensor:
    """The rows whose label is known, (n,)."""
    rows = torch.empty(0) if data.labels is None else (data.labels >= 0).nonzero().squeeze(1)
    if not len(rows):
        raise InvalidInput(
            f"the recipe adds labelled rows to each batch, but {data.name} has no labels. "
            "Leave labelled out."
        )
    return rows
