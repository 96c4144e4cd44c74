"""The log-probability of each input: exact, or the bound that a latent-variable model has."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_core.columns import table_columns
from zoo_core.protocols import Scored
from zoo_core.tasks.groups import LabelledInputs
from zoo_core.tasks.result import Result
from zoo_core.text import counted

if TYPE_CHECKING:
    from zoo_core.tasks.context import Context

__all__ = ["Options", "score"]


@dataclass(frozen=True, kw_only=True)
class Options(LabelledInputs):
    """Of the task `score`."""


def score(model: Scored, options: Options, context: Context) -> Result:
    """Give −log p in nats, and in bits per dimension, of each input."""
    from zoo_core.data.columns import cell_types
    from zoo_core.metrics.likelihood import always_exact, caveats
    from zoo_core.output.table import Table, columns_of
    from zoo_core.tasks.inputs import beside, condition, kinds, load_inputs, nats, table_rows

    model = condition(model, options.label, context.name)
    batch = load_inputs(model, options.inputs, context)
    nll = nats(model, batch.x, context)
    bits = nll / (batch.x[0].numel() * math.log(2))
    exact = always_exact(model)
    likelihood = [] if exact else kinds(model, batch.x)
    columns = table_columns(model)
    cells = columns_of(table_rows(model, batch.x, batch.cells)) if columns else {}
    sign = "≤ " if "bound" in likelihood else ""
    kind = {} if exact else {"likelihood": likelihood}
    values = {"nats": nll, "bits_per_dim": bits}
    figures = [f"mean {sign}{nll.mean():.2f} nats", f"{sign}{bits.mean():.4f} bits per dimension"]
    if any(column.kind == "real" for column in columns):  # a density has none: its unit decides
        del values["bits_per_dim"], figures[1]
    each = {name: value.double().numpy() for name, value in values.items()}
    rows = Table(beside({"input": batch.names}, cells) | beside({**each, **kind}, cells))
    return Result(
        summary=f"{counted(len(rows), 'input')} scored by {context.name}",
        figures=tuple(figures),
        notes=(*batch.notes, *caveats(*likelihood)),
        rows=rows,
        tensors=values,
        types=cell_types(batch.cells, columns),
        groups={"inputs": nll.tolist()},
    )
