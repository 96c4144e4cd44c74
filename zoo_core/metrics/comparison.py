"""Models of any kind, compared on the same rows.

An explicit model is measured exactly, or by orders where rows have missing cells that it has no
consistent marginals for. A Bound is measured by its importance-weighted bound. Each is marked so.
An implicit one can only be listed.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo_core import loading
from zoo_core.columns import table_columns
from zoo_core.data import Dataset
from zoo_core.data.columns import fit_columns
from zoo_core.data.resolve import data_name, parse_spec
from zoo_core.errors import InvalidInput
from zoo_core.metrics.likelihood import caveats, kind_of, log_prob_of, values
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import (
    BATCH,
    OfBinaryRows,
    Root,
    load_binarized,
    parts,
    seeded,
    settings_of,
)
from zoo_core.protocols import Bound, DensityModel, Generator
from zoo_core.text import argument, quoted

if TYPE_CHECKING:
    from zoo_core.model import AnyModel

__all__ = ["Comparison", "Standing", "common_data", "compare", "parameters", "with_split"]

_SEED = 0
"""Of binarization, bounds and samples."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The results of one model."""

    name: str
    parameters: int
    values: str
    """What its variables are: `binary`, `256 levels`, `real`; figures compare within one kind."""
    kind: str
    """`exact`, `by orders` (see `kind_of`), `bound` (the truth is no worse), or nothing where there
    is no figure."""
    nats: Measured | None
    bits_per_dim: float | None
    note: str
    samples: Tensor | None
    """(n, *event_shape), in [0, 1], on the CPU."""
    each: Tensor | None = field(default=None, compare=False, repr=False)
    """Nats of each row that was measured, (n,); of two models the first ones are of equal rows."""


def compare(
    *models: AnyModel | str | Path,
    data: str | os.PathLike[str] = "",
    data_root: Root = None,
    samples: int = 0,
    device: str | torch.device = "cpu",
) -> list[Standing]:
    """Measure models on the same rows, and return where each stands, in their order.

    `zoo_core.compare("bernoulli.nltcs", "nade.nltcs")[1].nats.value`

    Args:
        models: models in memory, or names of entries, runs' folders or weights files.
        data: rows to measure on, as `mnist:test`; by default the test split of the data set that
            all were trained on.
        data_root: folder of the data sets.
        samples: how many samples of each model that can be sampled.
        device: where named models are loaded; those in memory stay where they are.

    Raises InvalidInput where no model is given, where no data set is common to all, or data do not
    fit a model.
    """
    _check_models(models)
    loaded = [loading.loaded(model, device=device) for model in models]
    infos = [loading.info(model) for model in loaded]
    data = data_name(data) or common_data([(info.name, info.data) for info in infos])
    comparison = Comparison(with_split(data, data_root), data_root, samples=samples)
    return [comparison.stand(info.name, model) for info, model in zip(infos, loaded, strict=True)]


def _check_models(models: Sequence[object]) -> None:
    """Refuse no model, and several in one argument."""
    if not models:
        raise InvalidInput("no model is given to compare: expected some, as compare(a, b).")
    for model in models:
        if not isinstance(model, nn.Module | str | Path):
            advice = ": give each on its own, as compare(*models)" if _is_several(model) else ""
            raise InvalidInput(
                f"{quoted(model)} is no model to compare{advice}. Expected a model in memory, the "
                "name of an entry, or the path of a run or a weights file."
            )


def _is_several(models: object) -> bool:
    return isinstance(models, Iterable) and not isinstance(models, Tensor)


def common_data(trained: Iterable[tuple[str, str]]) -> str:
    """The data set that all models were trained on.

    trained: the name of each, and its data set.

    Raises InvalidInput where there is none.
    """
    trained = list(trained)
    if len({data for _, data in trained}) == 1 and (data := trained[0][1]):
        return data
    listed = ", ".join(f"{name} on {data or 'unknown data'}" for name, data in trained)
    raise InvalidInput(
        f"these have no data set in common: {listed}. Give one ({argument('data')})."
    )


def with_split(data: str, root: Root = None) -> str:
    """The test split of a data set where no split is named."""
    parsed = parse_spec(data, root)
    rows = data.removeprefix(parsed.name)
    return data if parsed.split else f"{parsed.name}:test{rows}"


class Comparison:
    """Measures models on one data set.

    Args:
        data: a data set with a split, as `mnist:test`; binary models see one fixed draw of it.
        root: folder of the data sets.
        samples: how many samples of each model that can be sampled.
        table: the rows, where they are a table that is in memory; it is not read again then.
    """

    def __init__(
        self, data: str, root: Root = None, *, samples: int = 0, table: Dataset | None = None
    ) -> None:
        self.data, self.root, self.samples, self.table = data, root, samples, table
        # models of one shape and kind share the rows: they are read and sampled once
        self.rows = lru_cache(maxsize=4)(self._rows)

    def stand(self, name: str, model: nn.Module, *, seconds: float = math.inf) -> Standing:
        """Measure one model, and sample from it.

        seconds: after which no more rows of a table in memory are measured. They come in one
            random order, the same for all models.

        Raises InvalidInput when the data do not fit it.
        """
        kind, measured, bits, each = kind_of(model), None, None, None
        if isinstance(model, DensityModel | Bound):
            each, missing = self._measure(name, model, seconds)
            kind, measured = kind_of(model, missing), Measured.of(each)
            if _has_bits(model):
                bits = measured.value / (torch.Size(_event_shape(model)).numel() * math.log(2))
        implicit = "an implicit model: it can be sampled, and has no likelihood"
        return Standing(
            name=name,
            parameters=parameters(model),
            values=_values(model),
            kind=kind,
            nats=measured,
            bits_per_dim=bits,
            note="".join(caveats(kind)) if kind == "by orders" else "" if measured else implicit,
            samples=self._sample(model),
            each=each,
        )

    def _measure(self, name: str, model: Any, seconds: float) -> tuple[Tensor, bool]:
        """The nats of each row that is measured, (n,), and whether cells are missing in these."""
        protocol, log_prob, missing = self._protocol(model), log_prob_of(model), False

        def nats(rows: Dataset) -> Tensor:
            nonlocal missing
            missing = missing or bool(rows.x.isnan().any())
            return -values(model, rows, log_prob)

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)  # bounds are estimated from samples
            if self.table is None:
                found = parts(model, protocol, self.root, lambda *_: self._whole(name, model))
                return torch.cat([nats(fit_columns(model, some)) for some in found]), missing
            rows, ends = self._whole(name, model), time.monotonic() + seconds
            order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(_SEED))
            each = []
            for places in order.split(BATCH):
                each.append(nats(rows[places]))
                if time.monotonic() > ends:
                    break
            return torch.cat(each), missing

    def _whole(self, name: str, model: nn.Module) -> Dataset:
        shape = _event_shape(model)
        table = self.rows(self._protocol(model)) if self.table is None else self.table
        rows = fit_columns(model, table)
        if rows.event_shape != shape:
            raise InvalidInput(
                f"{name} takes rows of shape {shape}, but those of {self.data} have "
                f"{rows.event_shape}. Leave it out, or compare on data of its own "
                f"({argument('data')})."
            )
        return rows

    def _rows(self, protocol: OfBinaryRows) -> Dataset:
        return load_binarized(protocol, self.root)

    def _protocol(self, model: nn.Module) -> OfBinaryRows:
        return OfBinaryRows(data=self.data, seed=_SEED, **settings_of(model))

    def _sample(self, model: nn.Module) -> Tensor | None:
        if not self.samples or not isinstance(model, Generator):
            return None
        random = seeded(_SEED, model)
        with torch.inference_mode():
            return model.sample(self.samples, generator=random).cpu()


def parameters(model: nn.Module) -> int:
    """The number of parameters of a model: all numbers that are fitted, by gradients or counts.

    These are the elements of its `nn.Parameter`s, frozen or not; where some of them are not used,
    or are not free, the model's `free_parameters`. Buffers, as the running statistics of batch
    normalisation, masks and orders, are not counted.
    """
    free: int | None = getattr(model, "free_parameters", None)
    return sum(p.numel() for p in model.parameters()) if free is None else free


def _has_bits(model: nn.Module) -> bool:
    """Whether its nats are of probabilities: those of a column's density depend on its unit."""
    return all(column.kind != "real" for column in table_columns(model))


def _values(model: nn.Module) -> str:
    levels = getattr(model, "levels", None)
    if table_columns(model) and levels is None:
        return "mixed columns"
    return {None: "real", 2: "binary"}.get(levels, f"{levels} levels")


def _event_shape(model: nn.Module) -> tuple[int, ...]:
    shape: Any = model.event_shape
    return tuple(shape)
