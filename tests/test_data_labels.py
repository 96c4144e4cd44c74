"""Few labels: which are kept; labels as a model numbers them."""

import pytest
import torch
from torch import Tensor

from factories import numbers
from zoo_core.data import Dataset, with_labels
from zoo_core.data.labels import match_labels
from zoo_core.errors import InvalidInput


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


def test_rows_without_a_label_keep_none(capsys: pytest.CaptureFixture[str]) -> None:
    whole = numbers()
    assert whole.labels is not None
    whole.labels[:10] = -1
    few = with_labels(whole, 9, seed=0)
    assert few.labels is not None
    assert (known(few) >= 10).all()
    assert torch.bincount(few.labels[known(few)]).tolist() == [3, 3, 3]
    assert "numbers: 10 rows without a label" in capsys.readouterr().err
    whole.labels[:] = -1
    with pytest.raises(InvalidInput, match="labels is 9, but numbers has no labels"):
        with_labels(whole, 9, seed=0)


def test_a_missing_label_stays_so() -> None:
    labels = torch.tensor([0, 1, -1])
    for names, classes, expected in ((("3", "7"), 10, [3, 7, -1]), (("a", "b"), 2, [0, 1, -1])):
        found = match_labels(labels, names, classes)
        assert found is not None
        assert found.tolist() == expected


def test_data_without_labels() -> None:
    data = Dataset("numbers", "train", torch.zeros(9, 1, dtype=torch.uint8), levels=2)
    with pytest.raises(InvalidInput, match="labels is 3, but numbers has no labels"):
        with_labels(data, 3, 0)


@pytest.mark.parametrize(
    ("names", "classes", "expected"),
    [
        (("cat", "dog"), 2, [0, 1, 1]),
        (("3", "7"), 10, [3, 7, 7]),
        (("3", "7"), 2, [0, 1, 1]),  # those that the model was trained on
        (("10", "2"), 11, None),  # in the order of their names, 10 is the third of eleven
        (("cat", "dog"), 3, None),
        (("3", "x"), 10, None),
        ((), 2, [0, 1, 1]),
        ((), 1, None),
    ],
)
def test_labels_are_numbered_as_the_model_does(
    names: tuple[str, ...], classes: int, expected: list[int] | None
) -> None:
    found = match_labels(torch.tensor([0, 1, 1]), names, classes)
    assert (None if found is None else found.tolist()) == expected


def test_classes_that_are_called_as_the_models_are_these() -> None:
    labels = torch.tensor([0, 1, -1])
    for names, expected in (
        (("ant", "dog"), [1, 3, -1]),
        (("ant", "bee"), [1, 2, -1]),
        (("0", "2"), [0, 2, -1]),  # of the model's numbers
        (("ant", "cow"), None),
    ):
        found = match_labels(labels, names, 4, ("ape", "ant", "bee", "dog"))
        assert (None if found is None else found.tolist()) == expected
    assert match_labels(labels, ("ape", "ant"), 2, ("ape", "ant")) is labels
