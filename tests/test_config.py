"""A config is checked before an architecture is built from it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pytest
from torch import nn

from zoo_core.config import build
from zoo_core.errors import InvalidInput


class Net(nn.Module):
    def __init__(
        self,
        width: int,
        rate: float = 0.0,
        kind: Literal["a", "b"] = "a",
        sizes: Sequence[Sequence[int]] | None = None,
        table: Mapping[str, int] | None = None,
        pair: tuple[int, int] = (1, 2),
        free: Any = None,
    ) -> None:
        super().__init__()
        if rate > 1:
            raise ValueError(f"a rate of {rate}")
        if kind == "b" and width > 9:
            raise InvalidInput("b is narrow")
        self.width = width


class Hidden(nn.Module):
    """Its annotation is only known to type checkers."""

    def __init__(self, width: "Unknown") -> None:  # type: ignore[name-defined]  # noqa: F821
        super().__init__()
        self.width = width


@pytest.mark.parametrize(
    "more",
    [
        {"rate": 1},
        {"rate": 0.5, "kind": "b"},
        {"sizes": [[1, 2], []]},
        {"sizes": ((3,),)},
        {"sizes": None},
        {"table": {"a": 1}},  # the class's own to check, as those after it
        {"pair": [1, 2]},
        {"free": object()},
    ],
)
def test_what_fits_is_built(more: dict[str, Any]) -> None:
    model = build(Net, {"width": 3} | more)
    assert isinstance(model, Net)
    assert model.width == 3


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "the config of Net: width is missing; expected a whole number."),
        (
            {"width": 1, "witdh": 2},
            "the config of Net: unknown key 'witdh'. Did you mean width? Allowed: width, ",
        ),
        ({"width": 1.0}, "the config of Net: width is 1.0; expected a whole number."),
        ({"width": 1, "rate": True}, "the config of Net: rate is True; expected a number."),
        ({"width": 1, "kind": "c"}, "the config of Net: kind is 'c'; expected 'a' or 'b'."),
        (
            {"width": 1, "sizes": [1]},
            "sizes is [1]; expected a list (a list (a whole number each) each) or none.",
        ),
        (
            {"width": 1, "rate": 2},
            "Net cannot be built with width = 1, rate = 2: ValueError: a rate",
        ),
        ({"width": 10, "kind": "b"}, "b is narrow"),
    ],
)
def test_what_does_not_fit_is_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        build(Net, config)
    assert message in str(caught.value)


class Layers(nn.Module):
    def __init__(
        self, width: int, depth: int = 2, pads: Sequence[int] = (), skip: int = 0, dim: int = -1
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"width": -1}, "width is -1; expected a whole number of at least 1."),
        ({"width": 0}, "width is 0; expected a whole number of at least 1."),
        ({"width": 1, "depth": -1}, "depth is -1; expected a whole number of at least 1."),
        ({"width": 1, "skip": -1}, "skip is -1; expected a whole number of at least 0."),
        ({"pads": [-1], "width": 0}, "pads is [-1]; expected a list (a whole number of at least 1"),
    ],
)
def test_sizes_that_are_too_small_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match="the config of Layers: ") as caught:
        build(Layers, config)
    assert message in str(caught.value)


@pytest.mark.parametrize("more", [{"depth": 0}, {"skip": 0}, {"dim": -2}, {"pads": [-1, 0]}])
def test_counts_of_zero_and_dimensions_below_are_built(more: dict[str, Any]) -> None:
    assert isinstance(build(Layers, {"width": 1} | more), Layers)


def test_what_only_type_checkers_know_is_left_to_the_class() -> None:
    assert isinstance(build(Hidden, {"width": "3"}), Hidden)
    with pytest.raises(InvalidInput, match="the config of Hidden: width is missing"):
        build(Hidden, {})
