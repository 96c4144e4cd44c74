"""Everything that a plugin can add, on one page.

A plugin is a module named by an entry point of the group `zoo.families.v1`. Its hooks *describe*:
they return frozen records, and import neither torch nor a model. The class or function behind a
record is imported by name when it is needed. A record checks itself where it is made, so that a
traceback ends at the author's line.

Two things need no hook, because `zoo list` and `zoo --help` must find them without importing a
plugin: a `registry.toml` in the family's package, whose entries join the default registry, and the
entry points of the group `zoo.commands.v1`, each a `click.Command`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import InitVar, dataclass, field
from typing import Any

import pluggy

from zoo_core.errors import PluginError
from zoo_core.groups import COMMANDS, GROUP
from zoo_core.rules import Rule, check_record, matching

__all__ = [
    "COMMANDS",
    "GROUP",
    "Architecture",
    "Check",
    "DataSet",
    "Metric",
    "Task",
    "hookimpl",
    "hookspec",
]

hookspec = pluggy.HookspecMarker("zoo")
"""Marks the hooks below."""

hookimpl = pluggy.HookimplMarker("zoo")
"""Marks a family's own functions of those names."""

_NAME = Rule("lower case, digits and hyphens", matching("[a-z0-9][a-z0-9-]*"))
_SET = Rule("lower case, digits, hyphens and underscores", matching("[a-z0-9][a-z0-9_-]*"))
_FIGURE = Rule("lower case, digits and underscores", matching("[a-z][a-z0-9_]*"))
_CLASS = Rule("package.module:Class", matching(r"[\w.]+:\w+"))
_FUNCTION = Rule("package.module:function", matching(r"[\w.]+:\w+"))
_NAMES = Rule(
    "a tuple of names",
    lambda value: isinstance(value, tuple) and all(isinstance(item, str) for item in value),
)
_TABLE = Rule("a table", lambda value: isinstance(value, Mapping))


@dataclass(frozen=True, slots=True)
class Check:
    """How the conformance suite checks an architecture against the laws."""

    config: Mapping[str, Any] = field(default_factory=dict)
    """A config small enough to try every input; `shape` is 1x3x3 where it does not say."""
    data: str = "bars-and-stripes"
    """A data set of that shape, on which its trainer makes progress."""
    lr: float = 0.03
    """Learning rate at which Adam fits it in few steps."""
    skips: Mapping[str, str] = field(default_factory=dict)
    """Laws that it does not keep, by name, each with the reason."""
    laws: tuple[str, ...] = ()
    """Laws of its own, each a `package.module:function` of a `zoo_core.testing.Case` that calls
    `zoo_core.testing.expect`; the docstring's first line is the law's sentence."""


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
    """What the class can do; the conformance suite checks it against the class's protocols."""
    paper: str = ""
    """Authors, year and title, with an identifier that can be looked up."""
    trainer: str = "zoo_core.training.likelihood:MaximumLikelihood"
    """The class, by name, of the Trainer that fits it: called with the model, and with the recipe's
    `[trainer]` table as keywords."""
    check: Check = field(default_factory=Check)
    """How `zoo plugin check` tries it."""
    ladder: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    """The rungs of `zoo ladder` that it is, where it is an explicit model of tables: by name, the
    settings of a recipe that are tried, as `{"config.hidden": [500]}`. One that is fitted by
    counting states its `epochs` too; others are trained as long as there is time."""
    exports: tuple[str, ...] = ()
    """Functions that `zoo export` is certain to write of it, as `decode`, or as `translate-*` where
    a config names them: the suite holds it to that. Others that follow from its protocols are
    written where they can be."""

    def __post_init__(self) -> None:
        check_record(self, name=_NAME, path=_CLASS, trainer=_CLASS, tasks=_NAMES)


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that `zoo eval` can compute."""

    name: str
    """Lower case, digits and underscores: `test_nll`."""
    path: str
    """`package.module:function`, called with the model, the protocol and the folder of data sets;
    returns a `zoo_core.metrics.Measured`. Its first argument is annotated with what a model must
    be, the second with a frozen dataclass of what the protocol may hold."""
    summary: str
    """One line, no full stop."""
    unit: str = "nats"
    """Of the figure: nats, bits, %."""
    tolerance: float = 0.01
    """By how many units another processor's arithmetic may differ."""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    """Defaults that differ from those of the dataclass, where several metrics share a function."""

    def __post_init__(self) -> None:
        check_record(self, name=_FIGURE, path=_FUNCTION, protocol=_TABLE)


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set that recipes and inputs can name."""

    name: str
    """Lower case, digits, hyphens and underscores: `two-moons`."""
    path: str
    """`package.module:function`, called with the split (train, validation or test) and the folder
    of data sets; returns a `zoo_core.data.Dataset`."""
    summary: str
    """One line, no full stop."""

    def __post_init__(self) -> None:
        check_record(self, name=_SET, path=_FUNCTION)


@dataclass(frozen=True, slots=True)
class Task:
    """Something that `zoo run --task NAME` can ask of any model that implements a protocol."""

    name: str
    """Lower case, digits and hyphens: `mean`."""
    path: str
    """`package.module:function`, called with the model, its options and a
    `zoo_core.tasks.context.Context`; returns a `zoo_core.tasks.result.Result`. Its second parameter
    is annotated with the class of its options: a frozen dataclass whose fields are made by
    `zoo_core.options.option`."""
    protocol: str
    """What a model must implement: `zoo_core.protocols:Generator`, or a protocol of your own. The
    function's first parameter is annotated with it."""
    summary: str
    """One line, no full stop."""
    for_images: tuple[str, ...]
    """Suffixes of the files that it writes for a model of images, the default first: `.png`,
    `.gif`, `.csv`, `.json`, `.parquet`, `.npz`, `.safetensors`."""
    for_tables: tuple[str, ...]
    """The same for a model of tables."""
    options: InitVar[object] = None
    """No longer a field: the dataclass of the function's second parameter says them."""
    settings: InitVar[object] = None
    """No longer a field, as `options`."""
    random: bool = False
    """Whether its results depend on the seed."""
    defaults: int = 1
    """How many files it writes when none is named: those of the first suffixes."""
    latents: int = 0
    """How many latent variables a model must have for it; 0 where any number will do."""
    classes: bool = False
    """Whether a model must have been trained with classes for it."""
    declared: bool = True
    """Whether architectures and entries must list it among their tasks; otherwise it is offered for
    any model that implements the protocol, listed or not."""
    example: str = ""
    """Options of the command that `zoo show` proposes, as `--input {rows}`: `{rows}` stands for
    sixteen rows of the entry's data."""
    parts: bool = False
    """Whether what it gives for an input, or a sample, depends on that one alone: then it can be
    done in parts, by several processes, as `zoo run -o FOLDER/` does."""

    def __post_init__(self, options: object, settings: object) -> None:
        if options is not None or settings is not None:
            raise PluginError(
                f"task '{self.name}': options and settings are no longer fields of Task. Write "
                "each as a field of a frozen dataclass, `k: int = option(100, 'What it is')`, and "
                f"make {self.path} a function (model, options, context) whose second parameter is "
                "annotated with that class; docs/plugins/tasks.md shows one"
            )
        check_record(self, name=_NAME, path=_FUNCTION, protocol=_CLASS)
        check_record(self, for_images=_NAMES, for_tables=_NAMES)


@hookspec
def zoo_architectures() -> Iterable[Architecture]:  # type: ignore[empty-body]
    """Describe the architectures of this family."""


@hookspec
def zoo_metrics() -> Iterable[Metric]:  # type: ignore[empty-body]
    """Describe the metrics of this family."""


@hookspec
def zoo_datasets() -> Iterable[DataSet]:  # type: ignore[empty-body]
    """Describe the data sets of this family."""


@hookspec
def zoo_tasks() -> Iterable[Task]:  # type: ignore[empty-body]
    """Describe the tasks of this family."""
