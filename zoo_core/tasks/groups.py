"""Options that several tasks share, each group once; a task's own class of options extends them."""

from dataclasses import dataclass

from zoo_core.options import option

__all__ = ["Inputs", "LabelledInputs", "OptionalInputs", "Samples"]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Of a task that needs inputs."""

    inputs: tuple[object, ...] = option(
        (),
        "Image file, folder, table or data set such as mnist:test[0:16]",
        flags=("--input", "-i"),
        metavar="INPUT",
    )


@dataclass(frozen=True, kw_only=True)
class LabelledInputs(Inputs):
    """Of a task that scores inputs, by p(x) or by p(x | label)."""

    label: int | None = option(None, "Label to condition on, p(x | label), where the model can")


@dataclass(frozen=True, kw_only=True)
class OptionalInputs:
    """Of a task that can do without inputs."""

    inputs: tuple[object, ...] = option(
        (),
        "Image file, folder, table or data set; without any, latents are sampled from the prior",
        flags=("--input", "-i"),
        metavar="INPUT",
    )


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Of a task that samples from the model."""

    n: int = option(
        16, "Number of samples; per prompt, where prompts are given", minimum=1, flags=("-n",)
    )
    temperature: float = option(1.0, "Below 1, more probable samples", above=0)
    label: int | None = option(None, "Label to condition on, for a class-conditional model")
