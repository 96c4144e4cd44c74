"""Error rates against predictions made by hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo_core.data import Dataset, load_dataset
from zoo_core.errors import InvalidInput
from zoo_core.metrics import classification, measure
from zoo_core.metrics.classification import names_of_clusters
from zoo_core.metrics.samples import Net

BARS = {"data": "bars-and-stripes:test"}


class Rule(nn.Module):
    """A classifier that is one function of the input."""

    event_shape = (1, 3, 3)

    def __init__(self, classify: Callable[[Tensor], Tensor], classes: int = 2) -> None:
        super().__init__()
        self.classify, self.classes = classify, classes


def stripes(x: Tensor) -> Tensor:
    """1 where each row is of one value; labels say 0 for those of one value in each column."""
    return (x.amax(3) == x.amin(3)).all(2).squeeze(1).long()


def test_all_right_all_wrong_and_half() -> None:
    # of 16 rows, empty and full ones are both: each is once a bar and once a stripe
    ambiguous = 100 * 2 / 16
    right = stripes if measure("classification_error", Rule(stripes), BARS).value < 50 else None
    truth = stripes if right else (lambda x: 1 - stripes(x))
    values = [
        measure("classification_error", Rule(rule), BARS)
        for rule in (truth, lambda x: 1 - truth(x), lambda x: torch.zeros(len(x)).long())
    ]
    assert [v.value for v in values] == pytest.approx([ambiguous, 100 - ambiguous, 50.0])
    assert values[0].n == 16
    assert measure("classification_error", Rule(truth), BARS | {"labels": 4}) == values[0]
    # of a share p of n rows: 100 sqrt(p (1 − p) / (n − 1))
    assert values[2].error == pytest.approx(100 * (0.25 / 15) ** 0.5)


def test_clusters_are_named_after_their_most_frequent_class() -> None:
    clusters = torch.tensor([0, 0, 0, 1, 1, 3, 3, 3])
    labels = torch.tensor([2, 2, 1, 0, 0, 1, 1, 2])
    assert names_of_clusters(clusters, labels, 5).tolist() == [2, 0, -1, 1, -1]


def test_rows_without_a_label_are_no_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert names_of_clusters(torch.tensor([0, 0, 0]), torch.tensor([-1, -1, 1]), 2).tolist() == [
        1,
        -1,
    ]
    x, labels = torch.zeros(6, 1, 3, 3), torch.tensor([0, -1, 1, -1, 0, 0])
    rows = Dataset("rows", "test", x, None, labels, ("a", "b"))
    monkeypatch.setattr(classification, "load", lambda *_: rows)
    model = Rule(lambda x: torch.zeros(len(x)).long())
    for name in ("classification_error", "clustering_error"):
        found = measure(name, model, BARS)
        assert (found.value, found.n) == (25.0, 4)


def test_clustering_does_not_depend_on_the_clusters_numbers() -> None:
    values = [
        measure("clustering_error", Rule(rule, 7), BARS).value
        for rule in (stripes, lambda x: 6 - stripes(x), lambda x: 3 * stripes(x))
    ]
    assert values == pytest.approx([100 * 2 / 16] * 3)


def test_more_clusters_than_classes_cost_nothing() -> None:
    by_count = Rule(lambda x: stripes(x) * 10 + x.flatten(1).sum(1).long(), 20)
    assert measure("clustering_error", by_count, BARS).value <= 100 * 2 / 16


def test_one_cluster_is_wrong_about_all_but_one_class() -> None:
    one = Rule(lambda x: torch.zeros(len(x)).long(), 1)
    assert measure("clustering_error", one, BARS).value == pytest.approx(50.0)


@pytest.mark.parametrize(
    ("model", "changes", "text"),
    [
        (
            nn.Linear(2, 2),
            {},
            "_error measures a model that predicts the class, or cluster",
        ),
        (Rule(stripes), {"label": 4}, "_error: unknown option 'label'. Did you mean labels?"),
        (Rule(stripes), {"binarize": "fixed"}, "binarize is 'fixed'; expected none"),
        (Rule(stripes), {"data": "bars-and-stripes-4:test"}, r"but the model takes \(1, 3, 3\)"),
    ],
)
def test_what_cannot_be_measured(model: nn.Module, changes: dict[str, Any], text: str) -> None:
    for name in ("classification_error", "clustering_error"):
        with pytest.raises(InvalidInput, match=text):
            measure(name, model, BARS | changes)


class Painter(nn.Module):
    """Paints its label, or with a guidance below 1 a zero, as the value of every pixel."""

    event_shape, classes = (1, 3, 3), 5

    def sample(
        self,
        n: int,
        *,
        generator: Any,
        temperature: float = 1.0,
        label: Tensor,
        guidance: float = 1,
    ) -> Tensor:
        assert len(label) == n
        painted = label if guidance >= 1 else torch.zeros_like(label)
        return (painted / 10).view(n, 1, 1, 1).expand(n, *self.event_shape)


class Unguided(nn.Module):
    event_shape, classes = (1, 3, 3), 2

    def sample(self, n: int, *, generator: Any, temperature: float = 1.0, label: Any = None) -> Any:
        return torch.zeros(n, *self.event_shape)


class Unlabelled(Unguided):
    classes = 0


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier that sees what is painted."""
    seeing = Rule(lambda x: (10 * x.mean((1, 2, 3))).round().long(), 10)
    monkeypatch.setattr(classification, "feature_net", lambda name: Net(seeing, f"{name}@01"))


@pytest.mark.usefixtures("net")
def test_requested_labels_are_counted_in_samples_of_each_label() -> None:
    protocol = BARS | {"features": "net", "samples": 501}
    right = measure("requested_label", Painter(), protocol)
    assert (right.value, right.n, right.settled) == (100.0, 501, {"features": "net@01"})
    rows = load_dataset(BARS["data"])  # whose mean value is seen as their label
    seen = (10 * rows.floats().mean((1, 2, 3))).round().long()
    assert right.real == pytest.approx(100 * float((seen == rows.labels).float().mean()))
    assert measure("requested_label", Painter(), protocol | {"guidance": 2.0}).value == 100.0
    # zeros are right for one label of five
    some = measure("requested_label", Painter(), protocol | {"samples": 50, "guidance": 0})
    assert (some.value, some.n) == (pytest.approx(20.0), 50)


@pytest.mark.usefixtures("net")
@pytest.mark.parametrize(
    ("model", "changes", "text"),
    [
        (Unlabelled(), {}, "Unlabelled was trained without labels: none can be requested"),
        (Unguided(), {"guidance": 2.0}, "guidance is 2, but Unguided samples without"),
        (Unguided(), {"samples": 0}, "samples is 0"),
    ],
)
def test_labels_that_cannot_be_requested(
    model: nn.Module, changes: dict[str, Any], text: str
) -> None:
    with pytest.raises(InvalidInput, match=text):
        measure("requested_label", model, BARS | {"features": "net"} | changes)


class Counted(Unguided):
    """Samples of which so many are of each class."""

    def __init__(self, counts: list[int]) -> None:
        super().__init__()
        self.classes_of_samples = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))

    def sample(self, n: int, *, generator: Any, temperature: float = 1.0, label: Any = None) -> Any:
        return (self.classes_of_samples[:n] / 10).view(-1, 1, 1, 1).expand(-1, *self.event_shape)


def test_the_ratio_of_classes_is_that_of_the_counts_that_a_net_sees(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeing = Rule(lambda x: (10 * x.mean((1, 2, 3))).round().long().clamp(max=2), 3)
    monkeypatch.setattr(classification, "feature_net", lambda name: Net(seeing, f"{name}@01"))
    protocol = BARS | {"features": "net", "samples": 90}
    found = measure("class_ratio", Counted([50, 30, 10]), protocol)
    assert (found.value, found.n, found.settled) == (5.0, 90, {"features": "net@01"})
    assert found.error == pytest.approx(5 * (1 / 50 + 1 / 10) ** 0.5)
    rows = load_dataset(BARS["data"]).floats()
    counts = torch.bincount((10 * rows.mean((1, 2, 3))).round().long().clamp(max=2), minlength=3)
    assert found.real == pytest.approx(float(counts.max() / counts.min()))
    never = measure("class_ratio", Counted([60, 0, 30]), protocol)
    assert never.value == float("inf")


def test_a_net_without_classes_sees_no_label(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classification, "feature_net", lambda _: Net(nn.Identity(), "blind"))
    with pytest.raises(InvalidInput, match="blind gives features and no classes"):
        measure("requested_label", Unguided(), BARS | {"features": "blind"})
    with pytest.raises(InvalidInput, match="blind gives features and no classes"):
        measure("class_ratio", Unguided(), BARS | {"features": "blind"})


def test_a_protocol_without_data() -> None:
    with pytest.raises(InvalidInput, match="the protocol names no data"):
        measure("classification_error", Rule(stripes), {})


def test_rows_without_labels(tmp_path: Any) -> None:
    (tmp_path / "t.csv").write_text("0,1\n" * 20)
    with pytest.raises(InvalidInput, match="has no labels: there are no classes to compare"):
        measure("classification_error", Rule(stripes), {"data": f"{tmp_path / 't.csv'}:test"})


def test_classes_that_are_not_the_models_have_no_error() -> None:
    with pytest.raises(InvalidInput, match=r"has other classes than the 3 of the model: .*, .*\. "):
        measure("classification_error", Rule(stripes, 3), BARS)
