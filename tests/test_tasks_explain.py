"""The task `explain`, on models whose parts are known in another way."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from zoo_autoregressive.eonade import EoNADE
from zoo_autoregressive.markov import Markov
from zoo_autoregressive.nade import NADE
from zoo_autoregressive.pixelcnn import PixelCNN
from zoo_latent.vae import VAE

import zoo_core
from zoo_core import loading, output
from zoo_core.errors import InvalidInput
from zoo_core.tasks.explain import Parts, _name_costs
from zoo_core.tasks.result import Result

BARS = "bars-and-stripes-4:test"


def stirred(model: nn.Module) -> Any:
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    return model.eval().requires_grad_(False)


def explain(model: nn.Module, *inputs: str | Path, **options: Any) -> Result:
    loading.set_info(model, loading.Info(name="m", architecture="", data=""))
    return zoo_core.run(model, "explain", seed=0, inputs=tuple(map(str, inputs)), **options)


def total(result: Result, name: str) -> float:
    return float(sum(row["nats"] for row in result.rows if row["input"] == name))


def test_the_variables_of_an_input_sum_to_its_score() -> None:
    model = stirred(NADE(shape=(1, 4, 4), hidden=5, order="random"))
    result = explain(model, BARS, batch_size=7)
    scores = zoo_core.run(model, "score", seed=0, inputs=(BARS,)).rows
    assert len(result.rows) == 16 * len(scores) == 16 * 32
    for row in scores:
        assert total(result, row["input"]) == pytest.approx(row["nats"], abs=1e-4)


def test_a_pixel_is_named_by_its_place_and_the_costliest_come_first() -> None:
    model = stirred(NADE(shape=(1, 4, 4), hidden=5))
    result = explain(model, BARS)
    x = torch.ones(1, 1, 4, 4)  # the last of the bars
    costs = -model.conditionals(x)[0]
    mine = [row for row in result.rows if row["input"] == f"{BARS}[15]"]
    place = int(costs.argmax())
    assert mine[0]["variable"] == f"y{place // 4} x{place % 4}"
    assert mine[0]["nats"] == pytest.approx(float(costs.max()), abs=1e-5)
    assert [row["nats"] for row in mine] == sorted((row["nats"] for row in mine), reverse=True)


def test_a_chain_costs_what_its_factors_cost(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1,0,1\n")
    chain = Markov(shape=(3,))
    nn.init.constant_(chain.root, 2.0)
    chain.logits.data.copy_(torch.tensor([[0.0, 1.0], [0.5, -3.0]]))
    result = explain(chain, tmp_path / "t.csv")
    # −log p(x_0 = 1), −log p(x_1 = 0 | x_0 = 1), −log p(x_2 = 1 | x_1 = 0)
    wanted = -nn.functional.logsigmoid(torch.tensor([2.0, -1.0, 0.5]))
    found = {row["variable"]: row["nats"] for row in result.rows}
    assert found == pytest.approx({f"x{i}": float(c) for i, c in enumerate(wanted)}, abs=1e-6)
    assert result.figures[1] == "costliest on average: x1 1.31, x2 0.47, x0 0.13"


def test_a_heat_map_stands_under_each_input_with_the_channels_of_a_pixel_together() -> None:
    model = stirred(PixelCNN(shape=(3, 4, 4), hidden=3, layers=1, head=3))
    x = torch.rand(10, 3, 4, 4, generator=torch.Generator().manual_seed(0)).round()
    result = explain(model, _saved(x))
    assert result.columns == 8 and result.images is not None
    assert result.images.shape == (4 * 8, 3, 4, 4)
    assert torch.equal(result.images[:8], x[:8])
    assert list(result.names[::2]) == ["input"] * 2
    assert result.tensors["nats"].shape == (10, 3, 4, 4)
    wanted = float(-model.conditionals(x[:1]).view(3, 4, 4)[:, 1, 2].sum())
    found = {row["variable"]: row["nats"] for row in result.rows[:16]}
    assert found["y1 x2"] == pytest.approx(wanted, abs=1e-5)


def _saved(x: torch.Tensor) -> str:
    """Binary images as a data set that nothing has to be fitted to."""
    import numpy as np

    path = Path("colours.npy")
    np.save(path, x.flatten(1).byte().numpy())
    return str(path)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_vae_has_costs_of_its_latents_and_says_that_it_is_a_bound(layers: int) -> None:
    z, hidden = ([3, 2], [[4], [4]]) if layers == 2 else (3, [4])
    model = stirred(VAE(shape=(1, 4, 4), z=z, hidden=hidden))
    result = explain(model, BARS)
    assert "those of a bound" in result.notes[-1] and "negative ELBO" in result.notes[-1]
    latents = 5 if layers == 2 else 3
    assert result.tensors["latents"].shape == (32, latents)
    assert sum(row["variable"].startswith("z") for row in result.rows) == 32 * latents
    x = zoo_core.dataset(BARS).floats()
    elbo = model.elbo(x, generator=torch.Generator().manual_seed(0)).bound
    assert total(result, f"{BARS}[3]") == pytest.approx(-float(elbo[3]), abs=1e-3)


def test_a_vae_of_one_layer_has_the_exact_kl_of_each_latent() -> None:
    model = stirred(VAE(shape=(1, 4, 4), z=3, hidden=[4]))
    x = zoo_core.dataset(BARS).floats()
    result = explain(model, BARS)
    torch.testing.assert_close(result.tensors["latents"].float(), model.posterior(x).kl())


@pytest.mark.parametrize("likelihood", ["gaussian", "gaussian-each", "categorical"])
def test_terms_of_any_likelihood_sum_to_it(likelihood: str) -> None:
    model = stirred(VAE(shape=(5,), z=2, hidden=[4], likelihood=likelihood, levels=3))
    x = torch.randint(3, (6, 5)) / 2
    out = model.decoder(torch.randn(6, 2))
    terms = model.likelihood.terms(out, x)
    assert terms.shape == (6, 5)
    torch.testing.assert_close(terms.sum(1), model.likelihood.log_prob(out, x))


def test_a_table_is_drawn_as_bars(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1,0,1\n0,0,1\n")
    result = explain(stirred(NADE(shape=(3,), hidden=4)), tmp_path / "t.csv")
    assert list(result.bars) == ["x0", "x1", "x2"]
    result.save(tmp_path / "t.png")
    assert output.read_provenance(tmp_path / "t.png")["task"] == "explain"


def test_a_mixture_over_orders_has_no_parts() -> None:
    with pytest.raises(
        InvalidInput,
        match=r"m cannot explain: .* for each latent\. m can sample",
    ):
        explain(EoNADE(shape=(1, 4, 4), hidden=[4]), BARS)


def test_a_tables_columns_keep_their_names() -> None:
    columns = [{"name": n, "kind": "binary", "categories": ["0", "1"]} for n in ("job", "age")]
    model = zoo_core.create("mixed-tree", shape=(2,), columns=columns)
    costs, names = _name_costs(Parts(torch.ones(3, 2), torch.empty(3, 0)), model)
    assert names == ["job", "age"]
    assert costs.shape == (3, 2)
