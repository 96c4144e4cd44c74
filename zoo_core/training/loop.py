"""The one training loop, over Lightning Fabric: one process, several, or several hosts.

It takes a Trainer and knows nothing of its objective. Every random stream is derived from the
recipe's seed, a purpose and a number (the step, the epoch), never carried along: a run that was
killed and is resumed computes the same numbers as one that was not.
"""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo_core.data import Dataset, binarize, binarized, with_labels
from zoo_core.errors import InvalidInput, ZooError
from zoo_core.protocols import CaptionReader, Preview, Restarting, Trainer
from zoo_core.training import checkpoint
from zoo_core.training.recipe import Recipe
from zoo_core.training.report import Report

__all__ = ["Interrupted", "Loop", "seed_for"]

_LOG_EVERY = 50
"""Steps between rows of metrics.jsonl."""
_CHECKPOINT_SECONDS = 120.0
_VALIDATION_BATCH = 500
_SHOWN = 64
"""Inputs that a preview is handed."""


class Interrupted(ZooError):
    """Training was asked to stop; its checkpoint is written."""

    exit_code = 130


def seed_for(seed: int, purpose: str, number: int = 0) -> int:
    """Return the seed of one random stream: a hash, so that no two streams are alike."""
    text = f"{seed}/{purpose}/{number}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


class Loop:
    """One run of training.

    Args:
        trainer: the objective and its networks.
        recipe: the settings.
        train: the training split.
        validation: the split by which the best weights are chosen.
        folder: the run folder, which exists.
        publish: called with the networks and the values of a validation, when they are to be kept.
        fabric: where to train; launched.
        quiet: whether to show nothing.
    """

    def __init__(
        self,
        trainer: Trainer,
        recipe: Recipe,
        train: Dataset,
        validation: Dataset,
        folder: Path,
        *,
        publish: Callable[[Mapping[str, nn.Module], Mapping[str, float]], None],
        fabric: Fabric,
        quiet: bool = False,
    ) -> None:
        self.trainer, self.recipe, self.fabric, self.folder = trainer, recipe, fabric, folder
        if recipe.labels:
            train = with_labels(train, recipe.labels, seed_for(recipe.seed, "labels"))
        if isinstance(trainer, CaptionReader):
            train, validation = (_captioned(trainer, data) for data in (train, validation))
        self.train, self.validation = _binarization(recipe, train, validation)
        self.labelled = _labelled(self.train) if recipe.labelled else None
        self.publish, self.quiet = publish, quiet
        self.networks = dict(trainer.networks)
        self.optimizers: dict[str, Optimizer] = {}
        self.schedulers: dict[str, Any] = {}
        self.averages: dict[str, ModelEmaV3] = {}
        self.progress = checkpoint.Progress(recipe=recipe.digest)
        self.steps_per_epoch = -(-len(self.train) // recipe.batch_size)
        self.report: Report | None = None
        self._sums: dict[str, Any] = {}
        self._count = 0
        self._saved = time.monotonic()

    @property
    def last(self) -> Path:
        """The file from which the run can be resumed."""
        return self.folder / "checkpoints" / "last.safetensors"

    def run(self, *, resume: bool = False) -> checkpoint.Progress:
        """Train to the end of the recipe, or until the recipe's patience is over.

        Raises Interrupted when a signal asked to stop, and InvalidInput when the loss is not finite
        or `resume` finds other settings.
        """
        torch.manual_seed(seed_for(self.recipe.seed, "begin"))
        resume = resume and self.last.is_file()  # a run may be killed before its first checkpoint
        if not resume:
            self.trainer.begin(self.train.floats().mean(0))
        self._setup()
        if resume:
            self.progress = checkpoint.read(
                self.last, self._modules(), self.optimizers, recipe=self.recipe.digest
            )
        total = self.recipe.epochs * self.steps_per_epoch
        if self.fabric.is_global_zero:  # one process writes for all
            self.report = Report(self.folder, total, self.progress.step, quiet=self.quiet)
        try:
            with _stop_between_steps() as stopping:
                while self.progress.epoch < self.recipe.epochs and not self._out_of_patience():
                    self._epoch(stopping)
        finally:
            if self.report:
                self.report.close()
        return self.progress

    def _setup(self) -> None:
        """Move everything to its device; what has gradients gets optimiser, schedule and average.

        A network without trainable parameters is the trainer's own affair: it counts, or is given.
        """
        for name, network in self.networks.items():
            if not any(parameter.requires_grad for parameter in network.parameters()):
                self.trainer.networks[name] = self.fabric.to_device(network)
                continue
            settings = {"opt": "adam", "lr": 1e-3, **self._settings("optimizer", name)}
            optimizer = _optimizer(network, settings)
            if schedule := self._settings("schedule", name):
                self.schedulers[name] = _schedule(
                    optimizer, schedule, self.recipe.epochs, self.steps_per_epoch
                )
            wrapped, self.optimizers[name] = self.fabric.setup(network, optimizer)
            for method in _public_methods(network):
                wrapped.mark_forward_method(method)
            self.trainer.networks[name] = wrapped
            if self.recipe.ema:
                self.averages[name] = ModelEmaV3(
                    network, self.recipe.ema, use_warmup=True, foreach=True
                )

    def _settings(self, section: str, network: str) -> dict[str, Any]:
        """A recipe's section; a table named after a network overrides it for that one."""
        table = getattr(self.recipe, section)
        common = {key: value for key, value in table.items() if key not in self.networks}
        return {**common, **table.get(network, {})}

    def _modules(self) -> dict[str, nn.Module]:
        averages = {f"{name}.ema": average.module for name, average in self.averages.items()}
        return {**self.networks, **averages}

    def _epoch(self, stopping: Callable[[], bool]) -> None:
        """Train the rest of an epoch, and validate when it is time."""
        epoch = self.progress.epoch
        done = self.progress.step - epoch * self.steps_per_epoch
        order = torch.randperm(len(self.train), generator=self._random("epoch", epoch))
        for batch in order.split(self.recipe.batch_size)[done:]:
            self._step(batch)
            if stopping():
                self._save()
                raise Interrupted(
                    f"stopped at step {self.progress.step}; go on with: "
                    f"zoo train --resume {self.folder}"
                )
            if time.monotonic() - self._saved > _CHECKPOINT_SECONDS:
                self._save()
        self.progress.epoch = epoch + 1
        if self.progress.epoch % self.recipe.validate_every == 0 or epoch + 1 == self.recipe.epochs:
            self._validate()
            self._save()

    def _step(self, batch: Tensor) -> None:
        step = self.progress.step
        for scheduler in self.schedulers.values():
            scheduler.step_update(step)
        rank = self.fabric.global_rank
        # dropout and the like use torch's default stream
        _seed_default(
            seed_for(self.recipe.seed, f"default stream of {rank}", step), self.fabric.device
        )
        random = self._random(f"step of {rank}", step, self.fabric.device)
        share = self._share(batch if self.labelled is None else self._more(batch, self.labelled))
        x = self.train.floats(share).to(self.fabric.device)
        if self.recipe.binarize == "dynamic":
            x = binarize(x, random)
        if isinstance(self.trainer, Restarting) and self.trainer.restarts(len(x)):
            for optimizer in self.optimizers.values():
                optimizer.state.clear()
        updates = {name: self._updater(name) for name in self.optimizers}
        labels = self._labels(self.train, share)
        # Fabric casts a network's methods on many devices only, and never a trainer's arithmetic
        with self.fabric.autocast():
            values = self.trainer.training_step(x, updates, random, labels)
        self._log(values)

    def _more(self, batch: Tensor, labelled: Tensor) -> Tensor:
        """A batch with some of the labelled rows behind it."""
        random = self._random("labelled", self.progress.step)
        chosen = torch.randperm(len(labelled), generator=random)[: self.recipe.labelled]
        return torch.cat([batch, labelled[chosen]])

    def _labels(self, data: Dataset, rows: Tensor) -> Tensor | None:
        return None if data.labels is None else data.labels[rows].to(self.fabric.device)

    def _share(self, batch: Tensor) -> Tensor:
        """The rows of a batch that are this process's; all of them when there are too few."""
        processes = self.fabric.world_size
        return batch if len(batch) < processes else batch[self.fabric.global_rank :: processes]

    def _updater(self, name: str) -> Callable[[Tensor], None]:
        network, optimizer = self.trainer.networks[name], self.optimizers[name]

        def update(loss: Tensor) -> None:
            optimizer.zero_grad()
            with torch.autocast(self.fabric.device.type, enabled=False):
                self.fabric.backward(loss)
                if self.recipe.clip:
                    self.fabric.clip_gradients(network, optimizer, max_norm=self.recipe.clip)
                optimizer.step()
                if name in self.averages:
                    self.averages[name].update(self.networks[name], self.progress.step + 1)
            torch.clear_autocast_cache()  # it holds the weights as they were

        return update

    def _log(self, values: Mapping[str, Tensor]) -> None:
        self.progress.step += 1
        if self.report:
            self.report.advance()
        self._sums = {key: value + self._sums.get(key, 0.0) for key, value in values.items()}
        self._count += 1
        if self.progress.step % _LOG_EVERY and self.progress.step % self.steps_per_epoch:
            return
        means = {key: float(value) / self._count for key, value in self._sums.items()}
        self._sums, self._count = {}, 0
        if bad := [key for key, value in means.items() if not abs(value) < float("inf")]:
            raise InvalidInput(
                f"{bad[0]} is not finite at step {self.progress.step}. Try a lower learning rate "
                "(--set optimizer.lr=…) or gradient clipping (--set clip=1)."
            )
        first = next(iter(self.optimizers.values()), None)
        rate = {"lr": first.param_groups[0]["lr"]} if first else {}
        where = {"step": self.progress.step, "epoch": self.progress.epoch + 1}
        if self.report:
            self.report.step({**means, **rate}, **where)

    @torch.no_grad()
    def _validate(self) -> None:
        """Measure the validation split, and publish the weights that the recipe keeps."""
        means = self._measure()
        monitored = means[self.trainer.monitor]
        best = monitored < self.progress.best
        if best:
            self.progress.best, self.progress.best_step = monitored, self.progress.step
        if self.report:
            if best or self.recipe.keep == "last":
                self.publish(self._published(), means)
            where = {"step": self.progress.step, "epoch": self.progress.epoch}
            self.report.validation(means, best=best, **where)
            if isinstance(self.trainer, Preview):
                self._preview(self.trainer, self.report, means)

    def _measure(self) -> dict[str, float]:
        random = self._random("validation", 0, self.fabric.device)
        rows = torch.arange(len(self.validation)).split(_VALIDATION_BATCH)
        with self._evaluated():
            parts = [
                self.trainer.validation_step(x, random, labels)
                for x, labels in map(self._held_out, rows)
            ]
        # in double precision: a mean over many inputs must not depend on how they are batched
        return {key: float(torch.cat([p[key] for p in parts]).double().mean()) for key in parts[0]}

    def _preview(self, trainer: Preview, report: Report, means: Mapping[str, float]) -> None:
        x, labels = self._held_out(torch.arange(len(self.validation))[:_SHOWN])
        with self._evaluated():
            random = self._random("preview", 0, self.fabric.device)
            report.preview(trainer.preview(x, random, labels), self.progress.step)
        if remark := trainer.remark(means):
            report.say(remark)

    def _held_out(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Inputs of the validation split, and their labels."""
        x = self.validation.floats(rows).to(self.fabric.device)
        return x, self._labels(self.validation, rows)

    @contextmanager
    def _evaluated(self) -> Iterator[None]:
        """Give the trainer what is published, in evaluation mode, in place of what is trained."""
        trained = dict(self.trainer.networks)
        self.trainer.networks.update(self._published())
        for network in self.trainer.networks.values():
            network.eval()
        try:
            yield
        finally:
            self.trainer.networks.update(trained)
            for network in self.trainer.networks.values():
                network.train()

    def _published(self) -> dict[str, nn.Module]:
        return {
            name: self.averages[name].module if name in self.averages else network
            for name, network in self.networks.items()
        }

    def _out_of_patience(self) -> bool:
        if not self.recipe.patience:
            return False
        waited = (self.progress.step - self.progress.best_step) / self.steps_per_epoch
        return waited >= self.recipe.patience * self.recipe.validate_every

    def _save(self) -> None:
        if self.fabric.is_global_zero:
            self.last.parent.mkdir(exist_ok=True)
            checkpoint.write(self.last, self.progress, self._modules(), self.optimizers)
        self._saved = time.monotonic()

    def _random(
        self, purpose: str, number: int, device: torch.device | str = "cpu"
    ) -> torch.Generator:
        generator = torch.Generator(device)
        return generator.manual_seed(seed_for(self.recipe.seed, purpose, number))


def _seed_default(seed: int, device: torch.device) -> None:
    """Seed torch's default streams that are used, at each step.

    `torch.manual_seed` also notes a stack trace for every other kind of device there might be: a
    millisecond, and memory that is never given back.
    """
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def _binarization(recipe: Recipe, train: Dataset, validation: Dataset) -> tuple[Dataset, Dataset]:
    """Validation is drawn once, also where training is drawn afresh; so is training when asked."""
    if recipe.binarize == "none":
        return train, validation
    fixed = binarized(validation, seed_for(recipe.seed, "binarize validation"))
    if recipe.binarize == "fixed":
        train = binarized(train, seed_for(recipe.seed, "binarize train"))
    return train, fixed


def _captioned(trainer: CaptionReader, data: Dataset) -> Dataset:
    """The data set with what the trainer reads of its captions in the labels' place."""
    if not data.texts:
        raise InvalidInput(
            f"{data.name} has no captions; this architecture takes a Hugging Face data set with a "
            "column `text` or `caption`."
        )
    return replace(data, labels=trainer.read_captions(data.texts), classes=())


def _labelled(data: Dataset) -> Tensor:
    """The rows whose label is known, (n,)."""
    rows = torch.empty(0) if data.labels is None else (data.labels >= 0).nonzero().squeeze(1)
    if not len(rows):
        raise InvalidInput(
            f"the recipe adds labelled rows to each batch, but {data.name} has no labels. "
            "Leave labelled out."
        )
    return rows


def _optimizer(network: nn.Module, settings: Mapping[str, Any]) -> Optimizer:
    with _explained("optimizer", settings):
        optimizer: Optimizer = create_optimizer_v2(network, **settings)
    return optimizer


def _schedule(
    optimizer: Optimizer, settings: Mapping[str, Any], epochs: int, steps_per_epoch: int
) -> Any:
    settings = {"num_epochs": epochs, "min_lr": 0.0, **settings}
    if settings.get("sched") == "plateau":
        raise InvalidInput(
            "schedule.sched is 'plateau'; expected one that is a function of the step."
        )
    with _explained("schedule", settings):
        scheduler, _ = create_scheduler_v2(
            optimizer, **settings, step_on_epochs=False, updates_per_epoch=steps_per_epoch
        )
    return scheduler


@contextmanager
def _explained(section: str, settings: Mapping[str, Any]) -> Iterator[None]:
    """Say which section of the recipe timm or torch did not take."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(
            f"the recipe's [{section}] {dict(settings)} does not work: {error}."
        ) from None


def _public_methods(network: nn.Module) -> list[str]:
    """What a trainer may call on a network besides forward; Fabric wants to know."""
    own = type(network).__mro__[: type(network).__mro__.index(nn.Module)]
    return [
        name
        for cls in own
        for name, value in vars(cls).items()
        if callable(value) and not name.startswith("_") and name != "forward"
    ]


@contextmanager
def _stop_between_steps() -> Iterator[Callable[[], bool]]:
    """Turn the first SIGINT or SIGTERM into a question asked between steps; a second one kills."""
    asked = []

    def ask(number: int, frame: Any) -> None:
        asked.append(number)
        signal.signal(number, previous[signal.Signals(number)])

    previous: dict[signal.Signals, Any] = {}
    with suppress(
        ValueError
    ):  # signals belong to the main thread; elsewhere there is nothing to do
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, ask)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
