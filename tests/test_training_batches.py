"""Rows become tensors: shares of processes, few labels, captions and binarization."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from lightning_fabric import Fabric
from torch import Tensor, nn

from factories import captioned, numbers
from zoo_core.cli import root
from zoo_core.data import Dataset
from zoo_core.errors import InvalidInput
from zoo_core.protocols import Trainer
from zoo_core.training import recipe as recipes
from zoo_core.training.batches import Batches, Hold
from zoo_core.training.fit import make_loop
from zoo_core.training.host import Host
from zoo_core.training.loop import Loop
from zoo_core.training.protocols import CaptionReader, Update
from zoo_core.training.recipe import Recipe
from zoo_core.training.seeds import stream


def batches(
    data: Dataset, rank: int = 0, processes: int = 1, hold: Hold | None = None, **settings: Any
) -> Batches:
    fabric: Any = SimpleNamespace(
        device=torch.device("cpu"),
        global_rank=rank,
        world_size=processes,
        is_global_zero=rank == 0,
        broadcast=lambda value: value,
    )
    recipe = Recipe("x", data.name, **{"binarize": "none", "batch_size": 7, **settings})
    trainer: Any = None
    return Batches(recipe, data, data, trainer, fabric, *([hold] if hold else []))


def gray(n: int = 40) -> Dataset:
    """Rows of one pixel, half of them of a middle gray."""
    x = torch.tensor([128, 0] * (n // 2), dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 1, 4, 4)
    return Dataset("gray", "train", x.clone(), levels=256)


def test_an_epoch_has_each_row_once_in_an_order_of_its_own() -> None:
    made = batches(numbers())
    epochs = [made.rows(epoch) for epoch in (0, 1, 0)]
    assert [len(rows) for rows in epochs[0]] == [7] * 8 + [4]
    assert made.steps_per_epoch == 9
    for rows in epochs:
        assert torch.equal(torch.cat(rows).sort().values, torch.arange(60))
    assert torch.equal(torch.cat(epochs[0]), torch.cat(epochs[2]))
    assert not torch.equal(torch.cat(epochs[0]), torch.cat(epochs[1]))


def test_processes_share_a_batch_out() -> None:
    rows = torch.arange(10, 17)
    shares = [batches(numbers(), rank, 3).parts(rows, 0) for rank in range(3)]
    assert sorted(int(x) for share in shares for part in share for x in part.rows) == rows.tolist()
    few = batches(numbers(), 2, 3).parts(rows[:2], 0)
    assert torch.equal(few[0].rows, rows[:2])  # too few to share: each process takes them all
    assert few[0].weight == 1


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
@pytest.mark.parametrize("accumulate", [1, 2, 3, 50])
@pytest.mark.parametrize("n", [1, 4, 7, 30])
def test_weighted_means_of_parts_are_the_mean_of_a_step(
    processes: int, accumulate: int, n: int
) -> None:
    rows = torch.randperm(60, generator=torch.Generator().manual_seed(0))[:n]
    means = [
        sum(
            float(part.rows.double().mean()) * part.weight
            for part in batches(numbers(), rank, processes, accumulate=accumulate).parts(rows, 0)
        )
        for rank in range(processes)
    ]
    assert sum(means) / processes == pytest.approx(float(rows.double().mean()), rel=1e-12)


def test_processes_share_the_validation_split_out_by_batches() -> None:
    data = numbers(1203)
    shares = [dict(batches(data, rank, 2).validation_share()) for rank in range(2)]
    assert [sorted(share) for share in shares] == [[0, 2], [1]]
    whole = dict(batches(data).validation_share())
    assert {n: len(batch.x) for n, batch in whole.items()} == {0: 500, 1: 500, 2: 203}
    for number, batch in (shares[0] | shares[1]).items():
        assert torch.equal(batch.x, whole[number].x)


def test_grey_levels_are_binarized_afresh_or_once() -> None:
    rows, random = torch.arange(40), stream(0, "x")
    dynamic, fixed, none = (
        [batches(gray(), binarize=how).training(rows, random).x for _ in range(2)]
        for how in ("dynamic", "fixed", "none")
    )
    for x in (*dynamic, *fixed):
        assert set(x.unique().tolist()) == {0.0, 1.0}
        assert not x[1::2].any()  # black stays black
    assert not torch.equal(dynamic[0], dynamic[1])
    assert torch.equal(fixed[0], fixed[1])
    assert torch.equal(none[0], gray().floats(rows))


@pytest.mark.parametrize("how", ["dynamic", "fixed"])
def test_validation_is_binarized_once(how: str) -> None:
    made = batches(gray(), binarize=how)
    first, again = (torch.cat([b.x for _, b in made.validation_share()]) for _ in range(2))
    assert torch.equal(first, again)
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(made.held_out(5).x, first[:5])


def test_processes_of_a_machine_binarize_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = batches(gray(), binarize="fixed")
    first, other = (Host(tmp_path / "shared", first=first) for first in (True, False))
    own = batches(gray(), 0, 2, first.load, binarize="fixed")
    monkeypatch.delattr("zoo_core.data.binarization._binarize_rows")  # the first one has done it
    mapped = batches(gray(), 1, 2, other.load, binarize="fixed")
    first.close()
    for made in (own, mapped):
        assert torch.equal(made.train.x, whole.train.x)
        assert torch.equal(made.validation.x, whole.validation.x)
        assert made.digests == whole.digests  # of the rows as they were loaded
    binary = replace(gray(), x=gray().x // 128, levels=2)
    monkeypatch.setattr(first, "load", None)
    assert batches(binary, 0, 2, first.load, binarize="fixed").train.x is binary.x


def test_the_mean_is_of_the_training_split() -> None:
    torch.testing.assert_close(batches(numbers()).mean(), torch.tensor([29.5 / 255]))


# Few labels


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


# Captions


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
