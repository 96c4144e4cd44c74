"""What a recipe leaves open and its data decide: shape, levels and domains, and binarization."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zoo_core.config import check_config
from zoo_core.data.binarization import describe_binarization, needs_binarization
from zoo_core.data.notes import list_names, note
from zoo_core.errors import InvalidInput
from zoo_core.text import argument, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo_core.columns import Column
    from zoo_core.data import Dataset
    from zoo_core.training.recipe import Recipe

__all__ = ["OF_DATA", "complete", "levels_for"]

OF_DATA = ("shape", "domains", "columns")
"""Keys of a config that are the data's, not those of a model that training starts from."""


def complete(recipe: Recipe, cls: type, data: Dataset) -> Recipe:
    """Fill in what the training data decide of an architecture's config, and whether to binarize.

    cls: the architecture's class; its `config_for(shape, config)`, if it has one, gives the config
        that suits data of a shape in the place of one that leaves its networks open.

    Raises InvalidInput where the recipe says something that the data contradict.
    """
    check_config(cls, recipe.config)
    known, config = inspect.signature(cls).parameters, dict(recipe.config)
    if "shape" not in config and (defaults := getattr(cls, "config_for", None)):
        config = defaults(data.event_shape, config)
    if "shape" in known:
        config.setdefault("shape", list(data.event_shape))
        if "levels" in known:
            config.setdefault("levels", data.levels)
        if tuple(config["shape"]) != data.event_shape:
            raise InvalidInput(
                f"config.shape is {tuple(config['shape'])}, but the rows of {recipe.data} have "
                f"shape {data.event_shape}. Leave config.shape out, or set size and gray."
            )
    if "columns" in known and data.columns:
        config.setdefault("columns", [column.table() for column in data.columns])
    elif data.columns:
        _check_columns(recipe.architecture, data, levels_for(cls, config))
    if "domains" in known and data.classes:
        config.setdefault("domains", list(data.classes))
    _check_classes(recipe.data, data, config.get("classes", 0))
    binarize = recipe.binarize
    if binarize == "auto":
        binarize = "dynamic" if needs_binarization(levels_for(cls, config), data) else "none"
    if binarize != "none":
        when = "once" if binarize == "fixed" else "afresh for each batch"
        for text in describe_binarization(data, f"{when} (binarize = {binarize})"):
            note(text)
    return replace(recipe, config=config, binarize=binarize)


def levels_for(cls: type, config: Mapping[str, Any]) -> int | None:
    """The number of values of a model's variables, before it is built; None for real ones."""
    levels: int | None = getattr(cls, "levels", config.get("levels"))
    return levels


def _check_columns(architecture: str, data: Dataset, levels: int | None) -> None:
    """Check that a table has what a model without columns takes: numbers, and of binary ones two.

    levels: of the model's variables.
    """
    if data.levels is not None and not (levels == 2 < data.levels < 256):
        return
    shown, others = printable(data.name), "an architecture that takes them, such as mixed-tree"
    odd = [column for column in data.columns if len(column.categories) != 2]
    if not odd:
        raise InvalidInput(
            f"{architecture} takes no missing cells, and {shown} has some. Fill them in, or train "
            f"{others}."
        )
    raise InvalidInput(
        f"{architecture} does not take mixed columns, and of the {len(data.columns)} of {shown} "
        f"these have other than two values: {list_names(list(map(_describe, odd)))}. Leave them "
        f"out ({argument('columns', {odd[0].name: 'skip'})}), or train {others}."
    )


def _describe(column: Column) -> str:
    """A column's name, what it is, and its one value where it has no other."""
    only = f", always {printable(column.categories[0])}" if len(column.categories) == 1 else ""
    return f"{printable(column.name)} ({column.kind}{only})"


def _check_classes(name: str, data: Dataset, classes: object) -> None:
    """Check that a conditional model has a class for each label of its data."""
    found = 0 if data.labels is None else int(data.labels.max()) + 1
    if isinstance(classes, int) and classes and not 0 < found <= classes:
        has = f"labels from 0 to {found - 1}" if found else "no labels"
        raise InvalidInput(
            f"config.classes is {classes}, but {name} has {has}. Set it to {found}"
            + ("." if found else ": the model is then trained without.")
        )
