"""A config is checked before an architecture is built from it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pytest
from torch import nn

from zoo_core.config import Count, NonNegative, Positive, Rate, Size, build, check_trainer
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
        ({"width": 1, "rate": True}, "the config of Net: rate is True; expected a finite number."),
        ({"width": 1, "kind": "c"}, "the config of Net: kind is 'c'; expected 'a' or 'b'."),
        (
            {"width": 1, "sizes": [1]},
            "sizes is [1]; expected a list (a list (a whole number each) each) or none.",
        ),
        ({"width": 1, "rate": float("inf")}, "rate is inf; expected a finite number."),
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


class Ranges(nn.Module):
    def __init__(
        self,
        size: Size = 1,
        count: Count = 3,
        sizes: Sequence[Size] | None = None,
        rate: Rate = 0.0,
        weight: NonNegative = 0.0,
        scale: Positive = 1.0,
        note: Annotated[str, "what no rule says"] = "",
    ) -> None:
        super().__init__()
        self.layer = nn.Linear(size, count)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"size": 0}, "size is 0; expected a whole number of at least 1."),
        ({"count": -1}, "count is -1; expected a whole number of at least 0."),
        ({"sizes": [2, 0]}, "sizes is [2, 0]; expected a list (a whole number of at least 1 each)"),
        ({"rate": 1}, "rate is 1; expected a number of at least 0 and below 1."),
        ({"rate": -0.1}, "rate is -0.1; expected a number of at least 0 and below 1."),
        ({"rate": float("nan")}, "rate is nan; expected a number of at least 0 and below 1."),
        ({"weight": -1.0}, "weight is -1.0; expected a number of at least 0."),
        ({"weight": float("inf")}, "weight is inf; expected a number of at least 0."),
        ({"scale": 0}, "scale is 0; expected a number above 0."),
        ({"scale": "1"}, "scale is '1'; expected a number above 0."),
        ({"note": 1}, "note is 1; expected text."),
    ],
)
def test_a_value_is_within_the_range_of_its_annotation(
    config: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match="the config of Ranges: ") as caught:
        build(Ranges, config)
    assert message in str(caught.value)


def test_bounds_themselves_are_in_their_ranges() -> None:
    config = {"size": 1, "count": 0, "sizes": [1], "rate": 0, "weight": 0, "scale": 1e-9}
    assert isinstance(build(Ranges, config), Ranges)


class Objective:
    def __init__(self, model: nn.Module, k: Size = 1, beta: NonNegative = 1.0) -> None: ...


class Bare:
    """A trainer of a model alone."""

    def __init__(self, model: nn.Module) -> None: ...


@pytest.mark.parametrize(
    ("trainer", "table", "message"),
    [
        (Objective, {"k": 0}, "Objective: trainer.k is 0; expected a whole number of at least 1."),
        (Objective, {"beta": "a"}, "trainer.beta is 'a'; expected a number of at least 0."),
        (Objective, {"bta": 1}, "unknown key 'trainer.bta'. Did you mean beta? Allowed: k, beta."),
        (Objective, {"model": 1}, "unknown key 'trainer.model'. Allowed: k, beta."),
        (Bare, {"k": 1}, "the arguments of Bare: unknown key 'trainer.k'. Allowed: none."),
    ],
)
def test_the_arguments_of_a_trainer_are_checked(
    trainer: type, table: dict[str, Any], message: str
) -> None:
    check_trainer(trainer, {})
    with pytest.raises(InvalidInput) as caught:
        check_trainer(trainer, table)
    assert message in str(caught.value)
