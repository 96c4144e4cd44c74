"""The objective of adversarial autoencoders: reconstruction, adversarial and label losses.

In each step every discriminator learns to classify samples of its prior (1) and the encoder's codes
(0); then the autoencoder takes one step on

    w_x ‖x − decoder(code)‖² + w_a ∑ −log D(code) + w_y · cross-entropy of the labelled inputs

where there is one D for z and, where the encoder gives classes, one for y, whose prior is the
uniform categorical distribution. The paper alternates between these terms, each with an optimiser
of its own with momentum; one step on their sum encodes once, and uses Adam.

Two more differences serve clusters. Their discriminator also sees the mean over the batch, the
simplest of what Salimans et al. 2016 call minibatch discrimination: one code alone does not show
that a cluster is left unused, as 3 of 30 were without both, and 9 with the second alone. With
`w_same` above 0 the loss has a term

    w_same · KL(q(y|x) ‖ q(y|x'))

of an image x and the same moved, turned and scaled, x': a class survives that, a slant does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_core import draws
from zoo_core.config import NonNegative, Rate, Size
from zoo_core.errors import InvalidInput
from zoo_core.training.augmentation import jitter
from zoo_core.training.objective import frozen, network_of
from zoo_core.training.protocols import Update
from zoo_latent.aae import AAE, Code
from zoo_latent.layers import affine, mlp

__all__ = ["Adversarial", "energy_distance"]

_MISMATCH = 10.0
"""Weight of the codes' distance from their priors in `criterion`: squared errors are about ten
times as large."""


class Adversarial:
    """Trains an AAE, as its config says: unsupervised, semi-supervised or conditional.

    The best weights have the lowest `criterion` on the validation split: the classification error
    in percent where the encoder predicts labelled classes; otherwise squared error plus the
    distance of the codes from their priors, which uses no labels.

    Args:
        model: an AAE.
        hidden: units of each hidden layer of a discriminator.
        w_x: weight of the squared error, summed over the variables.
        w_a: weight of each adversarial loss.
        w_y: weight of the labels' cross-entropy.
        noise: standard deviation of Gaussian noise on the encoder's inputs.
        shift: each image is moved by up to this share of its side (the paper moves none).
        turn: and turned by up to so many degrees.
        zoom: and scaled by up to this share.
        w_same: weight of KL(q(y|x) ‖ q(y|moved x)), in nats. Above 0, images are moved, turned and
            scaled for this term alone, and reconstructed as they are.
    """

    monitor: ClassVar[str] = "criterion"

    def __init__(
        self,
        model: AAE,
        hidden: Sequence[Size] = (1000, 1000),
        w_x: NonNegative = 1.0,
        w_a: NonNegative = 1.0,
        w_y: NonNegative = 1.0,
        noise: NonNegative = 0.0,
        shift: NonNegative = 0.0,
        turn: NonNegative = 0.0,
        zoom: Rate = 0.0,
        w_same: NonNegative = 0.0,
    ) -> None:
        self.jitter = shift, turn, zoom
        if any(self.jitter) and len(model.event_shape) != 3:
            raise InvalidInput(
                f"shift, turn and zoom are of images; inputs have the shape {model.event_shape}. "
                "Leave them out."
            )
        if w_same and not (any(self.jitter) and model.labels == "encoder"):
            raise InvalidInput(
                f"w_same is {w_same}, the weight of moved images' classes; expected shift, turn or "
                "zoom above 0, and a model whose encoder gives classes. Set these, or leave it out."
            )
        K = model.classes + 1 if model.labels == "prior" else 0
        self.networks: dict[str, nn.Module] = {
            "model": model,
            "discriminator_z": _discriminator(model.z + K, hidden),
        }
        if model.labels == "encoder":
            seen = 2 * model.classes if model.clusters else model.classes
            self.networks["discriminator_y"] = _discriminator(seen, hidden)
        self.w_x, self.w_a, self.w_y, self.w_same, self.noise = w_x, w_a, w_y, w_same, noise

    @property
    def _model(self) -> AAE:
        return network_of(self.networks, "model", AAE)

    def begin(self, mean: Tensor) -> None:
        """Initialize the decoder's output with the training data's mean, event_shape."""
        self._model.begin(mean)

    def training_step(
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: torch.Generator,
        labels: Tensor | None = None,
        step: int = 1,
    ) -> dict[str, Tensor]:
        """Update the discriminators, then the autoencoder.

        x: inputs, (B, *event_shape), in [0, 1].
        labels: (B,), int64; −1 where a label is withheld.
        """
        y = self._visible_labels(x, labels)
        moved = jitter(x, *self.jitter, generator)
        if not self.w_same:
            x = moved
        noise = draws.randn(*x.shape, generator=generator, device=x.device) if self.noise else 0.0
        code = self._model.code(x + self.noise * noise, generator)
        pairs = self._pairs(code, y, generator)
        if self._model.clusters:
            given, sampled = pairs["discriminator_y"]
            pairs["discriminator_y"] = _with_mean(given), _with_mean(sampled)
        values = {f"loss_{name}": self._discriminate(name, *pairs[name], update) for name in pairs}
        errors = (self._reproduce(code, y) - x).square().flatten(1).sum(1).mean()
        deceit = torch.stack([self._deceive(name, codes) for name, (codes, _) in pairs.items()])
        loss = self.w_x * errors + self.w_a * deceit.sum()
        if code.logits is not None and not self._model.clusters:
            entropy = _cross_entropy(code.logits, y)
            loss = loss + self.w_y * entropy
            values["cross_entropy"] = entropy.detach()
        if code.logits is not None and self.w_same:
            divergence = self._divergence(code.logits, moved, generator)
            loss = loss + self.w_same * divergence
            values["divergence"] = divergence.detach()
        update["model"](loss)
        return {"squares": errors.detach(), "deceit": deceit.mean().detach(), **values}

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the values of each input, (B,): squares, mismatch, error, and the criterion."""
        model, y = self._model, self._visible_labels(x, labels)
        code = model.code(x, generator)
        pairs = self._pairs(code, y, generator)
        values = {
            "squares": (self._reproduce(code, y) - x).square().flatten(1).sum(1),
            "mismatch": torch.stack([energy_distance(*pair) for pair in pairs.values()]).sum(0),
        }
        criterion = values["squares"] + _MISMATCH * values["mismatch"]
        if code.logits is not None and not model.clusters:
            criterion = values["error"] = 100.0 * (code.logits.argmax(1) != y)
        return {**values, "criterion": criterion}

    def _visible_labels(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """The labels that the model may use, (B,), −1 for none."""
        if not self._model.classes or self._model.clusters:
            return torch.full((len(x),), -1, device=x.device)
        if labels is None:
            raise InvalidInput(
                f"config.classes is {self._model.classes}, but the data have no labels. Leave it "
                "out, or set config.clusters to find as many classes without labels."
            )
        return labels

    def _reproduce(self, code: Code, y: Tensor) -> Tensor:
        """Reconstruct inputs; the class is the encoder's, or the label."""
        model = self._model
        if code.logits is not None:
            return model.decode(torch.cat([code.z, code.logits.softmax(1)], 1))
        return model.decode(model.join_code(code.z, y) if model.labels == "decoder" else code.z)

    def _pairs(
        self, code: Code, y: Tensor, generator: torch.Generator
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """For each discriminator, codes and as many samples of their prior."""
        model = self._model
        by_class = model.labels == "prior"
        z, z_p = code.z, model.p.draw(y if by_class else torch.full_like(y, -1), generator)
        if by_class:  # conditional on the class, or on its being unknown
            seen = functional.one_hot(y.remainder(model.classes + 1), model.classes + 1)
            z, z_p = torch.cat([z, seen], 1), torch.cat([z_p, seen], 1)
        pairs = {"discriminator_z": (z, z_p)}
        if code.logits is not None:
            u = draws.rand(len(y), generator=generator, device=y.device)
            sampled = functional.one_hot((u * model.classes).long(), model.classes).float()
            pairs["discriminator_y"] = (code.logits.softmax(1), sampled)
        return pairs

    def _divergence(self, logits: Tensor, moved: Tensor, generator: torch.Generator) -> Tensor:
        """Mean divergence of the classes of moved images from given ones, (B, K); nats."""
        others = self._model.code(moved, generator).logits
        assert others is not None
        log_p, log_q = logits.detach().log_softmax(1), others.log_softmax(1)
        return functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True)

    def _discriminate(
        self, name: str, codes: Tensor, sampled: Tensor, update: Mapping[str, Update]
    ) -> Tensor:
        logits = self.networks[name](torch.cat([sampled, codes.detach()])).squeeze(1)
        real = torch.arange(len(logits), device=logits.device) < len(sampled)
        loss = functional.binary_cross_entropy_with_logits(logits, real.float())
        update[name](loss)
        return loss.detach()

    def _deceive(self, name: str, codes: Tensor) -> Tensor:
        """−log D of codes, minimised by the encoder alone."""
        with frozen(self.networks[name]) as discriminator:
            return functional.softplus(-discriminator(codes)).mean()


def _with_mean(y: Tensor) -> Tensor:
    """Append to each class its probability in the mean of the batch: (B, K) to (B, 2K)."""
    return torch.cat([y, y.mean(0, keepdim=True).expand_as(y)], 1)


def energy_distance(codes: Tensor, sampled: Tensor) -> Tensor:
    """2 E|c − p| − E|p − p'| − E|c − c'| by row; its mean is 0 if the distributions are equal.

    Székely & Rizzo 2013, Energy Statistics.

    codes, sampled: (B, D) each; return (B,).
    """
    between = torch.cdist(codes, sampled).mean(1)
    within = [torch.cdist(a, a).sum(1) / max(1, len(a) - 1) for a in (codes, sampled)]
    return 2 * between - within[0] - within[1]


def _discriminator(inputs: int, hidden: Sequence[int]) -> nn.Module:
    return nn.Sequential(*mlp([inputs, *hidden], "relu"), affine(hidden[-1], 1))


def _cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Mean over labelled inputs; 0 where there are none."""
    total = functional.cross_entropy(logits, y, ignore_index=-1, reduction="sum")
    return total / (y >= 0).sum().clamp_min(1)
