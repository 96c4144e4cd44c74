"""Grey levels become 0 and 1 by a seed, the same in parts as at once."""

from pathlib import Path

import pytest
import torch

import zoo_core
from zoo_core.data import Dataset, load_dataset
from zoo_core.data.binarization import (
    binarize,
    binarize_dataset,
    binarize_parts,
    describe_binarization,
    levels_of,
    needs_binarization,
)
from zoo_core.data.columns import Column
from zoo_core.data.streams import open_stream
from zoo_core.errors import InvalidInput


def images(x: torch.Tensor) -> Dataset:
    return Dataset("made", "test", x.to(torch.uint8), 256)


def test_each_value_is_sampled_with_itself_as_probability() -> None:
    x = torch.tensor([0.0, 0.3, 1.0]).expand(20_000, 3)
    x_binary = binarize(x, torch.Generator().manual_seed(0))
    assert set(x_binary.unique().tolist()) == {0.0, 1.0}
    assert x_binary.mean(0).tolist() == pytest.approx([0, 0.3, 1], abs=0.01)


def test_a_seed_gives_the_same_data() -> None:
    data = images(torch.randint(0, 256, (1500, 1, 4, 4), generator=torch.manual_seed(0)))
    first = binarize_dataset(data, 0)
    assert first.levels == 2
    assert int(first.x.max()) == 1
    assert first.digest == binarize_dataset(data, 0).digest
    assert first.digest != binarize_dataset(data, 1).digest
    assert torch.equal(first[:1200].x, binarize_dataset(data[:1200], 0).x), "a row after another"


def test_what_a_seed_gives_never_changes() -> None:
    data = images(torch.full((2, 1, 4, 4), 128))
    # published likelihoods rest on it
    digest = "b186af61a1e6a283258fa1f46cf659dc055b82ba55e07eee33ebd8652e339493"
    assert binarize_dataset(data, 0).digest == digest


def test_categories_are_no_grey_levels() -> None:
    data = Dataset("made", "test", torch.tensor([[0, 2]], dtype=torch.uint8), 3)
    with pytest.raises(InvalidInput, match="made holds 3 categories: only grey levels"):
        binarize_dataset(data, 0)
    real = Dataset("real", "train", torch.tensor([[0.25, 0.5]]), None)
    with pytest.raises(InvalidInput, match="real holds real numbers: only grey levels"):
        binarize_dataset(real, 0)


def test_parts_are_binarized_as_the_whole(mnist: Path) -> None:
    whole = binarize_dataset(load_dataset("mnist:test", root=mnist), 0).x
    stream = open_stream("mnist:test", shape=(1, 28, 28), root=mnist)
    ranges = [range(2), range(2, 5), range(7, 9)]
    for rows, some in zip(ranges, binarize_parts(stream.read(ranges), ranges), strict=True):
        assert torch.equal(some.data.x, whole[rows.start : rows.stop])


def test_the_note_names_the_data_and_how() -> None:
    (note,) = describe_binarization(images(torch.full((1, 1, 1, 2), 7)))
    how = "once, by seed 0 and each one's place among the inputs (the model is binary)"
    assert note == f"made: grey levels are binarized {how}"
    assert describe_binarization(images(torch.tensor([[[[0, 255]]]]))) == ()


def test_rows_are_binarized_for_a_binary_model_unless_they_are_binary() -> None:
    grey = images(torch.full((1, 1, 1, 2), 7))
    assert needs_binarization(2) and needs_binarization(2, grey)
    assert not needs_binarization(2, binarize_dataset(grey, 0))
    assert not needs_binarization(256, grey) and not needs_binarization(None, grey)


def test_a_model_of_a_tables_columns_takes_rows_as_they_encode_them() -> None:
    """Also where all are binary: cells may be missing then."""
    model = zoo_core.create("mixed-tree", shape=[2])
    assert (levels_of(model), levels_of(torch.nn.Linear(2, 2))) == (2, None)
    columns = [Column(name, "binary", ("no", "yes")).table() for name in "ab"]
    assert levels_of(zoo_core.create("mixed-tree", shape=[2], columns=columns)) is None
