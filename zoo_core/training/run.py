"""A run from recipe to published weights: a folder that holds all of it.

runs/nade.mnist/
    recipe.toml         the settings, complete
    metrics.jsonl       losses and validations; curve.png draws them
    checkpoints/        from which a killed run goes on
    model.safetensors   the weights that the recipe keeps: `zoo run runs/nade.mnist`
    entry.toml          a registry entry for them, at the end
    samples/            what the networks made at each validation, where their trainer shows it;
                        samples.gif runs through them
"""

from __future__ import annotations

import dataclasses
import platform
import shutil
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import tomli_w
import torch
from lightning_fabric import Fabric
from torch import nn

from zoo_core import loading, plugins
from zoo_core.data import load_dataset
from zoo_core.errors import InvalidInput, OutputExists, ZooError, did_you_mean
from zoo_core.header import read_header
from zoo_core.hookspecs import Architecture
from zoo_core.metrics import find, measure
from zoo_core.protocols import Bound, DensityModel, Trainer
from zoo_core.tasks import find as find_task
from zoo_core.training.fit import make_loop
from zoo_core.training.recipe import Recipe, read
from zoo_core.training.seeds import seed_for

if TYPE_CHECKING:
    from zoo_core.plugins import Family

__all__ = ["Run"]

_OF_BOUNDS = ("iw_bound", "elbo", "prior_fitting", "active_units")
"""What is measured of a model whose likelihood is bounded."""


class Run:
    """One training run and its folder.

    Args:
        recipe: the settings.
        folder: the run folder; its name is the entry's.
        data_root: folder of the data sets.
        family: the installed family of the recipe's architecture.
        architecture: its record.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        family: Family,
        architecture: Architecture,
        *,
        data_root: Path | None = None,
    ) -> None:
        if recipe.threads:
            torch.set_num_threads(recipe.threads)
        # Adam's moments of weights that rest decay to numbers that a processor is slow with. A
        # thread has this from the one that starts it, so it comes before any work.
        torch.set_flush_denormal(True)
        self.folder, self.family, self.architecture = folder, family, architecture
        self.data_root = data_root
        self.train, self.validation = (
            load_dataset(
                recipe.data, split=split, root=data_root, size=recipe.size, gray=recipe.gray
            )
            for split in ("train", "validation")
        )
        self.recipe = self._complete(recipe)

    @property
    def name(self) -> str:
        """The entry's name: the folder's where that is `architecture.variant`."""
        prefix = f"{self.recipe.architecture}."
        name = self.folder.resolve().name
        return name if name.startswith(prefix) else prefix + name

    def execute(
        self,
        *,
        resume: bool = False,
        device: str = "auto",
        devices: int = 1,
        nodes: int = 1,
        quiet: bool = False,
        force: bool = False,
    ) -> dict[str, Any]:
        """Train, and return the registry entry of the weights that were kept.

        resume: go on with the run that the folder holds.
        force: replace the run that the folder holds.

        Raises OutputExists when the folder holds a run and neither is given.
        """
        fabric = self._fabric(device, devices, nodes)
        if fabric.is_global_zero:
            self._prepare(resume, force)
        fabric.launch()
        torch.manual_seed(seed_for(self.recipe.seed, "initialise"))
        cls = plugins.import_class(self.architecture.path)
        model = loading.build(cls, self.recipe.config)
        loop = make_loop(
            self._trainer(model),
            self.recipe,
            self.train,
            self.validation,
            self.folder,
            publish=self._publish,
            fabric=fabric,
            quiet=quiet,
        )
        loop.run(resume=resume)
        return self._finish(model, fabric.device) if fabric.is_global_zero else {}

    def _fabric(self, device: str, devices: int, nodes: int) -> Fabric:
        try:
            return Fabric(
                accelerator=device,
                devices=devices,
                num_nodes=nodes,
                precision=cast(Any, self.recipe.precision),
            )
        except (RuntimeError, ValueError) as error:
            raise InvalidInput(
                f"cannot train on {devices} x {device!r} with precision {self.recipe.precision} "
                f"({error}). Expected --device auto, cpu, cuda or mps, and as many --devices as "
                "there are."
            ) from None

    def _complete(self, recipe: Recipe) -> Recipe:
        """Fill in what the data decide: shape, levels, domains; whether grey levels are drawn."""
        cls = plugins.import_class(self.architecture.path)
        config = dict(recipe.config)
        if "shape" in _arguments(cls):
            config.setdefault("shape", list(self.train.event_shape))
            if "levels" in _arguments(cls):
                config.setdefault("levels", self.train.levels)
            if tuple(config["shape"]) != self.train.event_shape:
                raise InvalidInput(
                    f"config.shape is {tuple(config['shape'])}, but the rows of {recipe.data} have "
                    f"shape {self.train.event_shape}. Leave config.shape out, or set size and gray."
                )
        if "domains" in _arguments(cls) and self.train.classes:
            config.setdefault("domains", list(self.train.classes))
        self._check_classes(recipe.data, config.get("classes", 0))
        binarize = recipe.binarize
        if binarize == "auto":
            binary_model = getattr(cls, "levels", config.get("levels")) == 2
            binarize = "dynamic" if binary_model and self.train.levels != 2 else "none"
        return dataclasses.replace(
            recipe, config=config, binarize=binarize, family=self.family.name
        )

    def _check_classes(self, data: str, classes: object) -> None:
        """Check that a conditional model has a class for each label of its data."""
        labels = self.train.labels
        found = 0 if labels is None else int(labels.max()) + 1
        if isinstance(classes, int) and classes and not 0 < found <= classes:
            has = f"labels from 0 to {found - 1}" if found else "no labels"
            raise InvalidInput(
                f"config.classes is {classes}, but {data} has {has}. Set it to {found}"
                + ("." if found else ": the model is then trained without.")
            )

    def _prepare(self, resume: bool, force: bool) -> None:
        """Make the folder, or check that what it holds can be resumed."""
        path = self.folder / "recipe.toml"
        if force and not resume:
            _clear(self.folder)
        if resume and path.is_file() and read(path).digest != self.recipe.digest:
            raise InvalidInput(
                f"{self.folder} was trained with other settings than these; a run is resumed with "
                "its own. Leave the other settings out, or start a new run in another folder (-o)."
            )
        started = ("metrics.jsonl", "checkpoints", loading.WEIGHTS)
        if not resume and any((self.folder / name).exists() for name in started):
            raise OutputExists(
                f"{self.folder} already holds a run. Go on with it: zoo train --resume "
                f"{self.folder}. Or choose another folder (-o), or replace it (--force)."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        path.write_text(_toml(dataclasses.asdict(self.recipe)), "utf-8")

    def _trainer(self, model: nn.Module) -> Trainer:
        cls = plugins.import_class(self.architecture.trainer)
        taken = _arguments(cls)[1:]
        for key in self.recipe.trainer:
            if key not in taken:
                raise InvalidInput(
                    f"trainer.{key} is not an argument of {cls.__name__}."
                    f"{did_you_mean(key, taken)} It takes {', '.join(taken) or 'none'}."
                )
        return cast(Trainer, cls(model, **self.recipe.trainer))

    def _publish(self, networks: Mapping[str, nn.Module], values: Mapping[str, float]) -> None:
        metrics = {f"val_{key}": value for key, value in values.items()}
        self._save(networks["model"], metrics)

    def _finish(self, model: nn.Module, device: torch.device) -> dict[str, Any]:
        """Measure the kept weights once on the test split, and describe them."""
        loading.fill(model, self.folder / loading.WEIGHTS, device)
        try:
            measured = self._measured(model.eval())
        except ZooError as error:  # no reason to lose what was trained
            measured = []
            print(f"the entry has no metrics: {error}", file=sys.stderr)  # noqa: T201
        self._save(model, {metric["name"]: metric["value"] for metric in measured})
        return self._entry(measured, model)

    def _measured(self, model: nn.Module) -> list[dict[str, Any]]:
        """The metrics of the entry, by the protocol that `zoo eval` follows."""
        # a recipe that states the protocol of another metric asks for it
        names = list(self.recipe.entry.get("protocol", {}))
        if isinstance(model, DensityModel):
            names.append("test_nll")
        elif isinstance(model, Bound):
            names += _OF_BOUNDS
        return [self._metric(model, name) for name in dict.fromkeys(names)]

    def _metric(self, model: nn.Module, name: str) -> dict[str, Any]:
        """A metric as the registry has it; the recipe's entry may add to its protocol."""
        drawn = getattr(model, "levels", None) == 2 and self.train.levels != 2
        kind = find(name)
        protocol = {
            "data": f"{self.recipe.data}:test",
            "binarize": "fixed" if drawn else "none",
            "seed": 0 if drawn else None,
            "size": self.recipe.size,
            "gray": self.recipe.gray or None,
            **kind.protocol,
            **self.recipe.entry.get("protocol", {}).get(name, {}),
        }
        protocol = {key: value for key, value in protocol.items() if value is not None}
        measured = measure(name, model, protocol, self.data_root)
        metric: dict[str, Any] = {
            "name": name,
            "value": round(measured.value, 3),
            "unit": kind.unit,
            "tolerance": kind.tolerance,
            "protocol": {**protocol, **measured.settled},
        }
        if measured.real is not None:
            metric["real"] = round(measured.real, 3)
        published: dict[str, Any] = self.recipe.entry.get("published", {}).get(name, {})
        return metric | published

    def _save(self, model: nn.Module, metrics: Mapping[str, float]) -> None:
        metadata = self._metadata() | {"metrics": dict(metrics)}
        store = None if self.recipe.store == "auto" else self.recipe.store
        loading.save(model, self.folder / loading.WEIGHTS, metadata, dtype=store)

    def _metadata(self) -> dict[str, Any]:
        versions = {
            "zoo-core": version("zoo-core"),
            self.family.distribution: self.family.version,
            "torch": torch.__version__,
            "python": platform.python_version(),
        }
        return {
            "name": self.name,
            "family": self.family.name,
            "requires": loading.requirement(self.family),
            "architecture": self.recipe.architecture,
            "config": self.recipe.config,
            "recipe_sha256": self.recipe.digest,
            "data": self.recipe.data,
            "data_sha256": self.train.digest,
            "licence": self.recipe.entry.get("licence", {}),
            "versions": versions,
        }

    def _entry(self, metrics: list[dict[str, Any]], model: nn.Module) -> dict[str, Any]:
        """The registry entry of the run's weights, also written to `entry.toml`."""
        path = self.folder / loading.WEIGHTS
        # fewer than the weights hold, where not all of them are used
        parameters = getattr(model, "free_parameters", read_header(path).parameters)
        entry = {
            "name": self.name,
            "summary": f"{self.architecture.name} on {self.recipe.data}",
            "family": self.family.name,
            "requires": loading.requirement(self.family),
            "architecture": self.recipe.architecture,
            "tasks": [task for task in self.architecture.tasks if find_task(task).suits(model)],
            "data": self.recipe.data,
            "recipe": "recipe.toml",
            "licence": {"code": "unknown", "weights": "unknown"},
            **{k: v for k, v in self.recipe.entry.items() if k not in ("published", "protocol")},
            "config": self.recipe.config,
            "weights": {
                "url": loading.WEIGHTS,
                "sha256": loading.open_source(path).sha256,
                "bytes": path.stat().st_size,
                "parameters": parameters,
            },
        }
        if metrics:
            entry["metrics"] = metrics
        text = _toml({"schema": 1, "entry": [entry]})
        (self.folder / "entry.toml").write_text(text, "utf-8")
        return entry


def _arguments(cls: type) -> list[str]:
    import inspect

    return list(inspect.signature(cls).parameters)


def _toml(value: Mapping[str, Any]) -> str:
    return tomli_w.dumps(_without_none(value))


def _without_none(value: Any) -> Any:
    """TOML has no null: a field that is not set is left out."""
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value]
    return value


def _clear(folder: Path) -> None:
    """Remove a run's files, and nothing else that lies in its folder."""
    for name in ("recipe.toml", "metrics.jsonl", "curve.png", "entry.toml", loading.WEIGHTS):
        (folder / name).unlink(missing_ok=True)
    for name in ("samples.gif", "samples.gif.provenance.json"):
        (folder / name).unlink(missing_ok=True)
    for name in ("checkpoints", "samples", "tensorboard"):
        shutil.rmtree(folder / name, ignore_errors=True)
