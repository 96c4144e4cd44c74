"""A model's sampler with its step through `torch.compile`; on a GPU that is a CUDA graph.

The compiled step sums in another order, so that logits may differ in their last bits. A sample is
the same as long as no random number lies between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from zoo_core import plugins
from zoo_core.errors import InvalidInput
from zoo_core.export.function import Stepwise
from zoo_core.text import argument

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["compiled_step"]


@contextmanager
def compiled_step(model: Any, name: str) -> Iterator[None]:
    """Have the sampler of a model take its compiled step, in place of its `walk`.

    The model is changed for as long: no other thread may sample from it.

    name: the model's, for messages.

    Raises InvalidInput for a model without a step of its own, and from within, where torch cannot
    compile it.
    """
    import torch

    if not isinstance(model, Stepwise) or not hasattr(model, "walk"):
        raise InvalidInput(
            f"{argument('compile')}: {name} has no step of its own to compile. Architectures that "
            f"have one: {', '.join(_stepwise())}. Leave it out."
        )
    mode = "reduce-overhead" if model.order.is_cuda else None
    step = torch.compile(model.step, dynamic=False, mode=mode)

    def walk(x: Tensor, label: None = None) -> Generator[Tensor, Tensor, None]:
        return _walk(model, step, x)

    vars(model)["walk"] = walk
    try:
        yield
    finally:
        del vars(model)["walk"]


def _walk(
    model: Stepwise, step: Callable[..., tuple[Tensor, ...]], x: Tensor
) -> Generator[Tensor, Tensor, None]:
    """Yield the logits of each variable in turn, and receive its value, (n,).

    x: the variables before the first step, in the order, (n, d): values in [0, 1], of which binary
        ones have logits (n,); or levels, int64, which have logits (n, levels).
    """
    import torch
    from torch._dynamo.exc import TorchDynamoException

    (n, d), of_levels = x.shape, x.dtype == torch.int64
    t = torch.zeros((), dtype=torch.int64, device=x.device)
    state = [part.clone() for part in model.state(n)]  # one tensor twice would be another program
    top, x_i = (model.levels or 2) - 1, torch.zeros_like(x[:, :1].sum(1))
    for i in range(len(model.order)):
        t.fill_(i)
        torch.compiler.cudagraph_mark_step_begin()
        before = (x_i / top).to(state[0].dtype) if of_levels else x_i
        try:
            logits, *state = step(t, before, *state)
        except TorchDynamoException as error:
            raise InvalidInput(
                f"{argument('compile')}: torch cannot compile the step here: "
                f"{str(error).splitlines()[0].rstrip('.')}. It needs a C++ compiler, such as g++, "
                "and on a GPU Triton. Leave it out to sample without."
            ) from error
        if x.is_cuda:  # the next step writes where a CUDA graph has left this one's
            logits, state = logits.clone(), [part.clone() for part in state]
        if of_levels and logits.ndim == 1:
            logits = torch.stack([torch.zeros_like(logits), logits], 1)
        x_i = x[:, i].contiguous() if i < d else (yield logits)


def _stepwise() -> list[str]:
    """The architectures whose classes have a step of their own."""
    return sorted(
        each.name
        for family in plugins.load_all()
        for each in family.architectures.values()
        if hasattr(plugins.import_class(each.path), "step")
    )
