"""Denoising diffusion (Ho, Jain & Abbeel 2020), over diffusers.

    q(x_t | x_0) = N(√ᾱ_t x_0, (1 − ᾱ_t) I)      p(x_{t−1} | x_t) by the noise ε_θ(x_t, t) in x_t

The U-Net and the schedule are diffusers'. How we differ: the U-Net is a smaller one, without
attention where `attention` does not ask for it, and sampling can take fewer steps than training.
Images are in [0, 1] outside and in [−1, 1] inside.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor, nn

from zoo_core import draws
from zoo_core.checks import check_sampling

__all__ = ["DDPM"]

_GROUPS = 4


class DDPM(nn.Module):
    """A denoising diffusion model of images.

    Args:
        shape: shape of an image, (C, H, W); H and W are multiples of 2^(len(channels) − 1).
        channels: channels of the U-Net at each resolution, the finest first; multiples of 4.
        layers: residual blocks at each resolution.
        attention: whether the coarsest resolution has self-attention.
        T: steps of the diffusion.
        steps: steps of the sampler, at most T.
        schedule: how noise grows, `linear` or `squaredcos_cap_v2` (the cosine of Nichol &
            Dhariwal 2021).
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        channels: Sequence[int] = (32, 64, 64),
        layers: int = 1,
        attention: bool = True,
        T: int = 1000,
        steps: int = 250,
        schedule: str = "linear",
    ) -> None:
        super().__init__()
        self.event_shape = tuple(shape)
        self.T, self.steps = T, steps
        C, H, W = self.event_shape
        depth = len(channels)
        deep = "Attn" if attention else ""
        self.net = UNet2DModel(
            sample_size=(H, W),
            in_channels=C,
            out_channels=C,
            layers_per_block=layers,
            block_out_channels=tuple(channels),
            down_block_types=("DownBlock2D",) * (depth - 1) + (f"{deep}DownBlock2D",),
            up_block_types=(f"{deep}UpBlock2D",) + ("UpBlock2D",) * (depth - 1),
            add_attention=attention,
            norm_num_groups=_GROUPS,
            attention_head_dim=None,
        )
        # the schedule is no weight: it is made from the config, also where weights are not yet
        with torch.device("cpu"):
            self.scheduler = DDPMScheduler(T, beta_schedule=schedule, clip_sample=True)

    def diffuse(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Sample x_t given x_0, (B, C, H, W).

        x: images, (B, C, H, W), in [0, 1]. t: steps, (B,), from 0. noise: like x, normal.
        """
        noised: Tensor = self.scheduler.add_noise(2 * x - 1, noise, t)
        return noised

    def noise(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Estimate the noise in x_t, (B, C, H, W); t: (B,), int64."""
        estimate: Tensor = self.net(x_t, t).sample
        return estimate

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Return n images, (n, C, H, W), in [0, 1].

        temperature: multiplies the noise that sampling starts from.
        """
        steps = [self.steps]
        (x,) = self.denoise(n, steps, generator=generator, temperature=temperature)
        return x

    def denoise(
        self,
        n: int,
        steps: Collection[int],
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> list[Tensor]:
        """Sample n images, and return them after some steps of the sampler, [(n, C, H, W), …].

        steps: from 0, where they are noise, to `self.steps`, where they are those of `sample`.
        temperature: as in `sample`.
        """
        check_sampling(n, temperature, self.event_shape)
        first = next(self.parameters())
        like: dict[str, Any] = {"device": first.device, "dtype": first.dtype}
        x = temperature * draws.randn(n, *self.event_shape, generator=generator, **like)
        states = enumerate(chain([x], self._reverse(x, generator)))
        return [(x.clamp(-1, 1) + 1) / 2 for step, x in states if step in steps]

    @torch.no_grad()
    def _reverse(self, x: Tensor, generator: torch.Generator | None) -> Iterator[Tensor]:
        """Yield x_t after each step of the reverse process, in [−1, 1] and beyond, from x_T."""
        # diffusers takes a generator, or one for each sample
        noise_of = generator.of(len(x)) if isinstance(generator, draws.Streams) else generator
        self.scheduler.set_timesteps(self.steps)
        for t in self.scheduler.timesteps:
            noise = self.noise(x, t.expand(len(x)).to(x.device))
            x = self.scheduler.step(noise, t, x, generator=noise_of).prev_sample
            yield x
