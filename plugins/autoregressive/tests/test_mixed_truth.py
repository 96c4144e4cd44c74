"""Models of mixed columns held to a table whose density, and so its entropy, is known.

a is one of three categories, r a Gaussian about it, s one about a multiple of r, and b a coin whose
probability is a sigmoid of s: on average −log p of a row is 3.009 nats.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal
from zoo_autoregressive.mixed_ar import MixedAR
from zoo_autoregressive.mixed_attention import MixedAttention
from zoo_autoregressive.mixed_eonade import AnyOrder, MixedEoNADE
from zoo_autoregressive.mixed_fvsbn import MixedFVSBN
from zoo_autoregressive.mixed_made import MixedMADE
from zoo_autoregressive.mixed_nade import MixedNADE

from zoo_core.data.columns import Column
from zoo_core.training.likelihood import MaximumLikelihood

ENTROPY = 3.009
P = torch.tensor([0.5, 0.3, 0.2])
UNITS = torch.tensor([1.0, 1.65, 1.45, 1.0])
COLUMNS = [
    Column("a", "categorical", ("x", "y", "z")),
    Column("r", "real", std=1.65),
    Column("s", "real", std=1.45),
    Column("b", "binary", ("0", "1")),
]
STEPS = 300


def rows(n: int, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    a = torch.multinomial(P, n, replacement=True, generator=random).float()
    r = 2 * a - 1.4 + 0.5 * torch.randn(n, generator=random)
    s = 0.8 * r + 0.6 * torch.randn(n, generator=random)
    b = (torch.rand(n, generator=random) < torch.sigmoid(2 * s)).float()
    return torch.stack([a, r, s, b], 1)


def true_log_p(x: Tensor) -> Tensor:
    a, r, s, b = x.unbind(1)
    reals = Normal(2 * a - 1.4, 0.5).log_prob(r) + Normal(0.8 * r, 0.6).log_prob(s)
    return P.log()[a.long()] + reals + nn.functional.logsigmoid(2 * s * (2 * b - 1))


def test_the_entropy() -> None:
    assert -true_log_p(rows(200_000, 2)).mean().item() == pytest.approx(ENTROPY, abs=0.01)


@pytest.mark.parametrize(
    ("cls", "config", "rate"),
    [
        (MixedAR, {"k": 1}, 0.03),
        (MixedFVSBN, {}, 0.03),
        (MixedNADE, {"hidden": 64, "activation": "relu"}, 0.01),
        (MixedMADE, {"hidden": (64,)}, 0.01),
        (MixedAttention, {"blocks": 1, "d": 32}, 0.01),
        (MixedEoNADE, {"hidden": (64, 64), "orders": 2}, 0.01),
    ],
)
def test_trained_models_come_close_to_the_truth(
    cls: type[nn.Module], config: dict[str, Any], rate: float
) -> None:
    """By log p of the same unseen rows, so that their chance is in both."""
    torch.manual_seed(0)
    model = cls((4,), [column.table() for column in COLUMNS], **config)
    trainer = (AnyOrder if cls is MixedEoNADE else MaximumLikelihood)(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    x, random = rows(4000, 0) / UNITS, torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        batch = x[torch.randint(len(x), (200,), generator=random)]
        optimizer.zero_grad()
        trainer.values(batch, random)[trainer.monitor].mean().backward()
        optimizer.step()
        schedule.step()
    unseen = rows(4000, 1)
    with torch.no_grad():
        lost = true_log_p(unseen) - model.eval().log_prob(unseen / UNITS)
    assert -0.01 < lost.mean().item() < 0.06
