"""Models whose samples, latents and parts are known, and how a task is run on one."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from zoo_autoregressive.nade import NADE

import zoo_core
from zoo_core import loading
from zoo_core.data import load_dataset
from zoo_core.errors import InvalidInput
from zoo_core.features.net import FeatureNet
from zoo_core.protocols import FromParts, Traversal
from zoo_core.tasks.result import Result


def run(task: str, model: nn.Module, *inputs: object, data: str = "", **options: Any) -> Result:
    """Run a task on a model that is called m, with seed 0 unless another is given.

    data: the data set that the model was trained on.
    """
    loading.set_info(model, loading.Info(name="m", architecture="", data=data))
    if inputs:
        options["inputs"] = tuple(map(str, inputs))
    return zoo_core.run(model.requires_grad_(False), task, **{"seed": 0, **options})


def nade(*shape: int, order: str = "raster") -> NADE:
    """A NADE of 4x4 images, or of another shape, with parameters from N(0, 1)."""
    torch.manual_seed(0)
    model = NADE(shape=shape or (1, 4, 4), hidden=5, order=order)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    return model.eval().requires_grad_(False)


def feature_net(**changes: Any) -> FeatureNet:
    """A small feature net with two heads, of 8x8 images unless `shape` is given."""
    config = {"shape": [1, 8, 8], "heads": [3, 4], "channels": [4, 4, 4, 8], "stem": 4}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return FeatureNet(**{**config, **changes}).eval()


def save_feature_net(folder: Path, **changes: Any) -> str:
    """Save a small feature net, of 4x4 images unless `shape` is given; return its path."""
    config = {"shape": [1, 4, 4], "heads": [2], "channels": [4, 4, 4, 8], "stem": 4, **changes}
    model = feature_net(**config)
    record = {"family": "features", "requires": "zoo-core", "architecture": "features"}
    path = folder / "features.small.safetensors"
    loading.save(model, path, {**record, "name": "features.small", "config": config})
    return str(path)


def latents(*left: int) -> Tensor:
    """What `Invertible` encodes the pictures of the fixture `pets` to, (n, 2).

    left: grey level of each picture's left pixel.
    """
    return (torch.tensor([[a, 255 - a] for a in left]) / 255).logit()


class Sampler(nn.Module):
    """An implicit model: it can do no more than sample."""

    event_shape: tuple[int, ...] = (1, 2, 2)

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        return torch.rand(n, *self.event_shape, generator=generator)


class Labelled(Sampler):
    """Its pixels are its label, or 3 without one."""

    classes = 3

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        label: int | Tensor | None = None,
    ) -> Tensor:
        return torch.full((n, 1, 2, 2), float(self.classes if label is None else label))


class Truncated(Sampler):
    """Its pixels are its truncation."""

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        truncation: float = 9.0,
    ) -> Tensor:
        return torch.full((n, 1, 2, 2), truncation)


class LetterCount(Sampler):
    """Its code of a text is the number of letters; a sample is that in tenths, and some noise."""

    def read(self, texts: Sequence[str]) -> Tensor:
        if "" in texts:
            raise InvalidInput("the text '' is empty.")
        return torch.tensor([[float(len(text))] for text in texts])

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        prompt: str | Tensor | None = None,
    ) -> Tensor:
        code = self.read([prompt]) if isinstance(prompt, str) else prompt
        level = torch.zeros(1, 1) if code is None else code / 10
        noise = temperature * torch.rand(n, 1, 2, 2, generator=generator) / 100
        return level.view(-1, 1, 1, 1) + noise


class Copyist(Sampler):
    """Its samples are rows of the training data, each a little darker."""

    event_shape = (1, 4, 4)

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        x = load_dataset("bars-and-stripes-4:train").floats()
        return 0.9 * x[torch.randint(len(x), (n,), generator=generator)]


class Table(Sampler):
    """A model of tables, whose samples are one row."""

    event_shape = (3,)

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        return torch.tensor([[0.0, 1.0, 1.0]]).expand(n, -1)


class RowSampler(nn.Module):
    """Its samples are rows of bars-and-stripes-7, changed by a function; it counts its calls."""

    event_shape = (1, 7, 7)

    def __init__(self, change: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        super().__init__()
        self.change, self.calls = change, 0
        self.w = nn.Parameter(torch.zeros(1))
        self.rows = load_dataset("bars-and-stripes-7").floats()

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        self.calls += 1
        chosen = torch.randint(len(self.rows), (n,), generator=generator)
        return self.change(self.rows[chosen])


class ClassSampler(RowSampler):
    """The same of a class; the wrong one where it errs."""

    classes = 2

    def __init__(self, errs: bool = False) -> None:
        super().__init__()
        labels = load_dataset("bars-and-stripes-7").labels
        assert labels is not None
        self.of = [self.rows[labels == (1 - label if errs else label)] for label in (0, 1)]

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        label: Tensor | int | None = None,
    ) -> Tensor:
        wanted = torch.zeros(n).long() if label is None else torch.as_tensor(label).expand(n)
        u = torch.rand(n, generator=generator)
        return torch.stack(
            [self.of[y][int(v * len(self.of[y]))] for y, v in zip(wanted, u, strict=True)]
        )


class Coins(nn.Module):
    """Independent variables, each 1 with probability 3/4."""

    levels = 2

    def __init__(self, shape: tuple[int, ...] = (1, 3, 3)) -> None:
        super().__init__()
        self.event_shape = shape
        self.p = nn.Parameter(torch.tensor(0.75))

    def log_prob(self, x: Tensor) -> Tensor:
        return torch.where(x > 0.5, self.p.log(), (1 - self.p).log()).flatten(1).sum(1)


class Logistic(nn.Module):
    """An implicit model whose variables are its latents: x = sigmoid(z), z ~ N(0, I)."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.event_shape = shape or (1, 1, 2)
        self.latent_dim = math.prod(self.event_shape)

    def latent(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(n, self.latent_dim, generator=generator)

    def decode(self, z: Tensor) -> Tensor:
        return z.sigmoid().view(-1, *self.event_shape)

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        return self.decode(self.latent(n, generator=generator))


class Invertible(Logistic):
    """The same with the exact inverse."""

    def encode(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        return x.flatten(1).logit()


class Uniform(Logistic):
    """The same with another prior: z ~ U(-1, 1)."""

    def latent(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return 2 * torch.rand(n, self.latent_dim, generator=generator) - 1


class Coded(Logistic):
    """It has a category of 12 values, and its own traversals and paths."""

    def __init__(self) -> None:
        super().__init__(1, 2, 7)

    def traversals(self) -> list[Traversal]:
        category = Traversal("cluster", tuple(range(2, 14)), torch.eye(12).tolist())
        return [category, Traversal("width", (0,), [(-2.0,), (0.0,), (2.0,)])]

    def path(self, z0: Tensor, z1: Tensor, steps: int) -> Tensor:
        return torch.stack([z0, z1]).repeat_interleave(steps // 2, 0)


class Ranked(Invertible):
    """With inputs it puts its last latent first, without any its first."""

    def traversals(self, x: Tensor | None = None) -> list[Traversal]:
        order = [0, 1] if x is None else [1, 0]
        return [Traversal(f"z{i}", (i,), [(-1.0,), (1.0,)]) for i in order]


class Tinter(nn.Module):
    """It finds the corners; its images are of the colour in the middle of the first part."""

    event_shape = (3, 4, 4)

    def find_parts(self, x: Tensor) -> Tensor:
        return torch.tensor([[[0, 0, 2, 2], [2, 2, 2, 2]]]).expand(len(x), -1, -1)

    def complete_from(
        self,
        x: Tensor,
        boxes: Tensor,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> FromParts:
        places = boxes[..., :2] + boxes[..., 2:] // 2
        colours = torch.stack(
            [image[:, at[:, 1], at[:, 0]].T for image, at in zip(x, places, strict=True)]
        )
        parts = colours[..., None, None].expand(-1, -1, 3, 4, 4)
        light = temperature * torch.rand(len(x), 1, 1, 1, generator=generator)
        return FromParts(parts, x[:, :1], parts[:, 0] * light)


class Dimmer(nn.Module):
    """Its domains are how much of the light is left."""

    event_shape = (3, 4, 4)
    domains = ("half", "none")

    def translate(self, x: Tensor, to: str) -> Tensor:
        return x * {"half": 0.5, "none": 0.0}[to]
