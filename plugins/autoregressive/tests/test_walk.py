"""The samplers that carry their state compute what a full pass for each variable would."""

import pytest
import torch
from zoo_autoregressive import fvsbn
from zoo_autoregressive.fvsbn import FVSBN
from zoo_autoregressive.layers import BinaryAutoregressive
from zoo_autoregressive.made import MADE
from zoo_autoregressive.nade import NADE

SHAPE, D = (1, 5, 4), 20
MODELS = {
    "fvsbn": lambda: FVSBN(SHAPE),
    "made": lambda: MADE(SHAPE, hidden=[30]),
    "made, two layers": lambda: MADE(SHAPE, hidden=[30, 40], direct=True),
    "made, few units": lambda: MADE(SHAPE, hidden=[3, 2]),
    "nade": lambda: NADE(SHAPE, hidden=9),
    "nade, relu": lambda: NADE(SHAPE, hidden=9, activation="relu"),
    "nade, random order": lambda: NADE(SHAPE, hidden=9, order="random"),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> BinaryAutoregressive:
    model = MODELS[request.param]().double().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.normal_(generator=generator)
    return model


@pytest.mark.parametrize("model", [name for name in MODELS if name != "fvsbn"], indirect=True)
@pytest.mark.parametrize("d", [0, 1, 7, 19])
def test_a_walk_yields_the_logits_of_a_full_pass(model: BinaryAutoregressive, d: int) -> None:
    x = torch.randint(2, (6, D), generator=torch.Generator().manual_seed(1)).double()
    walk = model.walk(x[:, :d])
    walked = [next(walk).clone()]
    walked += [walk.send(x[:, i]).clone() for i in range(d, D - 1)]
    torch.testing.assert_close(torch.stack(walked, 1), model.logits(x)[:, d:])


@pytest.mark.parametrize("d", [0, 1, 7, 19])
def test_the_cached_sampler_draws_what_the_naive_one_draws(
    model: BinaryAutoregressive, d: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fvsbn, "_BLOCK", 6)  # so that there are several
    x = torch.randint(2, (32, D), generator=torch.Generator().manual_seed(1)).double()
    images = torch.empty_like(x).index_copy(1, model.order, x).reshape(32, *SHAPE)
    known = torch.zeros(D, dtype=torch.bool).index_fill(0, model.order[:d], True).reshape(SHAPE)
    cached = model.complete(
        images, known, generator=torch.Generator().manual_seed(2), temperature=0.8
    )
    u = torch.rand(D - d, 32, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    x[:, d:] = 0
    for i in range(d, D):
        x[:, i] = (u[i - d] < torch.sigmoid(model.logits(x)[:, i] / 0.8)).double()
    naive = torch.empty_like(x).index_copy(1, model.order, x).reshape(32, *SHAPE)
    assert torch.equal(cached, naive)
