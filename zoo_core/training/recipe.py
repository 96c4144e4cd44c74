"""A recipe: the exact settings of a training run, as a TOML file or as flags.

architecture = "nade"
data = "mnist"
binarize = "dynamic"
epochs = 40
[config]
hidden = 500
[optimizer]
opt = "adam"
lr = 1e-3
"""

import copy
import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_core import options
from zoo_core.errors import InvalidInput
from zoo_core.files import read_limited
from zoo_core.options import option
from zoo_core.rules import Rule, check_names, check_table
from zoo_core.schema import check_recipe
from zoo_core.text import hidden, printable

__all__ = [
    "Recipe",
    "check_field",
    "entry_without_data",
    "override",
    "parse",
    "read",
    "read_table",
    "value",
]


def _value(default: Any, **limits: Any) -> Any:
    """A field that is one value; what it means is in the docstring below it."""
    return option(default, "", **limits)


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings of a run; what is not given has the value below."""

    architecture: str = _value("")
    """Its name, as a family has it: `nade`."""
    data: str = _value("")
    """A data set's name or path, without a split; `name[a:b]` trains on these rows alone."""
    family: str = _value("")
    """The family of the architecture; needed only where two families have one of this name."""
    start: str = _value("")
    """What training begins from, instead of random weights: an entry, a run folder or a file."""
    start_sha256: str = _value("")
    """Digest of its weights; training fills it in, and refuses others."""
    config: dict[str, Any] = field(default_factory=dict)
    """The architecture's arguments; a `shape` that is not given is the data's."""
    binarize: str = _value("auto", choices=("auto", "dynamic", "fixed", "none"))
    """`dynamic` binarizes grey values afresh for each batch, `fixed` once, `none` not at all;
    `auto` is `dynamic` for a binary model on grey data."""
    size: int | None = _value(None, minimum=1)
    """Side to which images are resized and cropped."""
    gray: bool = _value(False)
    """Whether colour images become grey."""
    columns: dict[str, str] = field(default_factory=dict)
    """What columns of a table are, by name, where that is not to be guessed: binary, categorical,
    ordinal, real, or skip to leave one out."""
    labels: int = _value(0, minimum=0)
    """Training rows whose label is known, as many of each class; those of the others are -1. Which
    they are follows from the seed. 0 for all."""
    labelled: int = _value(0, minimum=0)
    """Rows with a known label that are added to each batch, so that a few are seen often."""
    epochs: int = _value(10, minimum=1)
    """Passes over the training split."""
    batch_size: int = _value(100, minimum=1)
    """Rows of a step, over all processes."""
    accumulate: int = _value(1, minimum=1)
    """Parts in which each process computes its rows of a step, one after the other; their gradients
    are added up. The step is the same but for statistics of a batch, and takes less memory."""
    seed: int = _value(0, minimum=0)
    """Decides the first weights, the order of rows and every draw."""
    precision: str = _value("32-true", choices=("32-true", "bf16-mixed", "16-mixed"))
    """Of the arithmetic of training, as Lightning Fabric names it: `bf16-mixed` has matrix products
    and convolutions in bfloat16, weights and validation in float32."""
    threads: int = _value(0, minimum=0, maximum=1024)
    """Processor threads of torch, which decide the last bits of a sum; 0 for all cores."""
    clip: float = _value(0.0, minimum=0)
    """Largest norm of the gradient; 0 leaves it as it is."""
    ema: float = _value(0.0, minimum=0, below=1)
    """Decay of the moving average of the weights that is validated and published; 0 for none."""
    store: str = _value("auto", choices=("auto", "float16", "bfloat16", "float32"))
    """Type of the floating-point numbers in the weights file; `auto` is the model's own. A model is
    loaded, and measured, in its own type all the same."""
    validate_every: int = _value(1, minimum=1)
    """Epochs between validations."""
    keep: str = _value("best", choices=("best", "last"))
    """Which weights are published: the `best` by the trainer's validation value, or the `last`,
    where that value does not tell how far training has come."""
    patience: int = _value(0, minimum=0)
    """Validations without a better value after which training ends; 0 trains all epochs."""
    trainer: dict[str, Any] = field(default_factory=dict)
    """Arguments of the architecture's trainer: weights of its loss terms and the like."""
    optimizer: dict[str, Any] = field(default_factory=lambda: {"opt": "adam", "lr": 1e-3})
    """Arguments of timm's `create_optimizer_v2`."""
    schedule: dict[str, Any] = field(default_factory=dict)
    """Arguments of timm's `create_scheduler_v2`, advanced each step; empty for a constant rate."""
    entry: dict[str, Any] = field(default_factory=dict)
    """What the registry entry says beyond the settings: summary, tags, licence, paper, and by
    metric the published figure with its source, and what its protocol has beyond the usual (k)."""

    @property
    def data_name(self) -> str:
        """The data set's name; of a file or folder without its folder, of an address no secret."""
        return Path(self.data).name if Path(self.data).is_absolute() else hidden(self.data)

    @property
    def digest(self) -> str:
        """The sha256 of all settings that decide the weights.

        Fields that have their default are left out: a field that a later version adds does not
        change the digests of older recipes. So a default, once published, stays as it is. Of data
        by its whole path, the name counts: the folder is another one elsewhere.
        """
        named = dataclasses.replace(self, data=self.data_name)
        settings = {
            key: value
            for key, value in dataclasses.asdict(named).items()
            if key != "entry" and value != getattr(_DEFAULTS, key)
        }
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


_MAX_BYTES = 2**20
"""Of the longest recipe file that is read."""
_NO_TOML = (ValueError, RecursionError)
"""What tomllib raises: its own error is a ValueError, as that of a number with too many digits."""

_DEFAULTS = Recipe()


def _is_named(value: object) -> bool:
    return isinstance(value, str) and value != ""


_TABLE = Rule("a table", lambda value: isinstance(value, dict), required=False)
_RULES = {
    **dict.fromkeys((field.name for field in dataclasses.fields(Recipe)), _TABLE),
    **{name: option.rule for name, option in options.read(Recipe).items()},
    "architecture": Rule("the name of one, as nade", _is_named),
    "data": Rule("a name, a folder or a table", _is_named),
}


def read(path: Path) -> Recipe:
    """Read a recipe file.

    Raises InvalidInput that names the file and the field when it is not a sound recipe.
    """
    return parse(read_table(path), str(path))


def read_table(path: Path) -> dict[str, Any]:
    """Read a recipe file's fields, unchecked.

    Raises InvalidInput for a file that is not TOML.
    """
    try:
        return tomllib.loads(read_limited(path, _MAX_BYTES).decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else printable(error)
        raise InvalidInput(f"{printable(path)} cannot be read: {why}.") from None
    except _NO_TOML as error:
        raise InvalidInput(
            f"{printable(path)} is not TOML: {printable(error)}. Correct it."
        ) from None


def parse(table: Mapping[str, Any], where: str) -> Recipe:
    """Check a recipe's fields, their types and their ranges.

    where: what the messages name: a file, or the command line.

    Raises InvalidInput that names the field, what was given and what is allowed.
    """
    check_table(table, _RULES, where, noun="field")
    if table.get("start_sha256") and not table.get("start"):
        raise InvalidInput(
            f"{where}: start_sha256 is of the weights to start from, but there is no start. Name "
            "them, or leave start_sha256 out."
        )
    check_recipe(table.get("entry", {}), where)
    if "/" in table["architecture"] and not table.get("family"):
        family, _, architecture = table["architecture"].partition("/")
        table = {**table, "family": family, "architecture": architecture}
    return Recipe(**table)  # each value as it is given: digests depend on it


def check_field(name: str, where: str) -> None:
    """Raise InvalidInput for a name that no field of a recipe has."""
    check_names([name], _RULES, where, noun="field")


def override(table: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, Any]:
    """Return a recipe's fields with some replaced.

    changes: dotted field to value, as `optimizer.lr`; a table is merged into the recipe's.

    Raises InvalidInput for a path through something that is no table.
    """
    result: dict[str, Any] = copy.deepcopy(dict(table))
    for key, given in changes.items():
        *path, last = key.split(".")
        place = result
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise InvalidInput(f"{key} cannot be set: {part} is not a table of the recipe.")
        old = place.get(last)
        if isinstance(given, Mapping) and isinstance(old, dict):
            given = override(old, given)
        place[last] = given
    return result


def entry_without_data(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What an `[entry]` says of its architecture: all that can be said when other data is learnt.

    Left out are summary, tags, published figures, the licence of the weights, and protocols that
    name a data set or a feature net.
    """
    kept: dict[str, Any] = {"paper": entry["paper"]} if "paper" in entry else {}
    if "licence" in entry:
        kept["licence"] = {**entry["licence"], "weights": "unknown"}
    protocol = {
        name: table
        for name, table in entry.get("protocol", {}).items()
        if not any(isinstance(value, str) for value in table.values())
    }
    return kept | ({"protocol": protocol} if protocol else {})


def value(text: str) -> Any:
    """What was typed for a field: read as TOML, and as a string where it is none."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except _NO_TOML:
        return text
