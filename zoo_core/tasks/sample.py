"""Sample from a model."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from zoo_core.errors import InvalidInput
from zoo_core.loading import class_names
from zoo_core.options import option
from zoo_core.protocols import Bound, Conditional, Decoder, Generator, Prompted
from zoo_core.tasks.groups import Samples
from zoo_core.tasks.result import Result
from zoo_core.text import argument, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from zoo_core.tasks.context import Context

__all__ = ["Options", "draw", "of_label", "require_prompted", "sample"]


@dataclass(frozen=True, kw_only=True)
class Options(Samples):
    """Of the task `sample`."""

    prompts: tuple[str, ...] = option(
        (),
        "Text to condition on, for a prompt-conditioned model",
        flags=("--prompt",),
        metavar="TEXT",
    )
    between: int = option(0, "Interpolated rows between each two prompts", minimum=0)
    draw: str = option(
        "auto",
        "Of a decoder's independent pixels: their means, or samples with their noise; auto is mean "
        "at temperature 1",
        choices=("auto", "mean", "sample"),
    )
    truncation: float | None = option(
        None, "Resample latents further from 0, where the model can", above=0
    )
    guidance: float | None = option(
        None, "More than 1 makes the label plainer, where the model can do that", minimum=0
    )
    compile: bool = option(
        False,
        "Sample by a step that torch compiles, on a GPU a CUDA graph, where it can",
    )


def sample(model: Generator, options: Options, context: Context) -> Result:
    """Sample n times, or n times for each prompt; pictures of images, rows of tables."""
    condition = {
        **of_label(model, options.label, context.name),
        **_truncation(model, options.truncation, context.name),
        **_guidance(model, options, context.name),
    }
    if options.compile:
        return _compiled(model, options, context)
    if options.prompts:
        return _of_prompts(model, options, context, condition)
    if options.between:
        raise InvalidInput(f"{argument('between')} is for samples of two prompts or more.")
    x, notes = _samples_or_means(model, options, context, condition)
    of = "" if options.label is None else f" of {_class(options.label, model, context)}"
    summary = f"{counted(len(x), 'sample')}{of} from {context.name}"
    if x.ndim == 4:
        return Result(
            summary=summary, notes=notes, images=x, frames=x.split(1), tensors={"samples": x}
        )
    from zoo_core.tasks.inputs import table_rows

    return Result(summary=summary, notes=notes, rows=table_rows(model, x), tensors={"samples": x})


def _compiled(model: Generator, options: Options, context: Context) -> Result:
    """The same by the compiled step.

    Raises InvalidInput for a model without one, and for a label, which a step does not take.
    """
    from zoo_core.export.compiled import compiled_step

    with compiled_step(model, context.name):
        if options.label is not None:
            raise InvalidInput(
                f"{argument('compile')}: the step of {context.name} takes no label. Leave one out."
            )
        return sample(model, replace(options, compile=False), context)


def _samples_or_means(
    model: Generator, options: Options, context: Context, condition: Mapping[str, object]
) -> tuple[Tensor, tuple[str, ...]]:
    """Samples, or the means of what a decoder of independent pixels gives, and which they are.

    Raises InvalidInput for means of another model, or at another temperature than 1.
    """
    decoder = model if isinstance(model, Decoder) and isinstance(model, Bound) else None
    if options.draw == "mean" and (decoder is None or condition):
        raise InvalidInput(
            f"{argument('draw', 'mean')}: the pixels of {context.name} are not independent given "
            "its latents, so they have no means to show. Leave it out."
        )
    if options.draw == "mean" and options.temperature != 1:
        raise InvalidInput(
            f"{argument('temperature', options.temperature)} is of the noise that "
            f"{argument('draw', 'mean')} leaves out: give one of them."
        )
    if decoder and not condition and options.draw != "sample" and options.temperature == 1:
        from zoo_core.tasks.latents import decode_latents, sample_latents

        z = sample_latents(decoder, options.n, context)
        return decode_latents(decoder, z, context), (
            f"means of each pixel; {argument('draw', 'sample')} adds noise",
        )
    noisy = ("each pixel is sampled with the decoder's noise",) if decoder else ()
    return draw(model, options.n, context, temperature=options.temperature, **condition), noisy


def draw(
    model: Generator, n: int, context: Context, *, temperature: float = 1.0, **condition: object
) -> Tensor:
    """Return n samples, computed in batches, (n, *event_shape), on the CPU.

    condition: what else the model's `sample` takes.
    """
    import torch

    sample: Callable[..., Tensor] = model.sample
    with torch.inference_mode():
        parts = [
            sample(size, generator=streams, temperature=temperature, **condition).cpu()
            for size, streams in context.samples(model, n)
        ]
    return torch.cat(parts)


def of_label(model: Generator, label: int | None, name: str) -> dict[str, int]:
    """The label as an argument of the model's `sample`; nothing where none is requested.

    Raises InvalidInput for one that the model does not have.
    """
    if label is None:
        return {}
    classes = model.classes if isinstance(model, Conditional) else 0
    if not classes:
        from zoo_core.tasks import able

        raise InvalidInput(
            f"{argument('label', label)}: {name} was trained without labels, so it cannot sample "
            f"one class alone. Leave the label out; it can {', '.join(able(model))}."
        )
    if not 0 <= label < classes:
        raise InvalidInput(f"{argument('label', label)}: {name} has the labels 0 to {classes - 1}.")
    return {"label": label}


def _class(label: int, model: Generator, context: Context) -> str:
    """What a label is called: of clusters, which have no labels, what they mostly hold."""
    if not context.clusters:
        names = class_names(model)
        return f"label {label} ({names[label]})" if label < len(names) else f"label {label}"
    holds = context.clusters[label] if label < len(context.clusters) else ""
    return f"cluster {label}, mostly {holds}," if holds else f"cluster {label}"


def require_prompted(model: Generator, prompts: Sequence[str], name: str) -> Prompted:
    """The model, as one that is conditional on text.

    Raises InvalidInput for one that is not.
    """
    if not isinstance(model, Prompted):
        from zoo_core.tasks import able

        raise InvalidInput(
            f"{argument('prompts', prompts[0], '--prompt')}: {name} is not conditional on text. "
            f"Leave the prompt out; it can {', '.join(able(model))}."
        )
    return model


def _of_prompts(
    model: Generator, options: Options, context: Context, condition: dict[str, Any]
) -> Result:
    """n samples of each prompt, a row each. The noise is the same in every row.

    Raises InvalidInput when the model is not conditional on text, or cannot read a prompt, and for
    means, which these samples do not have.
    """
    if options.draw == "mean":
        raise InvalidInput(
            f"{argument('draw', 'mean')}: samples of a prompt have noise of their own, and no "
            "means to show. Leave it out."
        )
    import torch

    with torch.inference_mode():
        codes = require_prompted(model, options.prompts, context.name).read(options.prompts)
    many = len(codes) + max(0, len(codes) - 1) * options.between
    context.require_memory(model, options.n * many, n=options.n, between=options.between)
    names, rows = _interpolate_codes(options.prompts, codes, options.between)
    condition["temperature"] = options.temperature
    x = torch.cat(
        [draw(model, options.n, context, prompt=code.unsqueeze(0), **condition) for code in rows]
    )
    texts = ", ".join(map(repr, options.prompts))
    return Result(
        summary=f"{len(x):,} samples of {texts} from {context.name}",
        images=x,
        columns=options.n,
        names=names,
        frames=x.split(options.n),
        tensors={"samples": x},
        texts={"prompts": names},
    )


def _interpolate_codes(
    prompts: Sequence[str], codes: Tensor, between: int
) -> tuple[list[str], Sequence[Tensor]]:
    """The name and the code of each row: the prompts, and so many steps between each two.

    codes: (len(prompts), code).
    """
    import torch

    if not between:
        return list(prompts), codes.unbind()
    if len(prompts) < 2:
        raise InvalidInput(
            f"{argument('between', between)}: the steps lie between two prompts, and "
            f"{prompts[0]!r} is one."
        )
    names, rows = [], []
    for (name, start), (_, end) in pairwise(zip(prompts, codes, strict=True)):
        names += [name, *[""] * between]
        rows += [torch.lerp(start, end, i / (between + 1)) for i in range(between + 1)]
    return [*names, prompts[-1]], [*rows, codes[-1]]


def _truncation(model: Generator, bound: float | None, name: str) -> dict[str, float]:
    """How far latents may be from 0, as an argument of the model's `sample`; nothing by default."""
    if bound is None:
        return {}
    if "truncation" not in inspect.signature(model.sample).parameters:
        raise InvalidInput(
            f"{argument('truncation', bound)}: {name} cannot resample its latents. Use "
            f"{argument('temperature')}, which every model that samples has."
        )
    return {"truncation": bound}


def _guidance(model: Generator, options: Options, name: str) -> dict[str, float]:
    """The guidance as an argument of the model's `sample`; nothing by default.

    Raises InvalidInput for a model that takes none, or without a label.
    """
    if options.guidance is None:
        return {}
    given = argument("guidance", options.guidance)
    if "guidance" not in inspect.signature(model.sample).parameters:
        raise InvalidInput(f"{given}: {name} samples without guidance.")
    if options.label is None:
        raise InvalidInput(f"{given} leads towards a label: give {argument('label')} too.")
    return {"guidance": options.guidance}
