"""What the laws check: an architecture with a config small enough to enumerate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core import loading, plugins
from zoo_core.hookspecs import Architecture
from zoo_core.protocols import Trainer, shape_of

__all__ = ["SHAPE", "Case", "cases"]

SHAPE = (1, 3, 3)
"""The shape of 3x3 bars and stripes: 2^9 states, all of which can be looked at."""

LR = 0.03
"""Learning rate of a case that does not say; high, for small models and few steps."""

_MOST_STATES = 4096


@dataclass(frozen=True)
class Case:
    """A class, its config and the record that describes it."""

    cls: type
    config: Mapping[str, Any]
    architecture: Architecture
    family: str = ""
    requires: str = ""
    skips: Mapping[str, str] = field(default_factory=dict)
    """Laws that this architecture does not keep, by name, each with the reason."""
    lr: float = LR
    """Learning rate at which Adam fits it to four inputs."""
    data: str = "bars-and-stripes"
    """The data set on which its trainer is tried, where the shapes agree."""
    first: bool = True
    """Whether its config is the first of its architecture's."""

    def __str__(self) -> str:
        options = (f"{key}={value}" for key, value in self.config.items() if key != "shape")
        return f"{self.architecture.name}({', '.join(options)})"

    def fresh(self, seed: int = 0) -> nn.Module:
        """A model as it is before training."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return loading.build(self.cls, self.config).eval()

    def stirred(self, seed: int = 0) -> nn.Module:
        """A model whose parameters are far from their start, so that nothing is near uniform."""
        model = self.fresh(seed)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.7)
        return model

    def states(self) -> Tensor:
        """Every input that there is, (levels^D, *event_shape), in [0, 1]."""
        model = self.fresh()
        shape, levels = shape_of(model), int(getattr(model, "levels", None) or 2)
        D = torch.Size(shape).numel()
        if levels**D > _MOST_STATES:
            raise ValueError(f"{self}: {levels}^{D} states are too many; give it a smaller shape")
        places = levels ** torch.arange(D)
        categories = torch.arange(levels**D).unsqueeze(1) // places % levels
        return (categories / (levels - 1)).reshape(-1, *shape)

    def trainer(self, model: nn.Module) -> Trainer:
        """The objective that fits the architecture."""
        trainer: Trainer = plugins.import_class(self.architecture.trainer)(model)
        return trainer

    def metadata(self) -> dict[str, Any]:
        """What a weights file of this case says of itself."""
        return {
            "family": self.family,
            "requires": self.requires,
            "architecture": self.architecture.name,
            "config": dict(self.config),
        }


def cases(
    family: str | None = None,
    configs: Mapping[str, Sequence[Mapping[str, object]]] | None = None,
    skips: Mapping[str, Mapping[str, str]] | None = None,
    rates: Mapping[str, float] | None = None,
) -> list[Case]:
    """A case for each architecture of one family, or of all that are installed, and each config.

    Args:
        family: its name; None for all.
        configs: small configs by architecture; `shape` is 1x3x3 where a config does not say.
        skips: by architecture, the names of laws that it does not keep, with the reason.
        rates: by architecture, the learning rate that suits it where 0.03 is too high.

    What is not given here is what the architecture's record says, `Architecture.check`.

    Raises whatever keeps a family from loading: a suite must not pass because nothing was tested.
    """
    names = [family] if family is not None else list(plugins.installed())
    return [
        case for name in names for case in _of_family(name, configs or {}, skips or {}, rates or {})
    ]


def _of_family(
    name: str,
    configs: Mapping[str, Sequence[Mapping[str, object]]],
    skips: Mapping[str, Mapping[str, str]],
    rates: Mapping[str, float],
) -> Iterator[Case]:
    loaded = plugins.load(name)
    if loaded.error:
        raise RuntimeError(f"family {name} does not load: {loaded.error}")
    for architecture in loaded.architectures.values():
        cls, check = plugins.import_class(architecture.path), architecture.check
        for i, config in enumerate(configs.get(architecture.name, [check.config])):
            yield Case(
                cls=cls,
                config={"shape": list(SHAPE), **config},
                architecture=architecture,
                family=name,
                requires=loaded.family.distribution,
                skips=skips.get(architecture.name, check.skips),
                lr=rates.get(architecture.name, check.lr),
                data=check.data,
                first=i == 0,
            )
