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

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from zoo_core.errors import InvalidInput, did_you_mean

__all__ = ["Recipe", "override", "parse", "read"]

_CHOICES = {
    "binarize": ("auto", "dynamic", "fixed", "none"),
    "keep": ("best", "last"),
    "precision": ("32-true", "bf16-mixed", "16-mixed"),
    "store": ("auto", "float16", "bfloat16", "float32"),
}
_POSITIVE = ("epochs", "batch_size", "validate_every")
_COUNTS = ("labels", "labelled")


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings of a run; what is not given has the value below."""

    architecture: str
    """Its name, as a family has it: `nade`."""
    data: str
    """A data set's name or path, without a split."""
    family: str = ""
    """The family of the architecture; needed only where two families have one of this name."""
    config: dict[str, Any] = field(default_factory=dict)
    """The architecture's arguments; a `shape` that is not given is the data's."""
    binarize: str = "auto"
    """`dynamic` draws grey values afresh for each batch, `fixed` once, `none` leaves them; `auto`
    is `dynamic` for a binary model on grey data."""
    size: int | None = None
    """Side to which images are resized and cropped."""
    gray: bool = False
    """Whether colour images become grey."""
    labels: int = 0
    """Training rows whose label is known, as many of each class; those of the others are -1. Which
    they are follows from the seed. 0 for all."""
    labelled: int = 0
    """Rows with a known label that are added to each batch, so that a few are seen often."""
    epochs: int = 10
    """Passes over the training split."""
    batch_size: int = 100
    """Rows of a step, over all processes."""
    seed: int = 0
    """Decides the first weights, the order of rows and every draw."""
    precision: str = "32-true"
    """Of the arithmetic of training, as Lightning Fabric names it: `bf16-mixed` has matrix products
    and convolutions in bfloat16, weights and validation in float32."""
    threads: int = 0
    """Processor threads of torch, which decide the last bits of a sum; 0 for all cores."""
    clip: float = 0.0
    """Largest norm of the gradient; 0 leaves it as it is."""
    ema: float = 0.0
    """Decay of the moving average of the weights that is validated and published; 0 for none."""
    store: str = "auto"
    """Type of the floating-point numbers in the weights file; `auto` is the model's own. A model is
    loaded, and measured, in its own type all the same."""
    validate_every: int = 1
    """Epochs between validations."""
    keep: str = "best"
    """Which weights are published: the `best` by the trainer's validation value, or the `last`,
    where that value does not tell how far training has come."""
    patience: int = 0
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
    def digest(self) -> str:
        """The sha256 of all settings that decide the weights.

        Fields that have their default are left out: a field that a later version adds does not
        change the digests of older recipes. So a default, once published, stays as it is.
        """
        settings = {
            key: value
            for key, value in dataclasses.asdict(self).items()
            if key != "entry" and value != getattr(_DEFAULTS, key)
        }
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


_DEFAULTS = Recipe(architecture="", data="")


def read(path: Path) -> Recipe:
    """Read a recipe file.

    Raises InvalidInput that names the file and the field when it is not a sound recipe.
    """
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}.") from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{path} is not TOML: {error}.") from None
    return parse(raw, str(path))


def parse(raw: Mapping[str, Any], where: str) -> Recipe:
    """Check a recipe's fields and their types.

    where: what the messages name: a file, or the command line.

    Raises InvalidInput that names the field, what was given and what is allowed.
    """
    hints = get_type_hints(Recipe)
    for key, value in raw.items():
        if key not in hints:
            raise InvalidInput(
                f"{where}: a recipe has no field {key!r}.{did_you_mean(key, hints)} "
                f"It has {', '.join(hints)}."
            )
        _check(where, key, value, hints[key])
    for key in ("architecture", "data"):
        if key not in raw:
            raise InvalidInput(f"{where}: the recipe does not say its {key}.")
    return Recipe(**raw)


def _check(where: str, key: str, value: Any, hint: Any) -> None:
    allowed: dict[Any, tuple[Any, str]] = {
        dict[str, Any]: (dict, "a table"),
        int | None: (int, "a whole number"),
        int: (int, "a whole number"),
        float: ((int, float), "a number"),
        bool: (bool, "true or false"),
        str: (str, "a string"),
    }
    kind, words = allowed[hint]
    if not isinstance(value, kind) or (isinstance(value, bool) and hint is not bool):
        raise InvalidInput(f"{where}: {key} is {value!r}; expected {words}.")
    if key in _CHOICES and value not in _CHOICES[key]:
        raise InvalidInput(f"{where}: {key} is {value!r}; expected {' or '.join(_CHOICES[key])}.")
    if key in _POSITIVE and value < 1:
        raise InvalidInput(f"{where}: {key} is {value}; expected at least 1.")
    if key in _COUNTS and value < 0:
        raise InvalidInput(f"{where}: {key} is {value}; expected 0 or more.")


def override(raw: Mapping[str, Any], assignments: Mapping[str, str]) -> dict[str, Any]:
    """Return a recipe's fields with some replaced, as `optimizer.lr=3e-4` on the command line.

    assignments: dotted field to value; a value is read as TOML, and as a string where it is none.
    """
    result: dict[str, Any] = json.loads(json.dumps(raw))
    for key, text in assignments.items():
        *path, last = key.split(".")
        table = result
        for part in path:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise InvalidInput(f"--set {key}: {part} is not a table of the recipe.")
        table[last] = _value(text)
    return result


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
