"""What data decide of a recipe: shape, levels, domains and binarization."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

from zoo_core.data import Dataset
from zoo_core.data.notes import note
from zoo_core.errors import InvalidInput
from zoo_core.training.defaults import complete
from zoo_core.training.recipe import Recipe


class Binary(nn.Module):
    levels = 2

    def __init__(self, shape: Any) -> None: ...


class Levels(nn.Module):
    def __init__(self, shape: Any, levels: int = 2, classes: int = 0) -> None: ...


class Domains(nn.Module):
    def __init__(self, shape: Any, domains: Any = ()) -> None: ...


def data(levels: int = 256, **more: Any) -> Dataset:
    return Dataset("rows", "train", torch.zeros(4, 1, 2, 3, dtype=torch.uint8), levels, **more)


def config(cls: type, rows: Dataset, **given: Any) -> dict[str, Any]:
    return complete(Recipe("x", "rows", config=given), cls, rows).config


def test_shape_levels_and_domains_are_the_datas_unless_given() -> None:
    assert config(Binary, data()) == {"shape": [1, 2, 3]}
    assert config(Levels, data()) == {"shape": [1, 2, 3], "levels": 256}
    assert config(Levels, data(), levels=2) == {"shape": [1, 2, 3], "levels": 2}
    labels = torch.tensor([0, 1, 0, 1])
    named = data(labels=labels, classes=("cat", "dog"))
    assert config(Domains, named) == {"shape": [1, 2, 3], "domains": ["cat", "dog"]}
    assert config(nn.Identity, data()) == {}


class Suited(nn.Module):
    def __init__(self, shape: Any, width: int = 1) -> None: ...

    @staticmethod
    def config_for(shape: Any, config: Any) -> dict[str, Any]:
        return {"width": shape[-1], **config}


def test_an_architecture_may_suit_its_config_to_the_data() -> None:
    assert config(Suited, data()) == {"shape": [1, 2, 3], "width": 3}
    assert config(Suited, data(), width=5) == {"shape": [1, 2, 3], "width": 5}
    # that of a run which goes on
    assert config(Suited, data(), shape=[1, 2, 3]) == {"shape": [1, 2, 3]}


@pytest.mark.parametrize(
    ("cls", "levels", "given", "binarize"),
    [
        (Binary, 256, {}, "dynamic"),
        (Binary, 2, {}, "none"),
        (Levels, 256, {}, "none"),
        (Levels, 256, {"levels": 2}, "dynamic"),
    ],
)
def test_gray_levels_are_binarized_for_a_binary_model(
    cls: type, levels: int, given: dict[str, Any], binarize: str
) -> None:
    recipe = Recipe("x", "rows", config=given)
    assert complete(recipe, cls, data(levels)).binarize == binarize
    assert complete(Recipe("x", "rows", binarize="fixed"), cls, data(levels)).binarize == "fixed"


def test_a_value_of_another_type_is_named_before_it_is_used() -> None:
    class Typed(nn.Module):
        def __init__(self, shape: Sequence[int], hidden: int = 4) -> None: ...

    assert config(Typed, data()) == {"shape": [1, 2, 3]}
    for given, message in (
        ({"shape": 5}, r"config of Typed: shape is 5; expected a list \(a whole number each\)\."),
        ({"hidden": "4"}, r"config of Typed: hidden is '4'; expected a whole number\."),
        ({"hiden": 4}, r"unknown key 'hiden'\. Did you mean hidden"),
    ):
        with pytest.raises(InvalidInput, match=message):
            config(Typed, data(), **given)


@pytest.mark.parametrize(
    ("given", "labels", "message"),
    [
        ({"shape": [4]}, None, r"config.shape is \(4,\), but the rows of rows have shape"),
        ({"classes": 2}, [0, 1, 2, 1], "has labels from 0 to 2. Set it to 3."),
        ({"classes": 2}, None, "has no labels. Set it to 0: the model is then trained without."),
    ],
)
def test_what_the_data_contradict(
    given: dict[str, Any], labels: list[int] | None, message: str
) -> None:
    rows = data(labels=None if labels is None else torch.tensor(labels))
    with pytest.raises(InvalidInput, match=message):
        config(Levels, rows, **given)


@pytest.mark.parametrize(
    ("cls", "values", "recipe", "said"),
    [
        (
            Binary,
            [0, 100],
            {},
            "rows: grey levels are binarized afresh for each",
        ),
        (
            Levels,
            [0, 100],
            {"binarize": "fixed"},
            "rows: grey levels are binarized once",
        ),
        (Binary, [0, 255], {}, ""),
        (Levels, [0, 100], {}, ""),
        (Binary, [0, 100], {"binarize": "none"}, ""),
    ],
)
def test_training_says_when_it_makes_images_black_and_white(
    cls: type,
    values: list[int],
    recipe: dict[str, Any],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    note.cache_clear()
    x = torch.tensor(values, dtype=torch.uint8).view(2, 1, 1, 1)
    complete(Recipe("x", "rows", **recipe), cls, Dataset("rows", "train", x, 256))
    assert capsys.readouterr().err.startswith(said)
    assert bool(said) == note.cache_info().currsize
