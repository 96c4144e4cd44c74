"""Networks over pixels: their samplers compute what a full pass for each variable would."""

from typing import Any

import pytest
import torch
from torch import Tensor
from zoo_autoregressive.diagonal_bilstm import DiagonalBiLSTM, diagonals
from zoo_autoregressive.layers import choose
from zoo_autoregressive.pixelcnn import PixelCNN
from zoo_autoregressive.pixels import MaskedConv, PixelNetwork
from zoo_autoregressive.row_lstm import RowLSTM

from zoo_core.errors import InvalidInput

SMALL = {"hidden": 6, "head": 9}
MODELS = {
    "pixelcnn": lambda: PixelCNN((1, 5, 4), layers=2, **SMALL),
    "pixelcnn, a wide image": lambda: PixelCNN((1, 2, 9), layers=1, **SMALL),
    "pixelcnn, grey": lambda: PixelCNN((1, 4, 5), levels=5, layers=2, **SMALL),
    "pixelcnn, RGB": lambda: PixelCNN((3, 4, 4), levels=4, layers=2, **SMALL),
    "pixelcnn, binary RGB": lambda: PixelCNN((3, 3, 4), layers=1, hidden=4, head=5),
    "row-lstm": lambda: RowLSTM((1, 5, 4), layers=2, **SMALL),
    "row-lstm, RGB": lambda: RowLSTM((3, 4, 4), levels=4, layers=2, **SMALL),
    "diagonal-bilstm": lambda: DiagonalBiLSTM((1, 5, 4), layers=2, **SMALL),
    "diagonal-bilstm, a wide image": lambda: DiagonalBiLSTM((1, 3, 7), layers=2, **SMALL),
    "diagonal-bilstm, RGB": lambda: DiagonalBiLSTM((3, 4, 4), levels=4, layers=2, **SMALL),
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> PixelNetwork:
    model: PixelNetwork = MODELS[request.param]().double().requires_grad_(False)
    generator = seeded()
    for parameter in model.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=generator).double(), alpha=0.3)
    return model


def images(model: PixelNetwork, n: int) -> Tensor:
    values = torch.randint(model.levels, (n, *model.event_shape), generator=seeded(1))
    return values.double() / (model.levels - 1)


def in_order(model: PixelNetwork, x: Tensor) -> Tensor:
    """The logits of all variables in the order, (B, D, K); (B, D) for binary ones."""
    logits = model.logits(x).transpose(1, 2).flatten(2).transpose(1, 2)[:, model.order]
    return logits.squeeze(2) if model.levels == 2 else logits


@pytest.mark.parametrize("share", [0, 0.4, 0.5, 0.95])
def test_a_walk_yields_the_logits_of_a_full_pass(model: PixelNetwork, share: float) -> None:
    x, D = images(model, 6), len(model.order)
    d = int(share * D)
    flat = x.flatten(1)[:, model.order]
    walk = model.walk(flat[:, :d])
    walked = [next(walk).clone()]
    walked += [walk.send(flat[:, i]).clone() for i in range(d, D - 1)]
    torch.testing.assert_close(torch.stack(walked, 1), in_order(model, x)[:, d:])


def test_the_cached_sampler_draws_what_the_naive_one_draws(model: PixelNetwork) -> None:
    n, D = 24, len(model.order)
    cached = model.sample(n, generator=seeded(2), temperature=0.8)
    u = torch.rand(D, n, generator=seeded(2), dtype=torch.float64)
    x = torch.zeros(n, D, dtype=torch.float64)
    for t, i in enumerate(model.order.tolist()):
        logits = in_order(model, x.reshape(n, *model.event_shape))[:, t] / 0.8
        x[:, i] = u[t] < logits.sigmoid() if model.levels == 2 else choose(logits, u[t])
    assert torch.equal(cached, x.reshape(n, *model.event_shape))


def test_log_prob_is_that_of_the_logits(model: PixelNetwork) -> None:
    x = images(model, 6)
    logits = in_order(model, x)
    if model.levels == 2:
        logits = torch.stack([torch.zeros_like(logits), logits], 2)
    values = x.flatten(1)[:, model.order].mul(model.levels - 1).round().long()
    log_p = logits.log_softmax(2).gather(2, values.unsqueeze(2)).squeeze(2)
    torch.testing.assert_close(model.conditionals(x)[:, model.order], log_p)


def test_it_can_be_trained_in_mixed_precision(model: PixelNetwork) -> None:
    model, x = model.float().requires_grad_(), images(model, 6).float()
    exact = model.log_prob(x)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model.log_prob(x)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, exact, rtol=0.02, atol=0.5)
    mixed.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def seen(conv: MaskedConv, H: int = 7, W: int = 7) -> Tensor:
    """Which inputs the middle pixel's outputs depend on: (F', F, H, W), bool."""
    x = torch.zeros(1, conv.weight.shape[1], H, W)
    J = torch.autograd.functional.jacobian(lambda x: conv(x)[0, :, H // 2, W // 2], x)
    return J[:, 0] != 0


@pytest.mark.parametrize("mask", ["A", "B"])
def test_a_mask_reads_what_is_above_or_to_the_left(mask: str) -> None:
    inputs = seen(MaskedConv(1, 1, 7, mask, above=3))[0, 0]
    wanted = (torch.arange(49) < 24 + (mask == "B")).reshape(7, 7)
    assert torch.equal(inputs, wanted)


@pytest.mark.parametrize(
    ("mask", "wanted"),
    [
        ("A", [[0, 0, 0], [1, 0, 0], [1, 1, 0]]),
        ("B", [[1, 0, 0], [1, 1, 0], [1, 1, 1]]),
    ],
)
def test_at_the_centre_a_channel_reads_those_before_it(mask: str, wanted: list[list[int]]) -> None:
    conv = MaskedConv(6, 12, 3, mask, channels=3, above=1, copies=2)
    inputs = seen(conv)
    centre = torch.tensor(wanted).bool().repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(inputs[:, :, 3, 3], centre.repeat(2, 1))
    assert inputs[:, :, 2, 2:5].all() and inputs[:, :, 3, 2].all()
    assert not inputs[:, :, 3, 4:].any() and not inputs[:, :, 4:].any()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("k", "mask"), [(1, "B"), (3, "B"), (7, "A")])
def test_taps_that_are_left_out_change_nothing(k: int, mask: str, channels: int) -> None:
    conv = MaskedConv(6, 3, k, mask, channels, above=k // 2).double()
    centre = k * k // 2
    kept = torch.zeros(3, 6, k * k, dtype=torch.float64)
    kept[:, :, :centre] = 1
    for o in range(3):
        for i in range(6):
            reader, read = (o, i // 2) if channels == 3 else (0, 0)
            kept[o, i, centre] = reader > read if mask == "A" else reader >= read
    kept = kept.reshape(3, 6, k, k)
    full = torch.randn(3, 6, k, k, generator=seeded(), dtype=torch.float64)
    full[:, :, : k // 2 + 1] = conv.weight.detach()
    full.requires_grad_()
    x = torch.randn(2, 6, 5, 4, generator=seeded(1), dtype=torch.float64)
    expected = torch.nn.functional.conv2d(x, full * kept, conv.bias, padding=k // 2)
    torch.testing.assert_close(conv(x), expected)
    (wanted,) = torch.autograd.grad(expected.square().sum(), full)
    (given,) = torch.autograd.grad(conv(x).square().sum(), conv.weight)
    torch.testing.assert_close(given, wanted[:, :, : k // 2 + 1])


def test_draws_follow_the_softmax_and_one_number_decides() -> None:
    p = torch.tensor([0.1, 0.0, 0.6, 0.3])
    u = torch.tensor([0.0, 0.09, 0.11, 0.69, 0.71, 0.99999])
    values = choose(p.log().expand(6, 4), u) * 3
    assert values.tolist() == pytest.approx([0, 0, 2, 2, 3, 3])


def test_pixels_by_diagonals() -> None:
    spans, (there, back) = diagonals(2, 3, torch.device("cpu"))
    assert list(spans) == [(0, 1), (0, 2), (0, 2), (1, 2)]
    assert there.tolist() == [0, 1, 3, 2, 4, 5]
    assert back.tolist() == [2, 1, 5, 0, 4, 3]


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"shape": (784,)}, r"shape is \[784\]; expected \(C, H, W\)"),
        ({"levels": 1}, "levels is 1; expected 2 or more"),
        ({"shape": (3, 8, 8), "hidden": 2}, "hidden is 2, .*expected at least 3 .*3 channels"),
        ({"layers": -1}, "layers -1; expected .* 0 for the last"),
    ],
)
def test_a_network_that_cannot_be(config: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        PixelCNN(**config)
