"""MADE's masks, and the mixture over several draws of them."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from zoo_autoregressive.made import MADE, MaskedLinear

from zoo_core.errors import InvalidInput, InvalidWeights
from zoo_core.loading.weights import fill

SHAPE = (1, 5, 4)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stirred(masks: int) -> MADE:
    model = MADE(SHAPE, hidden=[30, 24], direct=True, order="random", masks=masks)
    for parameter in model.double().requires_grad_(False).parameters():
        parameter.normal_(generator=seeded(1))
    return model.eval()


@pytest.mark.parametrize("masks", [1, 3])
def test_an_output_sees_the_inputs_before_it_and_no_other(masks: int) -> None:
    model = MADE((6,), hidden=[200, 200], masks=masks).requires_grad_(False)
    maps = [*model.layers, model.V]
    for k in range(masks):
        paths = torch.eye(6)
        for layer in maps:
            assert isinstance(layer, MaskedLinear)
            paths = layer.mask(k).float() @ paths
        assert torch.equal(paths > 0, torch.ones(6, 6).tril(-1) > 0)


def test_each_draw_connects_other_units() -> None:
    model = MADE((6,), hidden=[20], masks=3)
    layer = model.layers[0]
    assert isinstance(layer, MaskedLinear)
    first, second, third = (layer.mask(k) for k in range(3))
    assert not torch.equal(first, second) and not torch.equal(second, third)
    assert layer.free_parameters == int((first | second | third).sum()) + 20


@pytest.mark.parametrize("masks", [1, 3])
def test_weights_hold_the_connections_that_a_mask_keeps(masks: int) -> None:
    layer = stirred(masks).layers[1]
    assert isinstance(layer, MaskedLinear)
    for k in range(masks):
        assert torch.equal(layer.dense(k) != 0, layer.mask(k))
    if masks == 1:
        assert torch.equal(layer.dense()[layer.mask()], layer.weight[0])
        assert layer.weight.numel() + len(layer.m) == layer.free_parameters


def test_degrees_that_do_not_fit_the_weights_are_refused() -> None:
    model = MADE((6,), hidden=[20], degrees=[2, 4])
    state = model.state_dict()
    m = state["layers.0.m"].clone().fill_(3)  # sorted, and of its range: another number is kept
    with pytest.raises(ValueError, match="the degrees of its units are not those of a masked"):
        model.load_state_dict({**state, "layers.0.m": m, "V.below": m})


def test_weights_from_before_are_refused_with_the_reason(tmp_path: Path) -> None:
    model = MADE((6,), hidden=[20])
    path = tmp_path / "old.safetensors"
    save_file({**model.state_dict(), "V.weight": model.V.dense().contiguous()}, path)
    with pytest.raises(InvalidWeights, match=r"shape \(6, 20\) instead of .* trained again"):
        fill(model, path)


def test_the_density_is_the_mean_of_the_masks_probabilities() -> None:
    model = stirred(masks=3)
    x = torch.randint(2, (8, *SHAPE), generator=seeded()).double()
    in_order = x.flatten(1)[:, model.order]
    p = 0.0
    for k in range(3):
        on = model.logits(in_order, k).sigmoid()
        p = p + torch.where(in_order > 0, on, 1 - on).prod(1) / 3
    torch.testing.assert_close(model.log_prob(x).exp(), p)


def test_the_first_of_several_draws_is_the_only_one_of_one() -> None:
    one, several = (MADE(SHAPE, hidden=[30], masks=masks) for masks in (1, 3))
    degrees = [model.layers[0].m for model in (one, several)]
    assert torch.equal(degrees[0], degrees[1][0].sort().values)


@pytest.mark.parametrize("d", [0, 7])
@pytest.mark.parametrize("k", [0, 2])
def test_a_walk_by_one_mask_yields_the_logits_of_its_full_pass(k: int, d: int) -> None:
    model = stirred(masks=3)
    x = torch.randint(2, (6, 20), generator=seeded()).double()
    walk = model.walk(x[:, :d], k)
    walked = [next(walk).clone()]
    walked += [walk.send(x[:, i]).clone() for i in range(d, 19)]
    torch.testing.assert_close(torch.stack(walked, 1), model.logits(x, k)[:, d:])


def test_training_takes_one_mask_after_another() -> None:
    model = stirred(masks=2)
    x = torch.randint(2, (1, *SHAPE), generator=seeded()).double()
    each = {round(float(-model._log_p(x.flatten(1)[:, model.order], k).sum()), 6) for k in (0, 1)}
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = {round(float(-model.log_prob(x)), 6) for _ in range(20)}
    assert drawn == each
    assert len(drawn) == 2


def test_a_mixture_is_never_worse_than_its_masks_by_more_than_their_number() -> None:
    model = stirred(masks=3)
    x = torch.randint(2, (8, *SHAPE), generator=seeded()).double()
    in_order = x.flatten(1)[:, model.order]
    best = torch.stack([model._log_p(in_order, k).sum(1) for k in range(3)]).amax(0)
    mixed = model.log_prob(x)
    assert (mixed <= best + 1e-9).all() and (mixed >= best - math.log(3) - 1e-9).all()


def test_no_masks_are_refused() -> None:
    with pytest.raises(InvalidInput, match="masks is 0; expected 1, or more for a mixture"):
        MADE(SHAPE, masks=0)


def test_degrees_keep_to_their_range_and_the_order_holds() -> None:
    torch.manual_seed(0)
    model = MADE(shape=(9,), hidden=[40, 40], degrees=[3, 6])
    for layer in model.layers:
        assert set(layer.m.tolist()) == {3, 4, 5, 6}
    x = torch.rand(1, 9)
    seen = torch.autograd.functional.jacobian(lambda x: model.logits(x)[0], x)[:, 0]
    assert (seen.triu() == 0).all()
    reads = (seen != 0).sum(1).tolist()
    assert reads == [0, 0, 0, 3, 4, 5, 6, 6, 6]  # nothing before 3, and no input after the sixth


@pytest.mark.parametrize("degrees", [[0, 4], [3, 9], [5, 4]])
def test_degrees_that_there_are_not_are_refused(degrees: list[int]) -> None:
    with pytest.raises(InvalidInput, match="from 1 to 8"):
        MADE(shape=(9,), hidden=[4], degrees=degrees)
