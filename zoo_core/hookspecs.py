"""Everything that a plugin can add, on one page.

A plugin is a module named by an entry point of the group `zoo.families.v1`. Its hooks *describe*:
they return frozen records, and import neither torch nor a model. The class behind a record is
imported by name when a task needs it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pluggy

__all__ = ["GROUP", "Architecture", "hookimpl", "hookspec"]

GROUP = "zoo.families.v1"
"""The entry-point group. The number changes when a hook changes in a way that old plugins break."""

hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")


@dataclass(frozen=True, slots=True)
class Architecture:
    """A model class that a family offers."""

    name: str
    """Lower case, digits and hyphens: `nade`, `row-lstm`."""
    path: str
    """Where the class is: `package.module:Class`, an `nn.Module` whose config is its keywords."""
    summary: str
    """One line, no full stop."""
    tasks: tuple[str, ...]
    """What the class can do; the conformance suite holds it against the class's protocols."""
    paper: str = ""
    """Authors, year and title, with an identifier that can be looked up."""
    trainer: str = "zoo_core.training.likelihood:MaximumLikelihood"
    """The class, by name, of the Trainer that fits it: called with the model, and with the recipe's
    `[trainer]` table as keywords."""


@hookspec
def zoo_architectures() -> Iterable[Architecture]:  # type: ignore[empty-body]
    """Describe the architectures of this family."""
