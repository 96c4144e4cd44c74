"""The laws of what a model is given, broken."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from zoo_adversarial.gan_cls import GANCLS
from zoo_adversarial.infogan import InfoGAN
from zoo_adversarial.stargan import StarGAN
from zoo_autoregressive.bernoulli import Bernoulli
from zoo_autoregressive.nade import NADE
from zoo_latent.vae import VAE

from factories import case_of
from zoo_core.testing import LAWS, LawBroken, LawSkipped, cases


class TakesAnything(NADE):
    """As models did: any shape that has variables enough, and any value."""

    def conditionals(self, x: Tensor) -> Tensor:
        x = x.flatten(1)[:, self.order]
        return -torch.nn.functional.binary_cross_entropy_with_logits(
            self.logits(x), x, reduction="none"
        )


class TakesAnyLatent(VAE):
    def decode(self, z: Tensor) -> Tensor:
        return super().decode(z[..., : self.latent_dim].nan_to_num().reshape(-1, self.latent_dim))


class AnyTemperature(Bernoulli):
    def sample(self, n: int, *, generator: torch.Generator | None = None, **_: Any) -> Tensor:
        return super().sample(n, generator=generator)


class AnyGenerator(Bernoulli):
    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        seeded = generator if isinstance(generator, torch.Generator) else None
        return super().sample(n, generator=seeded, temperature=temperature)


class AnyMask(Bernoulli):
    def complete(self, x: Tensor, known: Tensor, **options: Any) -> Tensor:
        return super().complete(x, torch.as_tensor(known, dtype=torch.bool), **options)


class AnyLabel(InfoGAN):
    def sample(self, n: int, *, label: Any = None, **options: Any) -> Tensor:
        return super().sample(n, label=0 if isinstance(label, str) else label, **options)


class AnyPrompt(GANCLS):
    def sample(self, n: int, *, prompt: Any = None, **options: Any) -> Tensor:
        return super().sample(n, prompt=None if prompt == ["a"] else prompt, **options)


class AnyDomain(StarGAN):
    def translate(self, x: Tensor, to: Any) -> Tensor:
        return super().translate(x, to or self.domains[0])


class SumsInHalf(NADE):
    def log_prob(self, x: Tensor) -> Tensor:
        return self.conditionals(x).to(self.b.dtype).sum(1)


class RoundsItsSum(SumsInHalf):
    def log_prob(self, x: Tensor) -> Tensor:
        return super().log_prob(x).float()


class FromBehind(Bernoulli):
    """Draws the last sample first: the first of three is not that of seven."""

    def sample(self, n: int, **options: Any) -> Tensor:
        return super().sample(n, **options).flip(0)


class OneStream(Bernoulli):
    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        p = torch.sigmoid(self.logits / temperature).expand(n, -1)
        return torch.bernoulli(p, generator=generator).reshape(n, *self.event_shape)


@pytest.mark.parametrize(
    ("cls", "architecture", "name", "text"),
    [
        (TakesAnything, "nade", "wrong_inputs_are_refused", "without a batch: no error"),
        (TakesAnyLatent, "vae", "wrong_latents_are_refused", "decode of latents"),
        (AnyTemperature, "bernoulli", "wrong_conditions_are_refused", "temperature=0.0): no error"),
        (AnyGenerator, "bernoulli", "wrong_conditions_are_refused", "generator=5): no error"),
        (AnyLabel, "infogan", "wrong_conditions_are_refused", "label='0'): no error"),
        (AnyPrompt, "gan-cls", "wrong_conditions_are_refused", "prompt=['a']): no error"),
        (AnyDomain, "stargan", "wrong_inputs_are_refused", "translate to 0: no error"),
        (AnyMask, "bernoulli", "wrong_masks_are_refused", "the mask floats: no error"),
        (SumsInHalf, "nade", "log_probabilities_are_in_single_precision", "in torch.bfloat16"),
        (RoundsItsSum, "nade", "log_probabilities_are_in_single_precision", "were rounded to bf"),
        (FromBehind, "bernoulli", "each_sample_has_its_own_stream", "the first samples differ by"),
    ],
)
def test_a_broken_model_breaks_the_law(cls: type, architecture: str, name: str, text: str) -> None:
    case = next(case for case in cases() if case.architecture.name == architecture)
    LAWS[name](case)
    with pytest.raises(LawBroken) as caught:
        LAWS[name](replace(case, cls=cls))
    assert text in str(caught.value)


def test_a_refusal_names_the_check_to_begin_with() -> None:
    with pytest.raises(LawBroken, match=r"zoo_core\.checks\.check_inputs\(self, x\)"):
        LAWS["wrong_inputs_are_refused"](replace(case_of("nade"), cls=TakesAnything))


def test_a_model_of_one_stream_is_skipped_with_what_to_draw_by() -> None:
    with pytest.raises(LawSkipped, match=r"all samples from one stream.* zoo_core\.draws\.rand"):
        LAWS["each_sample_has_its_own_stream"](replace(case_of("bernoulli"), cls=OneStream))
