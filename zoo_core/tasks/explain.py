"""Where is an input improbable? −log p(x) variable by variable, in nats.

By the chain rule a variable costs −log p(x_i | those before it), and in a chain or a tree −log of
its factor, p(x_i | its parent): they sum to −log p(x). A VAE splits its bound: a variable costs
−log p(x_i | z) for one draw of the latents, a latent the KL of its posterior to the prior, and they
sum to the negative ELBO.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo_core.options import option
from zoo_core.protocols import Autoregressive, Explainable
from zoo_core.tasks.groups import LabelledInputs
from zoo_core.tasks.result import Result
from zoo_core.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Generator as Random
    from torch import Tensor

    from zoo_core.tasks.context import Context
    from zoo_core.tasks.inputs import Batch

__all__ = ["Options", "Parts", "explain", "parts"]

_COLUMNS = 8
"""Inputs that stand side by side."""
_BRIGHTEST = 0.999
"""Share of the pixels that are darker than the end of the colours: one odd pixel hides no other."""


@dataclass(frozen=True, kw_only=True)
class Options(LabelledInputs):
    """Of the task `explain`."""

    top: int = option(5, "Number of the least probable variables to name", minimum=1)


class Parts(NamedTuple):
    """What each variable and each latent of inputs costs, in nats."""

    variables: Tensor
    """(B, *event_shape)."""
    latents: Tensor
    """(B, number of latents); none of a model that has no latents."""

    def total(self) -> Tensor:
        """Their sum: −log p of each input, or the negative ELBO, (B,)."""
        return self.variables.flatten(1).sum(1) + self.latents.sum(1)


def explain(model: Explainable, options: Options, context: Context) -> Result:
    """Give the nats of each variable; a heat map of images, the costliest columns of tables."""
    import torch

    from zoo_core.tasks.inputs import condition, load_inputs

    model = condition(model, options.label, context.name)
    batch, generator = load_inputs(model, options.inputs, context), context.generator(model)
    with torch.inference_mode():
        each = [parts(model, x, generator) for x in context.batches(batch.x)]
    # plus 0: the nats of a missing cell, which are summed out, are no -0
    found = Parts(*(torch.cat(part).double().cpu() + 0 for part in zip(*each, strict=True)))
    bound = not isinstance(model, Autoregressive)
    costs, names = _name_costs(found, model)
    result = Result(
        summary=f"{counted(len(costs), 'input')} explained by {context.name}",
        figures=_figures(found, costs, names, options.top),
        notes=(*batch.notes, *_caveat(bound)),
        rows=_rows(batch, costs, names),
        tensors={"nats": found.variables, **({"latents": found.latents} if bound else {})},
        texts={"inputs": batch.names},
    )
    if found.variables.ndim == 4:
        return _with_heat(result, batch.x.float().cpu(), found.variables.sum(1))
    return replace(result, bars=dict(zip(names, costs.mean(0).tolist(), strict=True)))


def parts(model: Explainable, x: Tensor, generator: Random | None = None) -> Parts:
    """Split −log p, or a draw of the negative ELBO, of each input.

    x: inputs, (B, *event_shape), in [0, 1].
    generator: of the latents.
    """
    if isinstance(model, Autoregressive):
        return Parts(-model.conditionals(x).view_as(x), x.new_empty(len(x), 0))
    terms = model.elbo_terms(x, generator=generator)
    return Parts(-terms.reconstruction, terms.prior_fitting)


def _name_costs(found: Parts, model: Explainable) -> tuple[Tensor, list[str]]:
    """The costs of what has a name, (B, n): a column, a pixel with all its channels, a latent."""
    import torch

    from zoo_core.tasks.inputs import variable_names

    variables = found.variables
    if variables.ndim == 4:
        variables = variables.sum(1)
    names = variable_names(model) + [f"z{i}" for i in range(found.latents.shape[1])]
    return torch.cat([variables.flatten(1), found.latents], 1), names


def _figures(found: Parts, costs: Tensor, names: Sequence[str], top: int) -> tuple[str, ...]:
    mean = costs.mean(0)
    first = mean.argsort(descending=True)[:top].tolist()
    costliest = ", ".join(f"{names[i]} {float(mean[i]):.2f}" for i in first)
    latents = float(found.latents.sum(1).mean())
    return (
        f"mean {float(found.total().mean()):.2f} nats",
        *((f"of which latents {latents:.2f}",) if found.latents.shape[1] else ()),
        f"costliest on average: {costliest}",
    )


def _caveat(bound: bool) -> tuple[str, ...]:
    if not bound:
        return ()
    return (
        "nats are those of a bound, which is no less than −log p in expectation: of each variable "
        "given one sample of the latents, and of each latent (z) the KL of its posterior to the "
        "prior; they sum to the negative ELBO",
    )


def _rows(batch: Batch, costs: Tensor, names: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each input and variable, the costliest of an input first."""
    order = costs.argsort(dim=1, descending=True, stable=True)
    return [
        {"input": name, "variable": names[i], "nats": value}
        for name, places, values in zip(
            batch.names, order.tolist(), costs.gather(1, order).tolist(), strict=True
        )
        for i, value in zip(places, values, strict=True)
    ]


def _with_heat(result: Result, x: Tensor, nats: Tensor) -> Result:
    """The result with a heat map under each input.

    x: (B, C, H, W), in [0, 1]. nats: (B, H, W).
    """
    from zoo_core import output

    highest = float(nats.flatten().quantile(_BRIGHTEST))
    heat, x = output.heat(nats, highest), x.expand(-1, 3, -1, -1)
    columns = min(len(x), _COLUMNS)
    images, names = output.stacked((x, heat), columns, ("input", f"nats, 0 to {highest:.1f}"))
    return replace(result, images=images, columns=columns, names=names, frames=[x, heat])
