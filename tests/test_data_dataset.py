"""A data set is a map-style data set of torch, and slices of it are data sets."""

import io

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

import zoo_core as zoo
from factories import captioned
from zoo_core.data import Dataset, load_dataset
from zoo_core.data.cells import Cells
from zoo_core.errors import InvalidInput, UnknownName

GREY = Dataset("grey", "test", torch.arange(0, 48).view(12, 1, 2, 2).to(torch.uint8), 256)


LABELLED = zoo.dataset("bars-and-stripes:test")


def test_a_place_gives_a_row_as_a_model_takes_it() -> None:
    row = GREY[3]
    assert isinstance(row, torch.Tensor) and row.dtype == torch.float32
    assert torch.equal(row, GREY.floats()[3])
    last = GREY[-1]
    assert isinstance(last, torch.Tensor) and torch.equal(last, GREY.floats()[11])


def test_a_row_has_its_label() -> None:
    assert LABELLED.labels is not None
    for place in range(len(LABELLED)):
        x, label = LABELLED[place]
        assert label == int(LABELLED.labels[place])
        assert isinstance(x, torch.Tensor) and x.shape == LABELLED.event_shape


def test_labels_of_several_numbers_stay_tensors() -> None:
    codes = Dataset("codes", "train", torch.rand(3, 2), None, torch.rand(3, 5))
    _, code = codes[1]
    assert isinstance(code, torch.Tensor) and code.shape == (5,)


def test_iteration_ends() -> None:
    assert len(list(GREY)) == len(GREY)  # type: ignore[call-overload]
    with pytest.raises(IndexError, match="grey has no row 12: it has 12"):
        GREY[12]


def test_a_loader_makes_batches() -> None:
    batches = list(DataLoader(GREY, batch_size=5))  # type: ignore[arg-type]
    assert torch.equal(torch.cat(batches), GREY.floats())
    x, labels = next(iter(DataLoader(LABELLED, batch_size=16)))  # type: ignore[arg-type]
    assert torch.equal(x, LABELLED.floats()) and torch.equal(labels, LABELLED.labels)


def test_slices_and_places_give_data_sets() -> None:
    for part in (LABELLED[2:5], LABELLED[torch.tensor([2, 3, 4])]):
        assert isinstance(part, Dataset) and part.labels is not None and LABELLED.labels is not None
        assert torch.equal(part.x, LABELLED.x[2:5])
        assert torch.equal(part.labels, LABELLED.labels[2:5])


def test_truth_values_give_a_data_set() -> None:
    """Its captions and cells are those of the rows that are true, as its labels are."""
    x, labels = torch.arange(3, dtype=torch.uint8).view(3, 1), torch.arange(3)
    cells = Cells(("a",), (["c0", "c1", "c2"],))
    data = Dataset("t", "test", x, 3, labels, texts=("t0", "t1", "t2"), cells=cells)
    part = data[torch.tensor([False, True, True])]
    assert part.labels is not None and part.labels.tolist() == [1, 2]
    assert part.x.tolist() == [[1], [2]] and part.texts == ("t1", "t2")
    assert part.cells is not None and part.cells.columns == (["c1", "c2"],)
    with pytest.raises(InvalidInput, match=r"truth values \(2,\); expected one for each of its 3"):
        data[torch.tensor([False, True])]


def images(x: torch.Tensor) -> Dataset:
    return Dataset("made", "test", x.to(torch.uint8), 256)


def test_floats_are_in_the_unit_interval() -> None:
    data = images(torch.tensor([[[[0, 51, 255]]]]))
    assert data.floats().flatten().tolist() == pytest.approx([0, 0.2, 1])
    assert data.floats().dtype == torch.float32


def test_the_digest_knows_shape_and_bytes() -> None:
    x = torch.arange(12)
    first = images(x.view(1, 1, 3, 4))
    assert first.digest == images(x.view(1, 1, 3, 4)).digest
    assert first.digest != images(x.view(1, 1, 4, 3)).digest
    assert first.digest != images((x + 1).view(1, 1, 3, 4)).digest


def test_a_slice_takes_the_labels_along() -> None:
    data = Dataset("a", "test", torch.zeros(5, 1, 2, 2, dtype=torch.uint8), 256, torch.arange(5))
    part = data[1:3]
    assert part.labels is not None
    assert part.labels.tolist() == [1, 2]
    assert len(part) == 2


def test_real_numbers_are_given_as_they_are() -> None:
    data = Dataset("real", "train", torch.tensor([[0.25, 0.5], [1.0, 0.0]]), None)
    x = data.floats()
    assert torch.equal(x, data.x)
    x.zero_()
    assert data.x.any()
    assert len(data.digest) == 64


@pytest.mark.parametrize("rows", [slice(1, 4, 2), slice(-4, None, 2), torch.tensor([1, 3])])
def test_rows_take_labels_and_captions_along(rows: slice | torch.Tensor) -> None:
    part = captioned()[rows]
    assert part.labels is not None
    assert part.labels.tolist() == part.x[:, 0, 0, 0].tolist() == [1, 3]
    assert part.texts == ("thing 1", "thing 3")


def test_columns_are_of_data_that_have_attributes() -> None:
    with pytest.raises(
        UnknownName, match=r"bars-and-stripes has no attribute 'skin'\. It has none"
    ):
        load_dataset("bars-and-stripes").column("skin")


def test_a_notebook_shows_images_as_a_grid_and_tables_as_rows() -> None:
    assert GREY._repr_html_() is None and GREY[:0]._repr_png_() is None
    with Image.open(io.BytesIO(GREY._repr_png_() or b"")) as picture:
        assert picture.size == (32 * 8 * 3, 32 * 2 * 3)  # a gap of one pixel
        assert [picture.getpixel((32 * x, 0)) for x in (0, 1, 3)] == [(n,) * 3 for n in (0, 1, 4)]
    table = Dataset("real", "train", torch.tensor([[0.25, 0.5], [1.0, 0.0]]), None)
    assert table._repr_png_() is None
    html = table._repr_html_() or ""
    assert "<th>x0</th><th>x1</th>" in html and "<td>0.25</td><td>0.5</td>" in html
