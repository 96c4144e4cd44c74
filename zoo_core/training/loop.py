"""The one training loop, over Lightning Fabric: one process, several, or several hosts.

It takes an objective (a Trainer) and batches, and knows nothing of what either does. What happens
beside the steps is done by callbacks, which belong to the caller.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain
from operator import itemgetter
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from zoo_core import draws
from zoo_core.checks import trusted
from zoo_core.errors import InvalidInput, naming
from zoo_core.protocols import Trainer
from zoo_core.text import command_line
from zoo_core.training import checkpoint
from zoo_core.training.batches import Batch, Batches, Part
from zoo_core.training.callbacks import Callback, Validation
from zoo_core.training.optimizers import Optimizers, quick_steps
from zoo_core.training.processes import Votes, gather, share_buffers
from zoo_core.training.protocols import Fitting, Restarting, step_of
from zoo_core.training.recipe import Recipe
from zoo_core.training.report import say
from zoo_core.training.seeds import seed_default, seed_for, stream
from zoo_core.training.sharding import filled
from zoo_core.training.signals import Interrupted, stop_between_steps

__all__ = ["Loop"]

_CHECKPOINT_SECONDS = 120.0
_FITTED = 100
"""Batches that a trainer fits something to."""


class Loop:
    """One run of training.

    Args:
        trainer: the objective and its networks.
        batches: what its steps are given.
        recipe: the settings.
        folder: the run folder, which exists; checkpoints go there.
        fabric: where to train; launched.
        callbacks: what is done beside the steps.
    """

    optimizers: Optimizers

    def __init__(
        self,
        trainer: Trainer,
        batches: Batches,
        recipe: Recipe,
        folder: Path,
        *,
        fabric: Fabric,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.trainer, self.batches, self.recipe = trainer, batches, recipe
        self.folder, self.fabric, self.callbacks = folder, fabric, callbacks
        self.networks = dict(trainer.networks)
        """The networks as the trainer made them: not wrapped."""
        self.kept: dict[str, nn.Module] = dict(self.networks)
        """What is validated and published."""
        self.state: dict[str, nn.Module] = dict(self.networks)
        """What a checkpoint holds, beside optimisers and progress."""
        self.progress = checkpoint.Progress(
            recipe=recipe.digest, data=batches.digests, processes=fabric.world_size
        )
        self.finished = False
        self.resumed = False
        """Whether a checkpoint is gone on from."""
        self._training_step = step_of(trainer)
        self._restarting = trainer if isinstance(trainer, Restarting) else None
        self._saved = time.monotonic()

    @property
    def last(self) -> Path:
        """The file from which the run can be resumed."""
        return self.folder / "checkpoints" / "last.safetensors"

    def run(self, *, resume: bool = False) -> checkpoint.Progress:
        """Train to the end of the recipe, or until a callback ends it.

        Raises Interrupted when a signal asked a process to stop, and InvalidInput when a loss is
        not finite or `resume` finds other settings or data.
        """
        torch.manual_seed(seed_for(self.recipe.seed, "begin"))
        # a run may be killed before its first checkpoint
        found = resume and any(path.exists() for path in self._checkpoints)
        self.resumed = self.fabric.broadcast(found)
        if not self.resumed:
            self.trainer.begin(self.batches.mean())
        folder = self.last.parents[1]
        with naming(folder, InvalidInput, "Correct its recipe.") if resume else nullcontext():
            self.optimizers = Optimizers(
                self.networks, self.recipe, self.fabric, self.batches.steps_per_epoch
            )
        self.trainer.networks.update(self.optimizers.networks)
        self.kept |= {name: each.network for name, each in self.optimizers.whole.items()}
        self._votes_to_save = Votes(self.fabric) if self.optimizers.whole else None
        for callback in self.callbacks:
            callback.prepare(self)
        if self.resumed:
            self._go_on()
        for callback in self.callbacks:
            callback.begin(self)
        votes = Votes(self.fabric)
        try:
            # the data have been checked: a step does not look at them again
            with stop_between_steps() as asked, trusted(), quick_steps():
                while self.progress.epoch < self.recipe.epochs and not self.finished:
                    self._epoch(lambda: votes.count(asked()))
            votes.close()
            if self._votes_to_save:
                self._votes_to_save.close()
        finally:
            for callback in self.callbacks:
                callback.end(self)
        return self.progress

    @property
    def _checkpoints(self) -> tuple[Path, Path]:
        return self.last, checkpoint.previous(self.last)

    def _go_on(self) -> None:
        """Go back to a checkpoint, and say what another number of processes changes."""
        self.progress = self._read()
        if self.progress.scaler:
            self.fabric.strategy.precision.load_state_dict(self.progress.scaler)
        before, now = self.progress.processes, self.fabric.world_size
        if before not in (0, now) and self.fabric.is_global_zero:
            say(
                f"goes on with {now} process{'es' if now != 1 else ''}, where it had {before}: "
                "batches stay the same, and each process has another share of them. Sums are taken "
                "in another order and random numbers of a step differ, so the weights will not be "
                "the same bit for bit."
            )
        self.progress.processes = now

    def _read(self) -> checkpoint.Progress:
        """Go back to the last checkpoint, or to the one before it where that is damaged."""
        damages = []
        for path in filter(Path.exists, self._checkpoints):
            try:
                progress = checkpoint.read(
                    path,
                    self.state,
                    self.optimizers.of,
                    recipe=self.recipe.digest,
                    data=self.batches.digests,
                )
            except checkpoint.Damaged as error:
                damages.append(error)
                continue
            if damages and self.fabric.is_global_zero:
                found = damages[0].found
                say(f"warning: {found}\nThe run goes on from {path}, step {progress.step}.")
            return progress
        if damages:
            raise damages[0]
        raise InvalidInput(
            f"{self.folder} has no checkpoint on this machine, and the first process of the run "
            "has one. The run's folder must be on a disk that all machines share."
        )

    def _epoch(self, stopping: Callable[[], bool]) -> None:
        """Train the rest of an epoch, and validate when it is time."""
        epoch = self.progress.epoch
        done = self.progress.step - epoch * self.batches.steps_per_epoch
        for rows in self.batches.rows(epoch)[done:]:
            losses = self._step(rows)
            self.progress.step += 1
            for callback in self.callbacks:
                callback.after_step(self, losses)
            if stopping():
                self.save()
                self.fabric.barrier()  # the others wait until it is written
                raise Interrupted(
                    f"stopped at step {self.progress.step}; go on with: "
                    + command_line("zoo", "train", "--resume", self.folder)
                )
            if self._is_time_to_save():
                self.save()
            if self.finished:
                break
        else:
            self.progress.epoch = epoch = epoch + 1
        due = epoch % self.recipe.validate_every == 0 or epoch == self.recipe.epochs
        if due or self.finished:
            self._validate()
            self.save()

    def _step(self, rows: Tensor) -> Mapping[str, Tensor]:
        """Train on one batch; return what the trainer says of it.

        Of several processes each has its part; the mean of what they return is that of the batch.
        """
        step, rank, seed = self.progress.step, self.fabric.global_rank, self.recipe.seed
        self.optimizers.begin_step(step)
        seed_default(seed_for(seed, f"default stream of {rank}", step), self.fabric.device)
        random = stream(seed, f"step of {rank}", step, self.fabric.device)
        parts = self.batches.parts(rows, step)
        if self.fabric.world_size > 1:  # the noise that one process has
            whole = stream(seed, "step of 0", step, self.fabric.device)
            random = draws.Rows(random, whole=whole)
        losses = [self._compute(part, random, last=part is parts[-1]) for part in parts]
        if len(losses) == 1:
            return losses[0]
        return {key: torch.stack([part[key] for part in losses]).sum(0) for key in losses[0]}

    def _compute(self, part: Part, random: torch.Generator, *, last: bool) -> Mapping[str, Tensor]:
        """Compute a part of a step; weights move in the last one. Returns weighted losses."""
        if isinstance(random, draws.Rows):
            random.begin(part.of, part.places)
        x, labels = self.batches.training(part.rows, random)
        if self._restarting and self._restarting.restarts(part.of):
            self.optimizers.forget()
        updates = self.optimizers.updates(self._after_update, part.weight, last=last)
        # Fabric casts a network's methods on many devices only, and never a trainer's arithmetic
        with self.optimizers.reduced(last), self.fabric.autocast():
            losses = self._training_step(x, updates, random, labels, self.progress.step + 1)
        if part.weight == 1:
            return losses
        return {key: value * part.weight for key, value in losses.items()}

    def _after_update(self, network: str) -> None:
        for callback in self.callbacks:
            callback.after_update(self, network)

    @torch.no_grad()
    def _validate(self) -> None:
        """Measure the validation split, and see whether it is the best so far."""
        # statistics of a batch are each process's own
        share_buffers(self.fabric, [self.kept[name] for name in self.optimizers.of])
        with filled(self.optimizers.whole):
            if isinstance(self.trainer, Fitting):
                self._fit(self.trainer)
            values = self.measure()
            monitored = values[self.trainer.monitor]
            best = monitored < self.progress.best
            if best:
                self.progress.best, self.progress.best_step = monitored, self.progress.step
            for callback in self.callbacks:
                callback.after_validation(self, Validation(values, best))

    def _fit(self, trainer: Fitting) -> None:
        """Have a trainer fit something to the last batches, whole in each process.

        They are a function of the step: a resumed run has the same.
        """
        step = self.progress.step
        random = stream(self.recipe.seed, "fit", step, self.fabric.device)
        epoch = (step - 1) // self.batches.steps_per_epoch
        rows = self.batches.rows(epoch)[: step - epoch * self.batches.steps_per_epoch]
        with self.evaluated():
            trainer.fit_to(
                (self.batches.training(some, random)[0] for some in rows[-_FITTED:]), random
            )

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """The mean of each value over the validation split, whose batches the processes share.

        A batch has its own random stream, and sums are added in the order of the batches: the means
        are the same for any number of processes.
        """

        def sums(number: int, batch: Batch) -> tuple[int, int, dict[str, float]]:
            random = stream(self.recipe.seed, "validation", number, self.fabric.device)
            values = self.trainer.validation_step(batch.x, random, batch.labels)
            # in double precision: a mean over many inputs must not depend on how they are batched
            totals = {key: float(value.cpu().double().sum()) for key, value in values.items()}
            return number, len(batch.x), totals

        with self.evaluated():
            own = [sums(*numbered) for numbered in self.batches.validation_share()]
        every = sorted(chain.from_iterable(gather(self.fabric, own)), key=itemgetter(0))
        rows = sum(n for _, n, _ in every)
        return {key: sum(totals[key] for *_, totals in every) / rows for key in every[0][2]}

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        """Give the trainer what is published, in evaluation mode, in place of what is trained."""
        trained = dict(self.trainer.networks)
        self.trainer.networks.update(self.kept)
        for network in self.trainer.networks.values():
            network.eval()
        try:
            yield
        finally:
            self.trainer.networks.update(trained)
            for network in self.trainer.networks.values():
                network.train()

    def keep(self, name: str, network: nn.Module) -> None:
        """Validate and publish another network in the place of the one of a name."""
        if copy := self.optimizers.whole.get(name):
            copy.source = network
        else:
            self.kept[name] = network

    def save(self) -> None:
        """Write a checkpoint; every process of a sharded run has to call it."""
        first = self.fabric.is_global_zero
        if first or self.optimizers.whole:
            tensors = checkpoint.collect(self.state, self.optimizers.of, held=first)
        if first:
            self.last.parent.mkdir(exist_ok=True)
            self.progress.scaler = self.fabric.strategy.precision.state_dict()
            checkpoint.write(self.last, self.progress, tensors)
        self._saved = time.monotonic()

    def _is_time_to_save(self) -> bool:
        """Whether the last checkpoint is old; where all have to write one, the first one says."""
        old = time.monotonic() - self._saved > _CHECKPOINT_SECONDS
        if self._votes_to_save is None:
            return old
        return self._votes_to_save.count(old and self.fabric.is_global_zero)
