"""The weights that a run keeps, and the registry entry that describes them."""

from __future__ import annotations

import math
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from zoo_core import loading
from zoo_core.data import load_dataset
from zoo_core.data.binarization import levels_of, needs_binarization
from zoo_core.data.resolve import parse_spec
from zoo_core.errors import ZooError
from zoo_core.files import write_atomic
from zoo_core.metrics import Measured, complete, find, measure
from zoo_core.metrics.comparison import parameters
from zoo_core.metrics.likelihood import values
from zoo_core.metrics.rows import BATCH
from zoo_core.protocols import Bound, DensityModel
from zoo_core.tasks import able
from zoo_core.text import slug
from zoo_core.training.checksums import read_checksums
from zoo_core.training.run import toml

if TYPE_CHECKING:
    from zoo_core.data import Dataset
    from zoo_core.hookspecs import Architecture
    from zoo_core.plugins import Family
    from zoo_core.training.recipe import Recipe

__all__ = ["Publisher"]

_OF_BOUNDS = ("iw_bound", "elbo", "prior_fitting", "active_units")
"""What is measured of a model whose likelihood is bounded."""


@dataclass(frozen=True)
class Publisher:
    """Writes the weights of a run, and at its end `entry.toml`."""

    recipe: Recipe
    folder: Path
    """The run folder; its name is the entry's."""
    family: Family
    architecture: Architecture
    data: Dataset
    """The training split."""
    data_root: Path | None = None
    tests_in: float = math.inf
    """Seconds that measuring the test split may take, about; in none it is not."""

    @property
    def name(self) -> str:
        """The entry's name: the folder's, where need be after the architecture's, as a slug."""
        prefix = f"{self.recipe.architecture}."
        return prefix + slug(self.folder.resolve().name.removeprefix(prefix))

    @property
    def of_all_rows(self) -> Recipe:
        """The recipe with its whole data set, where training has but some of the rows."""
        spec = parse_spec(self.recipe.data, self.data_root)
        return replace(self.recipe, data=spec.name)

    def publish(self, networks: Mapping[str, nn.Module], values: Mapping[str, float]) -> None:
        """Write the weights that a validation found worth keeping, and its values with them."""
        metrics = {f"val_{key}": value for key, value in values.items()}
        self._save(networks["model"], metrics)

    def finish(self, model: nn.Module, device: torch.device, seen: int) -> dict[str, Any]:
        """Measure the kept weights once on the test split, and describe them.

        model: takes them up.
        seen: how many rows they had seen, each pass counted.

        Returns the registry entry.
        """
        loading.fill(model, self.folder / loading.WEIGHTS, device)
        try:
            measured = self._measure(model.eval())
        except ZooError as error:  # no reason to lose what was trained
            measured = []
            print(f"the entry has no metrics: {error}", file=sys.stderr)  # noqa: T201
        self._save(model, {metric["name"]: metric["value"] for metric in measured})
        return self._entry(measured, model, seen)

    def _measure(self, model: nn.Module) -> list[dict[str, Any]]:
        """The metrics of the entry, by the protocol that `zoo eval` follows."""
        if not self.tests_in:
            return []
        # a recipe that states the protocol of another metric asks for it
        names = list(self.recipe.entry.get("protocol", {}))
        if isinstance(model, DensityModel):
            names.append("test_nll")
        elif isinstance(model, Bound):
            names += _OF_BOUNDS
        return [self._metric(model, name) for name in dict.fromkeys(names)]

    def _metric(self, model: nn.Module, name: str) -> dict[str, Any]:
        """A metric as the registry has it; the recipe's entry may add to its protocol."""
        binarized = needs_binarization(levels_of(model), self.data)
        kind, own = find(name), self.recipe.entry.get("protocol", {}).get(name, {})
        limited, some = (None, "") if own or name != "test_nll" else self._nll_in_time(model)
        defaults = {
            "data": f"{self.of_all_rows.data}:test{some}",
            "binarize": "fixed" if binarized else "none",
            "seed": 0 if binarized else None,
            "size": self.recipe.size,
            "gray": self.recipe.gray or None,
        }
        protocol = complete(name, own, defaults)
        measured = limited or measure(name, model, protocol, self.data_root)
        metric: dict[str, Any] = {
            "name": name,
            "value": round(measured.value, 3),
            "unit": kind.unit,
            "tolerance": kind.tolerance,
            "protocol": {**protocol, **measured.settled},
        }
        if measured.real is not None:
            metric["real"] = round(measured.real, 3)
        if measured.error > 0:  # neither unknown nor of a count
            metric["standard_error"] = float(f"{measured.error:.3g}")
        published: dict[str, Any] = self.recipe.entry.get("published", {}).get(name, {})
        return metric | published

    def _nll_in_time(self, model: nn.Module) -> tuple[Measured | None, str]:
        """The nats of the first test rows that can be measured in time, and which these are.

        They are in memory, where a protocol reads the table anew; None where there is no limit.
        """
        if self.tests_in == math.inf or not isinstance(model, DensityModel):
            return None, ""
        began, few, recipe = time.monotonic(), self.data[:BATCH], self.of_all_rows
        values(model, few, model.log_prob)
        rows = math.ceil(len(few) * self.tests_in / (time.monotonic() - began))
        there = load_dataset(recipe.data, split="test", root=self.data_root, columns=recipe.columns)
        rows = max(BATCH, rows)
        nats = -values(model, there[:rows], model.log_prob)
        return Measured.of(nats), f"[0:{rows}]" if rows < len(there) else ""

    def _save(self, model: nn.Module, metrics: Mapping[str, float]) -> None:
        metadata = self._metadata() | {"metrics": dict(metrics)}
        store = None if self.recipe.store == "auto" else self.recipe.store
        loading.save(model, self.folder / loading.WEIGHTS, metadata, dtype=store, force=True)

    def _metadata(self) -> dict[str, Any]:
        versions = {
            "zoo-core": version("zoo-core"),
            self.family.distribution: self.family.version,
            "torch": torch.__version__,
            "python": platform.python_version(),
        }
        columns = [column.table() for column in self.data.columns if column.required]
        labelled = {"classes", "heads"} & self.recipe.config.keys()
        classes = list(self.data.classes) if labelled else []
        return {
            "name": self.name,
            "family": self.family.name,
            "requires": loading.requirement(self.family),
            "architecture": self.recipe.architecture,
            "config": self.recipe.config,
            "recipe_sha256": self.recipe.digest,
            "data": self.of_all_rows.data_name,
            "data_sha256": self.data.digest,
            **({"columns": columns} if columns else {}),
            **({"classes": classes} if classes else {}),
            "licence": self.recipe.entry.get("licence", {}),
            "versions": versions,
        }

    def _entry(
        self, metrics: list[dict[str, object]], model: nn.Module, seen: int
    ) -> dict[str, Any]:
        """The registry entry of the run's weights, also written to `entry.toml`."""
        path = self.folder / loading.WEIGHTS
        entry = {
            "name": self.name,
            "summary": f"{self.architecture.name} on {self.recipe.data_name}",
            "family": self.family.name,
            "requires": loading.requirement(self.family),
            "architecture": self.recipe.architecture,
            "tasks": [task for task in able(model) if task in self.architecture.tasks],
            "data": self.of_all_rows.data,
            "recipe": "recipe.toml",
            "licence": {"code": "unknown", "weights": "unknown"},
            **{k: v for k, v in self.recipe.entry.items() if k not in ("published", "protocol")},
            "config": self.recipe.config,
            "weights": {
                "url": loading.WEIGHTS,
                "sha256": loading.open_source(path).sha256,
                "bytes": path.stat().st_size,
                "parameters": parameters(model),
                "checksums": [*read_checksums(self.folder)],
                "seen": seen,
            },
        }
        if metrics:
            entry["metrics"] = metrics
        text = toml({"schema": 1, "entry": [entry]})
        write_atomic(self.folder / "entry.toml", text.encode())
        return entry
