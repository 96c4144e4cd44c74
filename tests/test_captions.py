"""Captions go with the images of a data set, and into the steps of a trainer that reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor, nn

from zoo_core.data import Dataset, load_dataset
from zoo_core.errors import InvalidInput
from zoo_core.protocols import Trainer
from zoo_core.training.fit import make_loop
from zoo_core.training.loop import Loop
from zoo_core.training.protocols import CaptionReader, Update
from zoo_core.training.recipe import Recipe


def captioned(n: int = 5) -> Dataset:
    x = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 1, 2, 2)
    texts = tuple(f"thing {i}" for i in range(n))
    return Dataset("things", "train", x, 256, torch.arange(n), texts=texts)


@pytest.mark.parametrize("rows", [slice(1, 4, 2), slice(-4, None, 2), torch.tensor([1, 3])])
def test_rows_take_labels_and_captions_along(rows: slice | torch.Tensor) -> None:
    part = captioned()[rows]
    assert part.labels is not None
    assert part.labels.tolist() == part.x[:, 0, 0, 0].tolist() == [1, 3]
    assert part.texts == ("thing 1", "thing 3")


def test_a_parquet_folder_has_captions(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    images = [Image.new("RGB", (8, 8), (i, 0, 0)) for i in range(60)]
    rows = {"image": images, "caption": [f"thing {i}" for i in range(60)]}
    features = datasets.Features({"image": datasets.Image(), "caption": datasets.Value("string")})
    table = datasets.Dataset.from_dict(rows, features=features)
    (tmp_path / "hub" / "data").mkdir(parents=True)
    table.to_parquet(str(tmp_path / "hub" / "data" / "train-00000-of-00001.parquet"))
    for split in ("train", "validation", "test"):
        part = load_dataset(f"{tmp_path / 'hub'}:{split}")
        assert part.texts == tuple(f"thing {i}" for i in part.x[:, 0, 0, 0].tolist())


def test_images_without_captions_have_none(tmp_path: Path) -> None:
    for i in range(30):
        Image.new("L", (4, 4), i).save(tmp_path / f"{i}.png")
    assert load_dataset(str(tmp_path)).texts == ()


class Spelling:
    """A trainer that checks that each input comes with the length of its own caption."""

    monitor = "off"

    def __init__(self) -> None:
        self.networks: dict[str, nn.Module] = {"model": nn.Linear(1, 1)}

    def begin(self, mean: Tensor) -> None:
        pass

    def read_captions(self, texts: Sequence[str]) -> Tensor:
        return torch.tensor([[len(text), 7] for text in texts])

    def training_step(
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: torch.Generator,
        labels: Tensor | None,
        step: int,
    ) -> dict[str, Tensor]:
        assert labels is not None
        assert torch.equal(labels[:, 0], (255 * x[:, 0, 0, 0]).round().long())
        return {"seven": labels[:, 1].float().mean()}

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        assert labels is not None
        return {"off": (labels[:, 0] - 255 * x[:, 0, 0, 0]).abs()}


def loop_over(data: Dataset, folder: Path) -> Loop:
    recipe = Recipe(architecture="speller", data="things", epochs=1, batch_size=3, binarize="none")
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    trainer = Spelling()
    assert isinstance(trainer, CaptionReader) and isinstance(trainer, Trainer)
    return make_loop(trainer, recipe, data, data, folder, fabric=fabric, quiet=True)


def test_a_trainer_that_reads_captions_is_handed_those_of_its_inputs(tmp_path: Path) -> None:
    data = captioned(10)
    spelt = replace(data, texts=tuple("x" * n for n in data.x[:, 0, 0, 0].tolist()))
    assert loop_over(spelt, tmp_path).run().best == 0


def test_data_without_captions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInput, match=r"^things has no captions; .* column `text` or `caption`"
    ):
        loop_over(replace(captioned(), texts=()), tmp_path)
