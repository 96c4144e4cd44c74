"""Training steps of small GANs: our trainer against a plain loop over the same networks.

    uv run python benchmarks/adversarial.py [--threads 2] [--batch 64] [--turns 20] [--steps 300]

The networks are the compact presets at 32x32 pixels: DCGAN with 1.05 and 0.10 million parameters,
InfoGAN of the same kind. The plain loop is what one writes first, and what scripts have: the
generator's step, then the discriminator's, for InfoGAN a third one for both with images of its own;
layers and Adam as they come. Ours shares images between the steps, spares gradients that nobody
applies, enlarges and convolves at once, makes an image's one channel by a matrix product, lays maps
out with their channels last and fuses Adam. Steps take turns; their medians are compared, of a
single thread in processor time, which other programs do not disturb. Then both train from the same
weights on the same images; what their losses come to must agree.
"""

import argparse
import copy
import time
from collections.abc import Callable
from functools import partial
from statistics import mean, median

import torch
from torch import Tensor, nn
from torch.nn import functional
from zoo_adversarial.dcgan import DCGAN
from zoo_adversarial.infogan import InfoGAN, InfoTrainer
from zoo_adversarial.layers import ImageConv2d, UpConv2d
from zoo_adversarial.trainer import AdversarialTrainer

Step = Callable[[Tensor], dict[str, float]]
"""Takes images (B, 1, 32, 32), in [0, 1]; returns losses."""

SHAPE = (1, 32, 32)
Adam = partial(torch.optim.Adam, lr=2e-4, betas=(0.5, 0.999))


def ours(G: DCGAN | InfoGAN, D: nn.Module) -> Step:
    """A step of our trainer, which is given these networks."""
    trainer = (InfoTrainer if isinstance(G, InfoGAN) else AdversarialTrainer)(G)
    trainer.networks["discriminator"] = D.to(memory_format=torch.channels_last)
    adams = {
        name: Adam(network.parameters(), fused=True) for name, network in trainer.networks.items()
    }
    updates = {name: updater(adam) for name, adam in adams.items()}
    random = torch.Generator().manual_seed(0)

    def step(x: Tensor) -> dict[str, float]:
        values = trainer.training_step(x, updates, random, None, 1)
        return {name: float(value) for name, value in values.items()}

    return step


def updater(adam: torch.optim.Optimizer) -> Callable[[Tensor], None]:
    """What the training loop does with a loss."""

    def update(loss: Tensor) -> None:
        adam.zero_grad()
        loss.backward()
        adam.step()

    return update


def plain(G: DCGAN | InfoGAN, D: nn.Module) -> Step:
    """A step as it is first written."""
    adam_G = Adam(G.network.parameters())
    adam_D = Adam(D.parameters())
    adam_I = Adam([*G.network.parameters(), *D.parameters()])
    random = torch.Generator().manual_seed(0)

    def scores(x: Tensor) -> Tensor:
        said: Tensor = D(x)[0] if isinstance(G, InfoGAN) else D(x)
        return said

    def entropy(scores: Tensor, real: float) -> Tensor:
        return functional.binary_cross_entropy(scores.sigmoid(), torch.full_like(scores, real))

    def step(x: Tensor) -> dict[str, float]:
        x = x * 2 - 1
        adam_G.zero_grad()
        fake = G(G.latent(len(x), generator=random))
        loss_G = entropy(scores(fake), 1.0)
        loss_G.backward()
        adam_G.step()

        adam_D.zero_grad()
        loss_D = entropy(scores(x), 1.0) + entropy(scores(fake.detach()), 0.0)
        loss_D.backward()
        adam_D.step()
        values = {"loss_G": loss_G.item(), "loss_D": loss_D.item()}
        if not isinstance(G, InfoGAN):
            return values

        adam_I.zero_grad()
        z = G.latent(len(x), generator=random)
        _, said = D(G(z))
        first, last = G.z, G.z + G.classes
        category = functional.cross_entropy(said[:, : G.classes], z[:, first:last])
        codes = (said[:, G.classes :] - z[:, last:]).square().sum(1).mean()
        (category + codes / 2).backward()
        adam_I.step()
        return {**values, "code_error": codes.item()}

    return step


def spelt_out(G: DCGAN | InfoGAN) -> DCGAN | InfoGAN:
    """The same generator, with the layers that it is made of in theory."""
    layers = list(G.network)
    for i, layer in enumerate(layers):
        if isinstance(layer, UpConv2d | ImageConv2d):
            layers[i] = nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1)
            layers[i].load_state_dict(layer.state_dict())
        if isinstance(layer, UpConv2d):
            layers[i] = nn.Sequential(nn.Upsample(scale_factor=2), layers[i])
    G.network = nn.Sequential(*layers)
    return G


def images(n: int) -> Tensor:
    """Bright discs at random places on black, (n, *SHAPE), in [0, 1]."""
    random = torch.Generator().manual_seed(1)
    centre = 8 + 16 * torch.rand(n, 2, 1, 1, generator=random)
    radius = 3 + 4 * torch.rand(n, 1, 1, generator=random)
    places = torch.arange(32.0)
    distance = (places - centre[:, 0]).square() + (places.view(-1, 1) - centre[:, 1]).square()
    return (distance.sqrt() < radius).float().unsqueeze(1)


def pair(cls: type[DCGAN] | type[InfoGAN]) -> dict[str, Step]:
    """Both loops, each with networks of its own from the same weights."""
    torch.manual_seed(0)
    G = cls(SHAPE, preset="compact")
    D = G.opponent()
    made = sum(p.numel() for p in G.network.parameters()), sum(p.numel() for p in D.parameters())
    print(f"{cls.__name__}, {made[0] / 1e6:.2f} and {made[1] / 1e6:.2f} million parameters:")
    return {"plain": plain(spelt_out(copy.deepcopy(G)), copy.deepcopy(D)), "ours": ours(G, D)}


def measure(loops: dict[str, Step], x: Tensor, turns: int) -> None:
    """Print images per second of both, and their ratio."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(turns + 2):  # alternating: a machine's speed drifts; the first are warm-ups
        for name, step in loops.items():
            start = clock()
            step(x)
            if turn > 1:
                times[name].append(clock() - start)
    for name, seconds in times.items():
        print(f"  {name:8} {len(x) / median(seconds):6.0f} images/s")
    print(f"  ratio {median(a / b for a, b in zip(*times.values(), strict=True)):.2f}")


def compare(loops: dict[str, Step], x: Tensor, batch: int, steps: int) -> None:
    """Print what the losses are over the last half of a training, beside each other."""
    curves: dict[str, dict[str, list[float]]] = {name: {} for name in loops}
    for name, step in loops.items():
        torch.manual_seed(0)
        order = torch.Generator().manual_seed(0)
        for _ in range(steps):
            for key, value in step(x[torch.randint(len(x), (batch,), generator=order)]).items():
                curves[name].setdefault(key, []).append(value)
    for key, curve in curves["plain"].items():
        late = [mean(c[steps // 2 :]) for c in (curve, curves["ours"][key])]
        print(f"  {key:12} plain {late[0]:.3f}, ours {late[1]:.3f}: steps {steps // 2} to {steps}")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--steps", type=int, default=300, help="of the comparison; 0 leaves it out")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)  # as `zoo train` does; here for both
    print(f"32 x 32, batch {options.batch}, {options.threads} threads")
    x = images(5000)
    for cls in (DCGAN, InfoGAN):
        measure(pair(cls), x[: options.batch], options.turns)
        if options.steps:
            compare(pair(cls), x, options.batch, options.steps)


if __name__ == "__main__":
    main()
