"""Maximum likelihood: -log p(x), and of half of the inputs -log p(x | label), and noise."""

import pytest
import torch
from torch import Tensor, nn
from zoo_autoregressive.bernoulli import Bernoulli
from zoo_autoregressive.counting import Counting

from toy_models import nade
from zoo_core.config import check_trainer
from zoo_core.errors import InvalidInput
from zoo_core.training.likelihood import MaximumLikelihood


class Conditioned(nn.Module):
    """Its log-probability is the label that it is given, or 9 without one."""

    classes = 3
    event_shape = (1,)

    def log_prob(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return torch.full((len(x),), 9.0) if label is None else label.float()


def test_values_are_nats_of_each_input() -> None:
    model = nade()
    x = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0)).round()
    values = MaximumLikelihood(model).values(x, torch.Generator())
    torch.testing.assert_close(values["nll"], -model.log_prob(x))


def test_labels_of_a_model_without_classes_are_not_used() -> None:
    x = torch.zeros(5, 1, 4, 4)
    objective = MaximumLikelihood(nade())
    values = [objective.values(x, torch.Generator(), y)["nll"] for y in (None, torch.arange(5))]
    assert torch.equal(*values)


def test_half_of_the_labels_are_withheld_in_training_and_all_in_validation() -> None:
    objective, labels = MaximumLikelihood(Conditioned()), torch.arange(1000) % 3
    used = -objective.values(torch.zeros(1000, 1), torch.Generator().manual_seed(0), labels)["nll"]
    assert torch.equal(used[used < 3].long(), labels[used < 3])
    assert 430 < int((used == 3).sum()) < 570  # 3 is the number of classes: unknown
    validated = objective.validation_step(torch.zeros(9, 1), torch.Generator(), labels[:9])
    assert (validated["nll"] == -9).all()


def trained(x: Tensor, noise: float) -> Tensor:
    """The means of a model of independent variables that counted inputs."""
    trainer = Counting(Bernoulli(shape=(4,)), noise=noise)
    trainer.training_step(x, {}, torch.Generator().manual_seed(0))
    means: Tensor = trainer.model.conditionals(torch.ones(1, 4)).exp()[0]
    return means


def test_noise_is_what_the_model_learns() -> None:
    x = torch.tensor([[0.0, 0, 1, 1]]).repeat(5000, 1)
    assert trained(x, 0.0).tolist() == pytest.approx([0, 0, 1, 1], abs=0.01)
    assert trained(x, 0.4).tolist() == pytest.approx([0.2, 0.2, 0.8, 0.8], abs=0.02)


def test_validation_has_no_noise() -> None:
    trainer = MaximumLikelihood(Bernoulli(shape=(4,)), noise=0.9)
    x = torch.rand(50, 4).round()
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(trainer.validation_step(x, generator)["nll"], -trainer.model.log_prob(x))


@pytest.mark.parametrize("noise", [-0.1, 1.0])
def test_noise_is_a_probability(noise: float) -> None:
    with pytest.raises(InvalidInput, match=r"trainer\.noise is .* of at least 0 and below 1"):
        check_trainer(MaximumLikelihood, {"noise": noise})
