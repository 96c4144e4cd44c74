"""Few labels: which are kept, and how a run sees them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from lightning_fabric import Fabric
from torch import Tensor

from zoo_core.cli import root
from zoo_core.data import Dataset, with_labels
from zoo_core.errors import InvalidInput
from zoo_core.training import recipe as recipes
from zoo_core.training.fit import make_loop


def numbers(n: int = 60, classes: int = 3) -> Dataset:
    """Rows that say their place, with classes of unequal frequency."""
    labels = (torch.arange(n) % (classes + 1)).clamp_max(classes - 1)
    x = torch.arange(n, dtype=torch.uint8).unsqueeze(1)
    return Dataset("numbers", "train", x, levels=256, labels=labels)


def known(data: Dataset) -> Tensor:
    assert data.labels is not None
    return (data.labels >= 0).nonzero().squeeze(1)


def test_as_many_of_each_class_keep_their_own_label() -> None:
    whole, few = numbers(), with_labels(numbers(), 12, seed=0)
    assert whole.labels is not None
    assert few.labels is not None
    rows = known(few)
    assert torch.bincount(few.labels[rows]).tolist() == [4, 4, 4]
    assert torch.equal(few.labels[rows], whole.labels[rows])
    assert (few.labels < 0).sum() == 48
    assert few.digest == whole.digest


def test_the_seed_alone_decides_which() -> None:
    torch.manual_seed(1)
    first = known(with_labels(numbers(), 12, seed=0))
    torch.manual_seed(2)
    assert torch.equal(first, known(with_labels(numbers(), 12, seed=0)))
    assert not torch.equal(first, known(with_labels(numbers(), 12, seed=1)))


def test_more_labels_contain_the_fewer() -> None:
    few, more = (set(known(with_labels(numbers(), n, 0)).tolist()) for n in (6, 30))
    assert few < more


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (10, "labels is 10; expected a multiple of numbers's 3 classes, of up to 45"),
        (48, "labels is 48; expected a multiple"),
    ],
)
def test_a_number_that_cannot_be_shared_out(n: int, text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        with_labels(numbers(), n, 0)


def test_data_without_labels() -> None:
    data = Dataset("numbers", "train", torch.zeros(9, 1, dtype=torch.uint8), levels=2)
    with pytest.raises(InvalidInput, match="labels is 3, but numbers has no labels"):
        with_labels(data, 3, 0)


class Listener:
    """Learns nothing, and remembers which labels came with which inputs."""

    monitor = "zero"

    def __init__(self) -> None:
        self.networks = {"model": torch.nn.Linear(1, 1).requires_grad_(False)}
        self.steps: list[tuple[Tensor, Tensor]] = []
        self.validated: list[Tensor] = []

    def begin(self, mean: Tensor) -> None: ...

    def training_step(
        self, x: Tensor, update: object, generator: object, labels: Tensor | None, step: int
    ) -> dict[str, Tensor]:
        assert labels is not None
        self.steps.append((x.mul(255).round().long().squeeze(1), labels))
        return {"zero": torch.zeros(())}

    def validation_step(
        self, x: Tensor, generator: object, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        assert labels is not None
        self.validated.append(labels)
        return {"zero": torch.zeros(len(x))}


def heard(folder: Path, **settings: Any) -> Listener:
    raw = {"architecture": "x", "data": "x", "binarize": "none", "batch_size": 7, "epochs": 2}
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    listener, rows = Listener(), numbers()
    recipe = recipes.parse(raw | settings, "")
    make_loop(listener, recipe, rows, rows, folder, fabric=fabric, quiet=True).run()
    return listener


def test_a_trainer_sees_few_labels_and_validates_with_all(tmp_path: Path) -> None:
    listener = heard(tmp_path, labels=6, epochs=1)
    x, labels = (torch.cat(parts) for parts in zip(*listener.steps, strict=True))
    assert torch.equal(x.sort().values, torch.arange(60))
    assert (labels >= 0).sum() == 6
    assert torch.equal(torch.cat(listener.validated), numbers().labels)


def test_labelled_rows_are_added_to_each_batch(tmp_path: Path) -> None:
    listener = heard(tmp_path, labels=6, labelled=4)
    seen = set()
    for i, (x, labels) in enumerate(listener.steps):
        own = 4 if i % 9 == 8 else 7  # 60 rows in batches of 7
        assert len(x) == own + 4
        assert (labels[own:] >= 0).all()
        assert len(set(x[own:].tolist())) == 4
        seen |= set(x[own:].tolist())
    assert len(seen) == 6


def test_labelled_rows_are_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    runs = [heard(tmp_path / name, labels=6, labelled=4).steps for name in ("a", "b")]
    assert all(torch.equal(a[0], b[0]) for a, b in zip(*runs, strict=True))


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("labels=-10", "labels is -10; expected a whole number of at least 0"),
        ("labels=5", "labels is 5; expected a multiple of bars-and-stripes's 2 classes"),
    ],
)
def test_a_recipe_that_is_wrong_says_so(
    setting: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(
        root, ["train", "nade", "--data", "bars-and-stripes", "--set", setting]
    )
    assert result.exit_code == 2
    assert text in result.stderr


def test_labelled_rows_of_data_without_labels(tmp_path: Path) -> None:
    data = Dataset("numbers", "train", torch.zeros(9, 1, dtype=torch.uint8), levels=2)
    recipe = recipes.parse(
        {"architecture": "x", "data": "x", "binarize": "none", "labelled": 2}, ""
    )
    fabric = Fabric(accelerator="cpu", devices=1)
    with pytest.raises(InvalidInput, match="adds labelled rows to each batch, but numbers has no"):
        make_loop(Listener(), recipe, data, data, tmp_path, fabric=fabric)
