"""The laws that every family keeps, and what is special to flows."""

import pytest
import torch

import zoo_core
from zoo_core.data import Dataset, load_dataset
from zoo_core.errors import InvalidInput
from zoo_core.metrics import measure
from zoo_core.testing import Case, Law
from zoo_flows import metrics
from zoo_flows.model import SplineFlow
from zoo_flows.trainer import Dequantized


@pytest.mark.zoo_family("flows")
def test_law(law: Law, case: Case) -> None:
    law(case)


@pytest.mark.parametrize(("passes", "scale"), [(0, 1.0), (2, 1.0), (2, 2.0)])
def test_the_density_is_that_of_the_change_of_variables(passes: int, scale: float) -> None:
    """Through the Jacobian of the sampler, which shares no formula with log_prob."""
    torch.manual_seed(0)
    model = SplineFlow((3,), 2, (8,), bins=4, passes=passes, scale=scale).double()
    z = torch.randn(4, 3, dtype=torch.float64)

    def draw(z: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(scale * model.flow().transform.inv(z.unsqueeze(0))).squeeze(0)

    x = torch.stack([draw(one) for one in z])
    J = torch.stack([torch.autograd.functional.jacobian(draw, one) for one in z])
    log_base = torch.distributions.Normal(0, 1).log_prob(z).sum(1)
    assert torch.allclose(model.log_prob(x), log_base - J.det().abs().log(), atol=1e-4)


@pytest.mark.parametrize("name", ["two-moons", "pinwheel"])
def test_toys_lie_in_the_unit_square(name: str) -> None:
    train, test = (load_dataset(f"{name}:{split}") for split in ("train", "test"))
    assert train.event_shape == (2,)
    assert train.digest == load_dataset(name).digest != test.digest
    x = train.floats()
    assert 0 < x.min() < x.max() < 1
    assert (x.std(0) > 0.1).all()


def test_noise_fills_the_space_between_grey_levels() -> None:
    trainer = Dequantized(SplineFlow((2,), transforms=1, hidden=(4,), bins=2), levels=256)
    x = torch.tensor([[0.0, 1.0]]).expand(1000, 2)
    noisy = trainer._noisy(x, torch.Generator().manual_seed(0))
    assert 0 <= noisy[:, 0].min() < noisy[:, 0].max() < 1 / 256
    assert 255 / 256 <= noisy[:, 1].min() < noisy[:, 1].max() <= 1


def test_black_pixels_are_where_splines_bend() -> None:
    """Beyond ±5 they are the identity, whose parameters no gradient reaches."""
    x = torch.rand(64, 4, generator=torch.Generator().manual_seed(0)) / 256
    moved = {}
    for scale in (1.0, 2.0):
        torch.manual_seed(0)
        model = SplineFlow((4,), transforms=1, hidden=(8,), bins=4, passes=2, scale=scale)
        model.log_prob(x).sum().backward()
        moved[scale] = sum(float(p.grad.abs().sum()) for p in model.parameters())
    assert moved[2.0] > 10 * moved[1.0]


def test_noise_bounds_what_grey_levels_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A density of one everywhere gives each of 256 levels the same: eight bits, whatever it is."""

    class Even(torch.nn.Module):
        event_shape, levels = (1, 3, 3), None

        def log_prob(self, x: torch.Tensor) -> torch.Tensor:
            assert x.min() >= 0 and x.max() < 1
            return x.new_zeros(len(x))

    rows = Dataset("grey", "test", torch.randint(256, (7, 1, 3, 3)).to(torch.uint8), 256)
    monkeypatch.setattr(metrics, "load", lambda *_: rows)
    found = metrics.dequantized_bits(Even(), metrics.OfNoise(data="grey:test"))
    assert (found.value, found.n) == (pytest.approx(8), 7)
    monkeypatch.setattr(metrics, "load", lambda *_: load_dataset("two-moons:test"))
    with pytest.raises(InvalidInput, match="holds real numbers; expected grey levels"):
        metrics.dequantized_bits(Even(), metrics.OfNoise(data="two-moons:test"))


def test_the_shipped_entry_is_found_and_has_the_figure_it_claims() -> None:
    entry = zoo_core.Registry.load().lookup("spline-flow.two-moons")
    assert entry.family == "flows"
    claimed = entry.metric("test_nll")
    measured = measure("test_nll", zoo_core.load(entry.name), claimed.protocol)
    assert abs(measured.value - claimed.value) < claimed.tolerance


def test_the_shipped_digits_are_ink_in_the_middle_of_a_dark_image() -> None:
    entry = zoo_core.Registry.load().lookup("spline-flow.mnist-14")
    assert [metric.name for metric in entry.metrics] == ["dequantized_bits"]
    x = zoo_core.load(entry.name).sample(64, generator=torch.Generator().manual_seed(0))
    assert x.shape == (64, 1, 14, 14)
    assert 0.05 < x.mean() < 0.3
    assert x[..., 4:10, 4:10].mean() > 5 * x[..., :2].mean()
