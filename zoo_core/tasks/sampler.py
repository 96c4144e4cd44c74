"""Samples without torch, which takes longer to be imported than sixteen digits to be sampled.

`export` writes the step of a chain-rule model, or the decoder of latents, as one ONNX file beside
the store; a `Sampler` runs it by onnxruntime and NumPy. The random numbers are the same
(`zoo_core.philox`), so the samples of a seed are the same, but for rounding. A model of which they
are others, by a trial when it is exported, gets no sampler.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from zoo_core import loading, tasks
from zoo_core.errors import InvalidInput
from zoo_core.export import runtime
from zoo_core.files import write_atomic
from zoo_core.philox import normals, scramble, uniforms
from zoo_core.store import Store
from zoo_core.tasks.context import Context
from zoo_core.tasks.result import Result
from zoo_core.tasks.running import command_of, provenance, random_seed
from zoo_core.tasks.sample import Options
from zoo_core.text import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from zoo_core.loading import Source

__all__ = ["Sampler", "export", "find"]

_FIT = 1e-3
"""By how much a value of a sample may differ from torch's."""
_TRIED = 4
"""Samples of the trial."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """What samples from a model by onnxruntime."""

    source: Source
    call: Callable[..., list[Any]]
    """The step, or the decoder."""
    said: Mapping[str, Any]
    """The metadata of the file."""

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self.said["model"]["event_shape"])

    def takes(self, settings: Mapping[str, Any]) -> bool:
        """Whether it knows these options of the task: n, and the temperature of a step."""
        chosen = tasks.build_options(tasks.find("sample"), settings, self)
        temperature = chosen.temperature if self._steps else 1.0
        return bool(chosen == Options(n=chosen.n, temperature=temperature))

    def run(
        self,
        *,
        seed: int | None = None,
        batch_size: int = 256,
        data_root: Path | None = None,
        progress: Callable[[int, int], None] | None = None,
        **settings: Any,
    ) -> Result:
        """The result of the task `sample`, as `zoo_core.run` gives it; its tensors are arrays.

        seed, batch_size, data_root, progress: as those of `zoo_core.run`.
        settings: `n` and `temperature`.
        """
        record, name = tasks.find("sample"), self.source.name
        chosen = cast("Options", tasks.build_options(record, settings, self))
        seed = random_seed() if seed is None else seed
        context = Context(
            name=name, seed=seed, batch_size=batch_size, data_root=data_root, progress=progress
        )
        context.require_memory(self, chosen.n)
        x = self.sample(chosen.n, context, chosen.temperature)
        images = cast("Tensor", x)  # what saves and shows a result takes arrays too
        return Result(
            summary=f"{counted(len(x), 'sample')} from {name}",
            notes=tuple(self.said["notes"]),
            images=images,
            frames=[images[i : i + 1] for i in range(len(x))],
            tensors={"samples": images},
            suffixes=tasks.suffixes(record, self),
            provenance=self._provenance(chosen, context),
        )

    def sample(self, n: int, context: Context, temperature: float = 1.0) -> NDArray[np.float32]:
        """n samples, (n, *event_shape), in [0, 1]."""
        key, parts, first = scramble(scramble(context.seed)), [], 0
        for size in context.sizes(n):
            some = (key, first, size)
            parts.append(self._walk(some, temperature) if self._steps else self._decode(some))
            first += size
        return np.concatenate(parts).reshape(n, *self.event_shape)

    @property
    def _steps(self) -> bool:
        return bool(self.said["function"]["name"] == "step")

    def _decode(self, some: tuple[int, int, int]) -> NDArray[np.float32]:
        prior, scale = self.said["latents"]
        z = np.float32(scale) * _latents(prior, some, self.said["model"]["latent_dim"])
        (x,) = self.call(z)
        return np.asarray(x)

    def _walk(self, some: tuple[int, int, int], temperature: float) -> NDArray[np.float32]:
        """Ancestral sampling: each variable, in the order, by one uniform number."""
        order, n = self.said["model"]["order"], some[2]
        u = uniforms(*some, len(order)).T
        with np.errstate(divide="ignore"):  # at u = 0, of which logit is −inf
            threshold = (np.log(u) - np.log1p(-u)) * np.float32(temperature * self.said["sign"])
        state = [
            np.zeros((n, *value["shape"][1:]), np.float32)
            for value in self.said["function"]["inputs"][2:]
        ]
        x, x_t = np.empty((n, len(order)), np.float32), np.zeros(n, np.float32)
        for t, place in enumerate(order):
            logits, *state = self.call(np.asarray(t), x_t, *state)
            if logits.ndim == 1:
                x_t = (logits > threshold[t]).astype(np.float32)
            else:
                x_t = _choose(logits / np.float32(temperature), u[t])
            x[:, place] = x_t
        return x

    def _provenance(self, chosen: Options, context: Context) -> dict[str, Any]:
        import onnxruntime

        source, record = self.source, tasks.find("sample")
        name = source.name if source.entry else str(source.path)
        return provenance(
            record,
            entry=source.name,
            architecture=source.architecture,
            family=source.family,
            sha256=self.said["weights_sha256"],
            seed=context.seed,
            engine={"onnxruntime": onnxruntime.__version__},
            command=command_of(record, name, chosen, context),
        )


def find(source: Source) -> Sampler | None:
    """The sampler of a model; None where none was exported by this code, or nothing runs it."""
    path = Store().sampler(source.sha256)
    if not path.is_file() or find_spec("onnxruntime") is None:
        return None
    call, said = runtime.load(path, threads=1)
    return Sampler(source, call, said) if said.get("key") == _key(source) else None


def export(source: Source) -> Sampler:
    """Write the sampler of a model, and return it.

    Raises InvalidInput where it would give other samples than torch, or cannot be written.
    """
    from zoo_core.export import Stepwise, functions, onnx
    from zoo_core.tasks.running import run

    runtime.require(*runtime.WRITES, "onnxruntime")
    model = loading.load(source)
    offered = functions(model)
    name = "step" if isinstance(model, Stepwise) else "decode"
    if len(getattr(model, "event_shape", ())) != 3:
        raise _refused(source, "it is no model of images")
    if name not in offered:
        raise _refused(source, "it has neither a decoder nor a step of its own")
    try:
        converted = onnx.convert(model, offered[name])
    except onnx.NotExported as error:
        raise _refused(source, str(error).rstrip(".")) from error
    if onnx.takes_one_input(converted):
        raise _refused(source, f"its {name} takes one input at a time")
    wanted = run(model, "sample", n=_TRIED, seed=1)
    assert wanted.images is not None
    said = json.loads(converted.model.metadata_props[runtime.KEY])
    said |= {"key": _key(source), "notes": wanted.notes}
    if name == "decode":
        said["latents"] = _prior(model, source)
    call = runtime.load(converted.model_proto.SerializeToString(), threads=1)[0]
    for sign in (1, -1):  # a 1 is what u is below the probability of, or above that of a 0
        sampler = Sampler(source, call, {**said, "sign": sign})
        x = sampler.sample(_TRIED, Context(seed=1))
        if np.abs(x - wanted.images.numpy()).max() < _FIT:
            break
    else:
        raise _refused(source, "the samples of a seed would be others")
    converted.model.metadata_props[runtime.KEY] = json.dumps(sampler.said)
    content = converted.model_proto.SerializeToString()
    path = Store().sampler(source.sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content)
    return sampler


def _refused(source: Source, why: str) -> InvalidInput:
    return InvalidInput(
        f"{source.name} cannot be sampled without torch: {why}. Use --engine torch, or leave "
        "--engine out."
    )


def _key(source: Source) -> str:
    """A digest of what a sampler is made from: weights, config and code."""
    parts = [source.sha256, json.dumps(dict(source.config), sort_keys=True, default=list)]
    return hashlib.sha256(" ".join([*parts, runtime.code(source)]).encode()).hexdigest()


def _prior(model: nn.Module, source: Source) -> tuple[str, float]:
    """The prior of latents of which each sample's are of its own stream, and their scale.

    Raises InvalidInput where they are of another distribution.
    """
    from zoo_core.draws import Streams
    from zoo_core.protocols import Decoder, narrow

    z = narrow(model, Decoder).latent(_TRIED, generator=Streams(1)).detach().numpy()
    some = (scramble(scramble(1)), 0, _TRIED)
    for prior in ("normal", "uniform"):
        plain = _latents(prior, some, z.shape[1])
        scale = float(np.vdot(plain, z) / np.vdot(plain, plain))
        if np.allclose(scale * plain, z, atol=1e-5):
            return prior, scale
    raise _refused(source, "its latents are neither N(0, σ² I) nor U(−a, a)")


def _latents(prior: str, some: tuple[int, int, int], D: int) -> NDArray[np.float32]:
    return 2 * uniforms(*some, D) - 1 if prior == "uniform" else normals(*some, D)


def _choose(logits: NDArray[np.float32], u: NDArray[np.float32]) -> NDArray[np.float32]:
    """Invert the CDF of a softmax at uniform numbers: values in [0, 1], (n,)."""
    p = np.exp(logits - logits.max(1, keepdims=True))
    below = (p / p.sum(1, keepdims=True)).cumsum(1)[:, :-1]
    level = (below <= u[:, None]).sum(1)
    return np.asarray(level / below.shape[1], np.float32)
