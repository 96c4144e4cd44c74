"""A trainer that shows what its networks make: pictures, a film, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor, nn

from zoo_core.data import Dataset
from zoo_core.output import read_provenance
from zoo_core.training.fit import make_loop
from zoo_core.training.previews import _film
from zoo_core.training.protocols import Update
from zoo_core.training.recipe import Recipe


class Painter:
    """Learns how bright images are; shows its answer beside inputs and noise."""

    monitor = "error"

    def __init__(self) -> None:
        self.networks: dict[str, nn.Module] = {"model": nn.Linear(1, 1)}
        self.shown: list[tuple[Tensor, Tensor, bool]] = []

    def begin(self, mean: Tensor) -> None: ...

    def _error(self, x: Tensor) -> Tensor:
        return (self.networks["model"](torch.ones(len(x), 1)).squeeze(1) - x.mean((1, 2, 3))) ** 2

    def training_step(
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: object,
        labels: object,
        step: int,
    ) -> dict[str, Tensor]:
        loss = self._error(x).mean()
        update["model"](loss)
        return {"error": loss.detach()}

    def validation_step(
        self, x: Tensor, generator: object, labels: object = None
    ) -> dict[str, Tensor]:
        return {"error": self._error(x)}

    def preview(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> Tensor:
        model, noise = self.networks["model"], torch.rand(1, 1, 4, 4, generator=generator)
        answer = model(torch.ones(1, 1)).clamp(0, 1).expand(1, 1, 4, 4)
        assert labels is not None and len(labels) == len(x)
        self.shown.append((torch.cat([x[:1], noise]), answer, model.training))
        return torch.cat([x[:1], noise, answer])

    def remark(self, values: Mapping[str, float]) -> str:
        return "it is dark here" if values["error"] > 0.1 else ""


@pytest.fixture
def painted(tmp_path: Path) -> Painter:
    """Three epochs, with a validation after each."""
    torch.manual_seed(0)
    x = torch.full((70, 1, 4, 4), 204, dtype=torch.uint8)
    rows = Dataset("bright", "train", x, levels=256, labels=torch.zeros(70, dtype=torch.int64))
    painter = Painter()
    nn.init.zeros_(painter.networks["model"].weight)
    nn.init.zeros_(painter.networks["model"].bias)
    adam = {"opt": "adam", "lr": 0.02}
    recipe = Recipe("x", "bright", binarize="none", epochs=3, batch_size=10, optimizer=adam)
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    make_loop(painter, recipe, rows, rows, tmp_path, fabric=fabric).run()
    return painter


def test_each_validation_leaves_a_picture_and_all_of_them_a_film(
    painted: Painter, tmp_path: Path
) -> None:
    paths = sorted((tmp_path / "samples").iterdir())
    assert [path.name for path in paths] == ["00000007.png", "00000014.png", "00000021.png"]
    assert read_provenance(paths[1]) == {"step": 14}
    with Image.open(tmp_path / "samples.gif") as film, Image.open(paths[0]) as picture:
        assert film.n_frames == 3
        assert film.size == picture.size == (2 * 64 + 2, 2 * 64 + 2)


def test_a_damaged_picture_is_left_out_of_the_film(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "samples"
    folder.mkdir()
    for step in (1, 2):
        Image.new("RGB", (4, 4)).save(folder / f"{step:08}.png")
    (folder / "00000003.png").write_bytes(b"nothing")
    _film(tmp_path)
    assert read_provenance(tmp_path / "samples.gif") == {"steps": [1, 2]}
    assert f"{folder / '00000003.png'} is left out of the film" in capsys.readouterr().err


def test_previews_are_of_the_same_noise_and_of_weights_as_they_are(painted: Painter) -> None:
    givens, answers, training = zip(*painted.shown, strict=True)
    assert all(torch.equal(given, givens[0]) for given in givens)
    assert not torch.equal(answers[0], answers[2])
    assert not any(training)
    assert painted.networks["model"].training


def test_a_remark_is_said_while_there_is_reason(
    capsys: pytest.CaptureFixture[str], painted: Painter
) -> None:
    said = capsys.readouterr().err
    assert said.count("it is dark here") == 1
    assert said.rindex("it is dark here") < said.rindex("epoch 2")
