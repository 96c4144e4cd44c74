"""Translations beside true drawings: values that can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from zoo_adversarial import pairs

from zoo_core import metrics, plugins
from zoo_core.data import Dataset
from zoo_core.errors import InvalidInput
from zoo_core.metrics import Measured

PROTOCOL: dict[str, str] = {"data": "things:test"}


class Dimmer(nn.Module):
    """Light drawings are dark ones plus a tenth; it knows, up to an error."""

    event_shape = (1, 2, 2)
    domains = ("dark", "light")

    def __init__(self, error: float) -> None:
        super().__init__()
        self.error = error

    def translate(self, x: Tensor, to: str) -> Tensor:
        return x + (0.1 if to == "light" else -0.1) + self.error


def things(classes: tuple[str, ...] = ("light", "dark"), names: int = 4) -> Dataset:
    """Names that differ by a fifth of the range, a tenth apart in the two domains."""
    level = torch.arange(names).repeat_interleave(2) * 51
    light = torch.tensor([1, 0]).repeat(names) * 25.5
    x = (level + light).round().to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    texts = tuple(f"thing {i // 2}" for i in range(2 * names))
    return Dataset("things", "test", x, 256, torch.tensor([0, 1]).repeat(names), classes, texts)


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Measured]:
    def run(name: str, model: nn.Module, data: Dataset | None = None) -> Measured:
        monkeypatch.setattr(pairs, "load", lambda *_: data or things())
        return metrics.measure(name, model, PROTOCOL, Path())

    return run


def test_a_true_translation_is_at_no_distance(measure: Callable[..., Measured]) -> None:
    assert measure("translation_l1", Dimmer(0.0)).value == pytest.approx(0, abs=0.3)
    assert measure("translation_l1", Dimmer(0.05)).value == pytest.approx(5, abs=0.3)
    left = measure("untranslated_l1", Dimmer(0.0))
    assert left.value == pytest.approx(10, abs=0.3)
    assert left.n == 8  # four names, both ways


def test_retrieval_finds_the_nearest_drawing(measure: Callable[..., Measured]) -> None:
    assert measure("translation_retrieval", Dimmer(0.0)).value == 100
    # a fifth too light: each is taken for the next one, and only the lightest for itself
    assert measure("translation_retrieval", Dimmer(0.2)).value == 25
    assert measure("untranslated_retrieval", Dimmer(0.2)).n == 8


def test_retrieval_in_features_ignores_what_they_do(
    measure: Callable[..., Measured], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Net:
        name = "names@0123"

        def features(self, rows: Dataset) -> Tensor:
            return rows.floats().flatten(1).mul(5).add(0.05).floor().double()  # a fifth is a name

    monkeypatch.setattr(pairs, "feature_net", lambda _: Net())
    monkeypatch.setitem(PROTOCOL, "features", "names")
    found = measure("translation_retrieval", Dimmer(0.04))
    assert found.value == 100
    assert found.settled == {"features": "names@0123"}
    assert measure("untranslated_retrieval", Dimmer(0.0)).n == 8


def test_data_without_pairs_are_refused(measure: Callable[..., Measured]) -> None:
    with pytest.raises(InvalidInput, match=r"has the classes a, b; .* of the domains dark, light"):
        measure("translation_l1", Dimmer(0.0), things(("a", "b")))
    data = things()
    own = Dataset("things", "test", data.x, 256, data.labels, data.classes, tuple("abcdefgh"))
    with pytest.raises(InvalidInput, match="things has no name in each of dark, light"):
        measure("translation_l1", Dimmer(0.0), own)


def test_a_model_that_does_not_translate_is_refused(measure: Callable[..., Measured]) -> None:
    with pytest.raises(
        InvalidInput,
        match="translation_l1 measures a model that translates images into",
    ):
        measure("translation_l1", nn.Linear(1, 1))


def test_the_family_offers_each_figure() -> None:
    offered = plugins.load("adversarial").metrics
    functions = {name for name in pairs.__all__ if name.islower()}
    assert functions <= set(offered)
    assert {offered[name].unit for name in functions} == {"%"}
