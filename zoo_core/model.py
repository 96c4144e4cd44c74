"""The type of a model whose class is only known at run time, as that of `load("vae.mnist")`.

What an entry can do is written in a registry, not in its name's type. So that an editor completes
`model.sample`, `Model` has every method of every protocol; a class has those of its own.
`load("vae.mnist", as_=Bound)` has the methods of one protocol, and checks that they are there;
functions that take a model take either, as `AnyModel` says.
"""

from typing import TYPE_CHECKING

from torch import nn

__all__ = ["AnyModel", "Model"]

if TYPE_CHECKING:
    from torch import Generator as Random
    from torch import Tensor

    from zoo_core import protocols

    class Model(
        nn.Module,
        protocols.Conditional,
        protocols.Prompted,
        protocols.Autoregressive,
        protocols.Attentive,
        protocols.LatentVariable,
        protocols.Traversable,
        protocols.Pathfinder,
        protocols.TermwiseBound,
        protocols.Completer,
        protocols.PartCompleter,
        protocols.Classifier,
        protocols.Featurizer,
        protocols.Translator,
    ):
        """A model of any architecture; at run time the name stands for `torch.nn.Module`.

        It has the methods of all protocols, and a model has some: `zoo show ENTRY` and
        `isinstance(model, DensityModel)` say which.
        """

        def sample(
            self,
            n: int,
            *,
            generator: Random | None = None,
            temperature: float = 1.0,
            label: Tensor | int | None = None,
            prompt: str | Tensor | None = None,
        ) -> Tensor:
            """Return n samples, (n, *event_shape), in [0, 1].

            temperature: divides the logits; 1 samples the model, towards 0 its likeliest choices.
            label: the class of all, or of each, (n,), int64, where the model is Conditional.
            prompt: a text or a code, where the model is Prompted.
            """
            ...

        def log_prob(self, x: Tensor, label: Tensor | int | None = None) -> Tensor:
            """Exact log-probability of each input, (B,), nats, where the model is a DensityModel.

            x: inputs, (B, *event_shape), in [0, 1].
            label: the class of all, or of each, (B,), int64, where it is Conditional, too.
            """
            ...

    AnyModel = (
        nn.Module
        | protocols.Generator
        | protocols.DensityModel
        | protocols.Bound
        | protocols.Classifier
        | protocols.Featurizer
        | protocols.Attentive
        | protocols.Completer
        | protocols.PartCompleter
        | protocols.Encoder
        | protocols.Translator
    )
    """A model in memory, by whatever type it is known; at run time it is a `torch.nn.Module`."""

else:
    Model = AnyModel = nn.Module
