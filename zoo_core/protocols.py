"""What a model can do, as small protocols: a task is available when its protocol is implemented.

Shapes: B batch, C channels, H height, W width, D variables (D = C·H·W for images), n samples.
Ranges: images are float tensors (B, C, H, W) in [0, 1]; tables of variables are (B, D).
Log-probabilities are in nats. Randomness comes from an explicit `torch.Generator`, or from torch's
default one where none is given.

Over 400 lines: nearly all are signatures and contracts, and whoever writes a model or a task sees
on this one page all that either can ask of the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import (
    TYPE_CHECKING,
    ClassVar,
    NamedTuple,
    Protocol,
    TypeVar,
    cast,
    get_args,
    runtime_checkable,
)

from zoo_core.errors import InvalidInput

if TYPE_CHECKING:
    from torch import Generator as Random
    from torch import Tensor, nn

    from zoo_core.training.protocols import Update as Update

__all__ = [
    "ELBO",
    "AnyCompleter",
    "Attentive",
    "Autoregressive",
    "Bound",
    "Classifier",
    "Completer",
    "Conditional",
    "ConditionalDensity",
    "Decoder",
    "DensityModel",
    "ELBOTerms",
    "Encoder",
    "Explainable",
    "Featurizer",
    "FromParts",
    "Generator",
    "LatentVariable",
    "PartCompleter",
    "Pathfinder",
    "Prompted",
    "Scored",
    "TermwiseBound",
    "Trainer",
    "Translator",
    "Traversable",
    "Traversal",
    "in_words",
    "narrow",
    "shape_of",
]

P = TypeVar("P")
"""A protocol."""


@runtime_checkable
class Generator(Protocol):
    """A model that can be sampled; implicit models can do no more."""

    event_shape: tuple[int, ...]
    """Shape of one sample: (C, H, W) for images, (D,) for tables."""

    def sample(
        self, n: int, *, generator: Random | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Return n samples, (n, *event_shape), in [0, 1].

        temperature: divides the logits; 1 samples the model, towards 0 its most probable choices.
        """
        ...


@runtime_checkable
class Conditional(Generator, Protocol):
    """A generator conditioned on a class label.

    Where it is a DensityModel too, its `log_prob` takes the same `label`.
    """

    classes: int
    """Number of labels, from 0; 0 where the model was trained without any."""

    def sample(
        self,
        n: int,
        *,
        generator: Random | None = None,
        temperature: float = 1.0,
        label: Tensor | int | None = None,
    ) -> Tensor:
        """Return n samples, (n, *event_shape), in [0, 1].

        label: the class of all, or of each, (n,), int64; None, or `classes`, leaves it open.

        Raises InvalidInput for an unknown label.
        """
        ...


@runtime_checkable
class Prompted(Generator, Protocol):
    """A generator conditioned on a text prompt."""

    def read(self, texts: Sequence[str]) -> Tensor:
        """Encode texts, (n, code); codes can be interpolated.

        Raises InvalidInput for a text that the model cannot read, and says what it can.
        """
        ...

    def sample(
        self,
        n: int,
        *,
        generator: Random | None = None,
        temperature: float = 1.0,
        prompt: str | Tensor | None = None,
    ) -> Tensor:
        """Return n samples, (n, *event_shape), in [0, 1].

        prompt: a text for all, a code for all, (1, code), or one for each, (n, code); None leaves
            it open.
        """
        ...


@runtime_checkable
class Classifier(Protocol):
    """A model that predicts the class, or cluster, of an input."""

    event_shape: tuple[int, ...]
    classes: int
    """Number of classes, from 0."""

    def classify(self, x: Tensor) -> Tensor:
        """The class of each input, (B,), int64.

        x: inputs, (B, *event_shape), in [0, 1].

        Raises InvalidInput for a model that was trained without classes.
        """
        ...


@runtime_checkable
class Featurizer(Protocol):
    """A model that describes an input by features, in which inputs that look alike are close."""

    event_shape: tuple[int, ...]
    feature_dim: int
    """Number of features."""

    def features(self, x: Tensor) -> Tensor:
        """The features of each input, (B, feature_dim).

        x: inputs, (B, *event_shape), in [0, 1].
        """
        ...


@runtime_checkable
class DensityModel(Protocol):
    """A model that gives the exact probability of any input: an explicit one."""

    event_shape: tuple[int, ...]
    levels: int | None
    """Number of values that a variable takes: 2 for binary models, 256 for grey levels; None where
    variables are real."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log-probability of each input, (B,), nats.

        x: inputs, (B, *event_shape), in [0, 1].
        """
        ...


@runtime_checkable
class Autoregressive(DensityModel, Protocol):
    """A density model by the chain rule: p(x) = ∏ p(x_i | the variables before i in the order)."""

    if TYPE_CHECKING:  # as a buffer it is none of what isinstance sees from Python 3.12 on

        @property
        def order(self) -> Tensor:
            """The permutation that the chain rule follows, (D,), int64: the t-th is order[t]."""
            ...

    def conditionals(self, x: Tensor) -> Tensor:
        """log p(x_i | x before i) of each variable, at its own place in x: (B, D), nats.

        x: inputs, (B, *event_shape), in [0, 1].
        """
        ...


@runtime_checkable
class ConditionalDensity(DensityModel, Protocol):
    """A density model conditioned on a class label."""

    classes: int
    """Number of labels, from 0; 0 where the model was trained without any."""

    def log_prob(self, x: Tensor, label: Tensor | int | None = None) -> Tensor:
        """Exact log p(x | label) of each input, (B,), nats; log p(x) where the label is None.

        x: inputs, (B, *event_shape), in [0, 1].
        label: the class of all, or of each, (B,), int64.

        Raises InvalidInput for an unknown label.
        """
        ...


@runtime_checkable
class Attentive(Protocol):
    """A model with heads of attention over the variables of an input."""

    event_shape: tuple[int, ...]

    def attention(self, x: Tensor, variable: int) -> Tensor:
        """How much each head looks at each variable when it predicts one: (B, layers, heads, D).

        A head's weights sum to 1 with what it gives to a start token.

        x: inputs, (B, *event_shape), in [0, 1].
        variable: its number, from 0, at its place in x.
        """
        ...


@runtime_checkable
class Completer(Protocol):
    """A model that samples the unknown variables of an input given its known ones."""

    event_shape: tuple[int, ...]

    def complete(
        self,
        x: Tensor,
        known: Tensor,
        *,
        generator: Random | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Sample the unknown variables of each input; the known ones are returned as given.

        x: inputs, (B, *event_shape), in [0, 1]; unknown places are ignored.
        known: which variables are given, event_shape, bool.

        Raises InvalidInput when the model cannot condition on this mask.
        """
        ...


class FromParts(NamedTuple):
    """Images that were generated around parts of inputs."""

    parts: Tensor
    """The parts as the model sees them, (B, n, *event_shape), in [0, 1]."""
    mask: Tensor
    """Where it puts them, (B, 1, H, W), in [0, 1]."""
    images: Tensor
    """(B, *event_shape), in [0, 1]."""


@runtime_checkable
class PartCompleter(Protocol):
    """A model that generates a whole image from parts of one, without their places."""

    event_shape: tuple[int, ...]

    def find_parts(self, x: Tensor) -> Tensor:
        """Choose informative parts of inputs: boxes, (B, n, 4), int64.

        A box is (x, y, w, h): left, top, width and height, in pixels.

        x: inputs, (B, *event_shape), in [0, 1].
        """
        ...

    def complete_from(
        self,
        x: Tensor,
        boxes: Tensor,
        *,
        generator: Random | None = None,
        temperature: float = 1.0,
    ) -> FromParts:
        """Generate an image from the parts in the boxes of each input.

        x: inputs, (B, *event_shape), in [0, 1]; what is in no box is ignored.
        boxes: as those of `find_parts`, of any number, (B, n, 4), int64.

        Raises InvalidInput for a box that is not within the input.
        """
        ...


AnyCompleter = Completer | PartCompleter
"""A model that completes inputs: from some of their variables, or from parts."""


@runtime_checkable
class Encoder(Protocol):
    """A model that maps inputs to latent variables."""

    event_shape: tuple[int, ...]
    latent_dim: int
    """Number of latent variables."""

    def encode(self, x: Tensor, *, generator: Random | None = None) -> Tensor:
        """Map inputs to latents, (B, latent_dim).

        x: inputs, (B, *event_shape), in [0, 1].
        generator: samples from the posterior, where there is one; None gives its mean.
        """
        ...


@runtime_checkable
class Decoder(Generator, Protocol):
    """A generator that maps latent variables to samples."""

    latent_dim: int
    """Number of latent variables."""

    def latent(self, n: int, *, generator: Random | None = None) -> Tensor:
        """Sample n latents from the prior, (n, latent_dim)."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to mean samples, (n, *event_shape), in [0, 1]."""
        ...


@runtime_checkable
class LatentVariable(Encoder, Decoder, Protocol):
    """A model that goes both ways: from inputs to latents and back."""


@runtime_checkable
class Translator(Protocol):
    """A model that translates images into another domain."""

    event_shape: tuple[int, ...]
    domains: tuple[str, ...]
    """Names of the domains that it translates to."""

    def translate(self, x: Tensor, to: str) -> Tensor:
        """Translate inputs into a domain, (B, *event_shape), in [0, 1].

        x: inputs of any domain, (B, *event_shape), in [0, 1].

        Raises UnknownName for an unknown domain.
        """
        ...


class Traversal(NamedTuple):
    """An informative traversal of latent space."""

    name: str
    """What varies, as `z7` or `digit`."""
    dims: tuple[int, ...]
    """The latent variables that are set together."""
    values: Sequence[Sequence[float]]
    """One step each: a value for each of them."""
    added: bool = False
    """Whether the values are added to those of where it starts, and not set in their place."""


@runtime_checkable
class Traversable(Decoder, Protocol):
    """A decoder that names informative traversals of its latents.

    Of others each latent is walked, three standard deviations of the prior to either side.
    """

    def traversals(self, x: Tensor | None = None) -> Sequence[Traversal]:
        """Return the walks, the most informative first.

        x: inputs that say which ones are, (B, *event_shape), in [0, 1]; handed to models that are
            an Encoder, and only where there are some.
        """
        ...


@runtime_checkable
class Pathfinder(Decoder, Protocol):
    """A decoder that knows how to go from one latent to another.

    For others the path is a straight line between encoded inputs, and an arc between samples: right
    where the prior is Gaussian, or lies near a sphere as one of many dimensions does.
    """

    def path(self, z0: Tensor, z1: Tensor, steps: int) -> Tensor:
        """Latents from z0 to z1, (steps, latent_dim).

        z0, z1: both ends, (latent_dim,).
        steps: their number, with both ends.
        """
        ...


class ELBO(NamedTuple):
    """The evidence lower bound of each input and its two terms, each (B,), in nats."""

    reconstruction: Tensor
    """E_q[log p(x|z)], one draw of z."""
    prior_fitting: Tensor
    """KL(q(z|x) ‖ p(z)), or its estimate; not subtracted yet."""

    @property
    def bound(self) -> Tensor:
        """reconstruction − prior_fitting <= log p(x), in expectation."""
        return self.reconstruction - self.prior_fitting


@runtime_checkable
class Bound(Protocol):
    """A model whose likelihood is bounded: an integral over latents, which is not computed."""

    event_shape: tuple[int, ...]
    levels: int | None
    """Number of values that a variable takes; None where variables are real."""

    def elbo(self, x: Tensor, *, generator: Random | None = None) -> ELBO:
        """The evidence lower bound, split.

        x: inputs, (B, *event_shape), in [0, 1].
        """
        ...

    def log_prob_bound(self, x: Tensor, k: int = 1, *, generator: Random | None = None) -> Tensor:
        """Importance-weighted lower bound of log p(x), (B,), nats (Burda et al. 2015).

        In expectation it rises with k, towards log p(x).

        x: inputs, (B, *event_shape), in [0, 1].
        k: number of samples of the latents.
        """
        ...


class ELBOTerms(NamedTuple):
    """The evidence lower bound of each input, term by term, in nats."""

    reconstruction: Tensor
    """log p(x_i|z) of each variable, one draw of z: (B, *event_shape)."""
    prior_fitting: Tensor
    """KL of each latent to its prior, or its estimate, (B, number of latents); not subtracted
    yet."""


@runtime_checkable
class TermwiseBound(Bound, Protocol):
    """A model whose bound splits into a term for each variable and one for each latent."""

    def elbo_terms(self, x: Tensor, *, generator: Random | None = None) -> ELBOTerms:
        """The terms whose sums `elbo` gives, from equal seeds.

        x: inputs, (B, *event_shape), in [0, 1].
        """
        ...


Explainable = Autoregressive | TermwiseBound
"""A model that says what each variable of an input costs."""

Scored = DensityModel | Bound
"""A model with a likelihood, exact or bounded."""


@runtime_checkable
class Trainer(Protocol):
    """An objective that the training loop drives.

    The loop owns devices, optimisers, schedules, checkpoints and seeds; a trainer owns the
    objective: which networks there are, and in which order their losses are applied.
    """

    monitor: ClassVar[str]
    """The validation value, lower is better, by which the best weights are chosen."""

    networks: dict[str, nn.Module]
    """What is trained, by name; `model` is the one that is published. The loop puts the networks in
    place that it has moved to their device (and wrapped, when several processes train)."""

    def begin(self, mean: Tensor) -> None:
        """See the training data's mean, event_shape, once before the first step."""
        ...

    def training_step(
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: Random,
        labels: Tensor | None,
        step: int,
    ) -> dict[str, Tensor]:
        """Compute the losses of a batch, apply each with `update[network](loss)`, return scalars.

        x: inputs, (B, *event_shape), in [0, 1].
        labels: class of each input, (B,), int64, from 0; None where the data have none.
        step: the number of this step, from 1; goes on where a run is resumed.
        """
        ...

    def validation_step(
        self, x: Tensor, generator: Random, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Values of each input, (B,) each; the loop averages them over the validation split.

        x, labels: as in `training_step`.
        """
        ...


def narrow(model: nn.Module, protocol: Callable[..., P], name: str = "") -> P:
    """Return a model as what it implements, so that a type checker knows its methods.

    protocol: one of this module's, or any that is `runtime_checkable`.
    name: of the model, for the message; its class's by default.

    Raises InvalidInput that says what it lacks, and what it implements instead.
    """
    if isinstance(protocol, type | UnionType) and isinstance(model, protocol):
        return cast("P", model)
    missing = (
        ", ".join(member for member in _members(each) if not hasattr(model, member))
        for each in get_args(protocol) or (protocol,)
    )
    lacks = " or ".join(filter(None, missing))
    able = [
        each for each in __all__ if _is_protocol(cls := globals()[each]) and isinstance(model, cls)
    ]
    why = f": it has no {lacks}" if lacks else ""
    raise InvalidInput(
        f"{name or type(model).__name__} is not {in_words(protocol)}{why}. "
        f"It implements {', '.join(able) or 'no protocol'}."
    )


def in_words(protocol: object) -> str:
    """What a model must be: the beginning of a protocol's docstring, or the name of a class."""
    if parts := get_args(protocol):
        return " or ".join(map(in_words, parts))
    said = vars(protocol).get("__doc__") if _is_protocol(protocol) else None
    if not said:
        return f"a model of the class {getattr(protocol, '__name__', protocol)}"
    said = " ".join(re.split(r"[.:;](?:\s|$)", said.strip())[0].split())
    return said[0].lower() + said[1:]


@runtime_checkable
class _Shaped(Protocol):
    """A model of inputs of one shape."""

    event_shape: tuple[int, ...]


def shape_of(model: nn.Module) -> tuple[int, ...]:
    """The shape of a model's samples and inputs, its event_shape, as a tuple.

    Raises InvalidInput for a model that has none.
    """
    return tuple(narrow(model, _Shaped).event_shape)


def _is_protocol(cls: object) -> bool:
    return getattr(cls, "_is_protocol", False)


def _members(protocol: object) -> list[str]:
    """Attributes and methods that a protocol asks for, those that it inherits first."""
    bases = [cls for cls in reversed(getattr(protocol, "__mro__", ())) if _is_protocol(cls)]
    names = (name for cls in bases for name in (*getattr(cls, "__annotations__", ()), *vars(cls)))
    return [name for name in dict.fromkeys(names) if not name.startswith("_")]


_OF_TRAINERS = ("CaptionReader", "Preview", "Restarting", "Update")

if TYPE_CHECKING:
    # where these were before: type checkers find them here, as `__getattr__` does
    from zoo_core.training.protocols import CaptionReader as CaptionReader
    from zoo_core.training.protocols import Preview as Preview
    from zoo_core.training.protocols import Restarting as Restarting
else:

    def __getattr__(name: str) -> object:
        """Find what only trainers need where it is now, `zoo_core.training.protocols`."""
        if name not in _OF_TRAINERS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module("zoo_core.training.protocols"), name)
