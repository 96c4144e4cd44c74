"""A data set is a map-style data set of torch, and slices of it are data sets."""

import pytest
import torch
from torch.utils.data import DataLoader

import zoo_core as zoo
from zoo_core.data import Dataset

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
